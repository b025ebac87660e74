package flow

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
