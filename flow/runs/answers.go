package runs

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/geartrain/geartrain/flow"
)

// For how long results that hold across runs are kept here.
const (
	alwaysWindow = 366 * 24 * time.Hour // of stages that are always fresh
	leastWindow  = 7 * 24 * time.Hour   // of others, also when they say less: that may be changed
)

// answers are the results that hold across runs, of all processes that ever used the state folder: one
// segment for each process that had any. What others add while this one runs is not seen.
type answers struct {
	state *State

	old  func() (*index, error) // made when first asked
	mu   sync.Mutex             // guards what follows
	mine *writer
}

func newAnswers(s *State) *answers {
	a := &answers{state: s}
	a.old = sync.OnceValues(a.load)
	return a
}

// load reads what there is. Segments without anything that is still of use are deleted.
func (a *answers) load() (*index, error) {
	entries, err := fs.ReadDir(a.state.root.FS(), "answers")
	if err != nil {
		return nil, fmt.Errorf("earlier results: %w", err)
	}
	names := make([]string, 0, len(entries))
	for _, e := range entries {
		names = append(names, e.Name())
	}
	slices.Sort(names) // the names begin with a time, so that later results come later
	x, now := newIndex(a.state.root), time.Now()
	for _, name := range names {
		name = "answers/" + name
		taken, err := x.add(name, func(h *jobHead) bool { return now.Sub(h.ended) < h.window }, nil)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("earlier results: %w", err)
		}
		if info, err := a.state.root.Stat(name); taken == 0 && err == nil && now.Sub(info.ModTime()) > leastWindow {
			_ = a.state.root.Remove(name) // else the next one will
		}
	}
	x.sort()
	return x, nil
}

// find is the latest result of a key that is not too old for the stage.
func (a *answers) find(stage *flow.Stage, key string) (flow.Answer, bool) {
	if !holdsAcrossRuns(stage) {
		return flow.Answer{}, false
	}
	x, err := a.old()
	if err != nil {
		return flow.Answer{}, false // it is said when something is added
	}
	var oldest time.Time
	if !stage.Fresh.Always {
		oldest = time.Now().Add(-stage.Fresh.For)
	}
	return x.find(key, oldest)
}

// add keeps a result.
func (a *answers) add(stage *flow.Stage, r *flow.JobRecord) error {
	if !holdsAcrossRuns(stage) || r.Outcome != flow.OutcomeDone {
		return nil
	}
	w, err := a.writer()
	if err != nil {
		return err
	}
	window := max(stage.Fresh.For, leastWindow)
	if stage.Fresh.Always {
		window = alwaysWindow
	}
	return w.append(func(p []byte) []byte {
		return frame(p, func(p []byte) []byte { return appendJob(p, r, window) })
	})
}

func (a *answers) writer() (*writer, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.mine != nil {
		return a.mine, nil
	}
	name := fmt.Sprintf("answers/%019d-%d.log", time.Now().UnixNano(), os.Getpid())
	file, err := a.state.root.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("keep results for other runs: %w", err)
	}
	a.mine = newWriter(file, nil)
	return a.mine, nil
}

func (a *answers) flush() error {
	a.mu.Lock()
	w := a.mine
	a.mu.Unlock()
	if w == nil {
		return nil
	}
	return w.flush()
}

// end flushes and gives all files back.
func (a *answers) end() error {
	var errs []error
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.mine != nil {
		errs = append(errs, a.mine.close())
	}
	if x, err := a.old(); err == nil {
		errs = append(errs, x.close())
	}
	return errors.Join(errs...)
}

// holdsAcrossRuns reports whether a stage takes results of other runs.
func holdsAcrossRuns(s *flow.Stage) bool { return s.Fresh != (flow.Fresh{}) }
