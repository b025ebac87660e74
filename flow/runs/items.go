package runs

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"os"
	"slices"

	"github.com/geartrain/geartrain/flow"
)

// Item is one record of what happened to the job of an item. Its data are valid until the next one is read
// from the sequence, see [Item.Clone].
//
// Of an item that was answered or that joined an equal one the record has no result; [Run.Result] finds it.
// Items and arguments over 4 KiB are left out of the record, but for ArgumentsHash.
type Item struct {
	flow.JobRecord
	ArgumentsHash string // tells arguments apart
	Start         int    // which start of the run it is from: the number of its driver
}

// Clone is a copy that stays.
func (it Item) Clone() Item {
	it.Item.Raw, it.Arguments.Raw = slices.Clone(it.Item.Raw), slices.Clone(it.Arguments.Raw)
	it.JobRecord.Result = slices.Clone(it.JobRecord.Result)
	return it
}

// Records gives all that is recorded of a stage, of all stages when that is empty: each start of the run
// after the one before, in the order in which things happened. That includes attempts that were tried again,
// and warnings. It also works while the run is driven; it then ends with what has been written.
func (r *Run) Records(stage string) iter.Seq2[Item, error] {
	return func(yield func(Item, error) bool) {
		err := r.scan(func(number int, at int64, body []byte) error {
			if body[0] != jobRecord {
				return nil
			}
			it, err := parseJob(body)
			if err != nil || stage != "" && it.Stage != stage {
				return nil // what is damaged is left out
			}
			it.Start = number
			if !yield(it, nil) {
				return errStop
			}
			return nil
		})
		if err != nil && !errors.Is(err, errStop) {
			yield(Item{}, err)
		}
	}
}

var errStop = errors.New("stop")

// Items gives the end of each item of a stage, in the order of the input: of a run that ended those of its
// last start; else also those of earlier starts that it has not come to again. It takes 40 bytes of memory
// for each item.
func (r *Run) Items(stage string) iter.Seq2[Item, error] {
	return func(yield func(Item, error) bool) {
		root, err := r.root()
		if err != nil {
			yield(Item{}, err)
			return
		}
		defer root.Close()
		ends, err := r.ends(stage)
		if err != nil {
			yield(Item{}, err)
			return
		}
		files := newIndex(root)
		defer files.close()
		for i := range ends {
			it, err := ends[i].read(files)
			if !yield(it, err) {
				return
			}
		}
	}
}

// end is where the record of an item's end is.
type end struct {
	place  int
	number int
	at     int64
	key    [16]byte
}

func (r *Run) ends(stage string) ([]end, error) {
	var ends []end
	latest := map[[16]byte]int{} // of unfinished runs: the last start that has the key
	last := 0
	err := r.scan(func(number int, at int64, body []byte) error {
		if body[0] != jobRecord {
			return nil
		}
		it, err := parseJob(body)
		if err != nil || it.Stage != stage || it.Outcome == flow.OutcomeRetried || it.Outcome == flow.OutcomeWarned {
			return nil
		}
		last = max(last, number)
		key := [16]byte(hashDatum(flow.Datum{Raw: []byte(it.Key)}))
		if !r.Record.Ended() {
			latest[key] = number
		}
		ends = append(ends, end{it.Place, number, at, key})
		return nil
	})
	if err != nil {
		return nil, err
	}
	ends = slices.DeleteFunc(ends, func(e end) bool {
		if r.Record.Ended() {
			return e.number != last
		}
		return latest[e.key] != e.number
	})
	slices.SortStableFunc(ends, func(a, b end) int { return cmp.Compare(a.place, b.place) })
	return ends, nil
}

// read reads the record. The names of files that it opens are kept in files.
func (e end) read(files *index) (Item, error) {
	name := segmentName(e.number)
	i := slices.Index(files.names, name)
	if i < 0 {
		i = len(files.names)
		files.names, files.files = append(files.names, name), append(files.files, nil)
	}
	body, err := files.read(uint64(i)<<offsetBits | uint64(e.at))
	if err != nil {
		return Item{}, err
	}
	it, err := parseJob(body)
	it.Start = e.number
	return it, err
}

// Results finds results by key, of all starts of the run. It must be closed.
func (r *Run) Results() (*Results, error) {
	root, err := r.root()
	if err != nil {
		return nil, err
	}
	x, err := indexRun(root, nil)
	if err != nil {
		return nil, errors.Join(err, root.Close())
	}
	return &Results{r.state, root, x, newAnswers(r.state)}, nil
}

// Results are the results of a run, see [Run.Results].
type Results struct {
	state   *State
	root    *os.Root
	index   *index
	answers *answers
}

// Of is the result of an item's job as the worker sent it, and whether there is one.
func (x *Results) Of(it *Item) ([]byte, bool) {
	if it.Outcome == flow.OutcomeDone {
		return it.JobRecord.Result, true
	}
	if a, ok := x.index.find(it.Key, it.EndedAt.AddDate(-100, 0, 0)); ok {
		return a.Result, true
	}
	a, ok := x.answers.find(&flow.Stage{Fresh: flow.Fresh{Always: true}}, it.Key)
	return a.Result, ok
}

// Close gives the files back.
func (x *Results) Close() error {
	return errors.Join(x.index.close(), x.answers.end(), x.root.Close())
}

// Stages is what is recorded of the stages: of each the last record, in the order in which they began.
func (r *Run) Stages() ([]flow.StageRecord, error) {
	var all []flow.StageRecord
	err := r.scan(func(_ int, _ int64, body []byte) error {
		var s flow.StageRecord
		if body[0] != stageRecord || json.Unmarshal(body[1:], &s) != nil {
			return nil
		}
		i := slices.IndexFunc(all, func(o flow.StageRecord) bool { return o.Stage == s.Stage })
		if i < 0 {
			all = append(all, s)
		} else {
			all[i] = s
		}
		return nil
	})
	return all, err
}

// scan reads all journals of the run, one after the other.
func (r *Run) scan(each func(number int, at int64, body []byte) error) error {
	root, err := r.root()
	if err != nil {
		return err
	}
	defer root.Close()
	numbers, err := segmentNumbers(root)
	if err != nil {
		return err
	}
	for _, n := range numbers {
		file, err := root.Open(segmentName(n))
		if errors.Is(err, fs.ErrNotExist) {
			continue // pruned meanwhile
		}
		if err != nil {
			return fmt.Errorf("run %s: %w", r.Record.ID, err)
		}
		err = scan(file, func(at int64, body []byte) error { return each(n, at, body) })
		if err = errors.Join(err, file.Close()); err != nil {
			return err
		}
	}
	return nil
}
