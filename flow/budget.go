package flow

import (
	"errors"
	"math"
)

// errEnough is why a stage's other jobs are cancelled when it has the results that it waits for.
var errEnough = errors.New("there are results enough")

// allows reports whether so many failures among so many jobs are within the budget. A share is
// only known when all jobs are: until then final is false, and no share is over.
func (b Budget) allows(failed, jobs int, final bool) bool {
	switch {
	case b.All:
		return true
	case b.Percent > 0 && !final:
		return true
	case b.Percent > 0:
		return float64(failed)*100 <= b.Percent*float64(jobs)
	}
	return failed <= b.Count
}

// isMet reports whether so many results of so many jobs are enough. While more jobs may come, final is
// false and a share is not known.
func (w Wait) isMet(done, jobs int, final bool) bool {
	switch {
	case w.Percent > 0:
		return final && done >= int(math.Ceil(w.Percent*float64(jobs)/100))
	case final:
		return done >= min(w.Count, jobs)
	}
	return done >= w.Count
}

// isAll reports whether all results are waited for.
func (w Wait) isAll() bool { return w.Count == 0 && w.Percent == 0 }
