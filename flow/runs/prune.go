package runs

import (
	"encoding/json"
	"errors"
	"maps"
	"reflect"
	"time"

	"github.com/geartrain/geartrain/flow/value"
)

// Of pruning: how much is kept of runs that nobody drives.
const (
	KeepRuns    = 50                   // so many keep their journals and logs ...
	KeepFor     = 7 * 24 * time.Hour   // ... at most so long
	KeepPending = 30 * 24 * time.Hour  // journals of runs that can be carried on
	KeepRecords = 400 * 24 * time.Hour // records and reports: they tell which partitions are complete
)

// Prune deletes what is too old: journals and logs first, records long after. A run that is driven is left
// alone. It returns how many runs it took something from.
func (s *State) Prune(now time.Time) (pruned int, err error) {
	all, err := s.List()
	if err != nil {
		return 0, err
	}
	var errs []error
	for i, r := range all {
		age := now.Sub(r.Record.StartedAt)
		heavy := age > KeepFor || i >= KeepRuns
		if !r.Record.Ended() {
			heavy = age > KeepPending
		}
		switch {
		case !heavy || r.Driven():
			continue
		case age > KeepRecords:
			err = s.root.RemoveAll("runs/" + r.Record.ID)
		default:
			err = r.removeJournal()
		}
		if err == nil {
			pruned++
		}
		errs = append(errs, err)
	}
	return pruned, errors.Join(errs...)
}

func (r *Run) removeJournal() error {
	root, err := r.root()
	if err != nil {
		return err
	}
	defer root.Close()
	return errors.Join(root.RemoveAll("journal"), root.RemoveAll("log"), root.RemoveAll("control"))
}

// Unfinished is the run of a pipeline file that was started last and did not come to its end, of those for
// which same holds: one that nobody drives, or if there is none one that is driven; nil: none. Whether the
// parameters are the same is for the caller to say, since their defaults may depend on the run's logical time.
func (s *State) Unfinished(pipeline, file string, same func(*Record) bool) (*Run, error) {
	all, err := s.List()
	if err != nil {
		return nil, err
	}
	var driven *Run
	for _, r := range all {
		mine := r.Record.Pipeline == pipeline && r.Record.File == file && !r.Record.Ended()
		switch {
		case !mine || !same(&r.Record):
		case !r.Driven():
			return r, nil
		case driven == nil:
			driven = r
		}
	}
	return driven, nil
}

// SameParams compares JSON values, which have the same form when they have been read as they were written.
func SameParams(a, b map[string]any) bool {
	return maps.EqualFunc(a, b, func(x, y any) bool { return reflect.DeepEqual(plain(x), plain(y)) })
}

// plain is v as reading its JSON gives it.
func plain(v any) any {
	text, err := json.Marshal(v)
	if err != nil {
		return v
	}
	out, err := value.DecodeJSON(text)
	if err != nil {
		return v
	}
	return out
}
