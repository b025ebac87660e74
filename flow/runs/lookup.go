package runs

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"github.com/geartrain/geartrain/flow"
)

// Lookup finds the results that a run would have an answer from if it was started now: those of its own
// earlier starts, and those that hold across runs. It drives nothing: it is for [flow.Plan.Forecast].
type Lookup struct {
	root    *os.Root // nil: there is no such run yet
	own     *index
	answers *answers
}

// Lookup looks for the results of a run, which need not be there yet. It must be closed.
func (s *State) Lookup(id string) (*Lookup, error) {
	if !runID.MatchString(id) {
		return nil, fmt.Errorf("%w: %q", ErrBadID, id)
	}
	x := &Lookup{answers: newAnswers(s)}
	root, err := s.root.OpenRoot("runs/" + id)
	if errors.Is(err, fs.ErrNotExist) {
		return x, nil
	}
	if err != nil {
		return nil, fmt.Errorf("run %s: %w", id, err)
	}
	if x.own, err = indexRun(root, nil); err != nil {
		return nil, errors.Join(fmt.Errorf("run %s: %w", id, err), root.Close())
	}
	x.root = root
	return x, nil
}

// Answer is that of [flow.Journal].
func (x *Lookup) Answer(stage *flow.Stage, key string) (flow.Answer, bool) {
	if x.own != nil {
		if a, ok := x.own.find(key, time.Time{}); ok {
			return a, true
		}
	}
	return x.answers.find(stage, key)
}

// Close gives the files back.
func (x *Lookup) Close() error {
	var errs []error
	if x.root != nil {
		errs = append(errs, x.own.close(), x.root.Close())
	}
	return errors.Join(append(errs, x.answers.end())...)
}

// Stage is the last record of a stage up to the given start of the run, 0 for the last one; false: there is
// none. The version of a stage may be another one in each start.
func (r *Run) Stage(stage string, start int) (last flow.StageRecord, found bool, err error) {
	err = r.scan(func(number int, _ int64, body []byte) error {
		var s flow.StageRecord
		if body[0] == stageRecord && (start == 0 || number <= start) && json.Unmarshal(body[1:], &s) == nil && s.Stage == stage {
			last, found = s, true
		}
		return nil
	})
	return last, found, err
}
