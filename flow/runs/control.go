package runs

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"time"
)

// How often a driver looks for requests, and those who asked for an answer.
const requestEvery = 100 * time.Millisecond

// Request is what others may ask of the process that drives a run.
type Request struct {
	Cancel bool   `json:"cancel"`
	Stage  string `json:"stage,omitempty"` // empty: the whole run
	By     int    `json:"by"`              // the process that asks
}

// Reply is what the driver did.
type Reply struct {
	Jobs  int    `json:"jobs"` // that it touched
	Error string `json:"error,omitempty"`
}

// Ask asks the driver of a run and waits for its reply. It fails with context.DeadlineExceeded when there
// is none in time.
func (r *Run) Ask(ctx context.Context, q Request) (Reply, error) {
	root, err := r.root()
	if err != nil {
		return Reply{}, err
	}
	defer root.Close()
	q.By = os.Getpid()
	name := fmt.Sprintf("control/%d-%d", time.Now().UnixNano(), q.By)
	if err := writeJSON(root, name+".ask", q); err != nil {
		return Reply{}, fmt.Errorf("ask the driver of run %s: %w", r.Record.ID, err)
	}
	tick := time.NewTicker(requestEvery)
	defer tick.Stop()
	for {
		driven := r.Driven() // before the look: whatever was answered until then is seen
		var reply Reply
		if err := readJSON(root, name+".reply", &reply); err == nil {
			return reply, root.Remove(name + ".reply")
		}
		if !driven {
			return Reply{}, errors.Join(ErrNotDriven, ignoreMissing(root.Remove(name+".ask")))
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return Reply{}, errors.Join(context.Cause(ctx), ignoreMissing(root.Remove(name+".ask")))
		}
	}
}

// Requests calls do for each request that comes until ctx ends.
func (d *Driver) Requests(ctx context.Context, do func(Request) Reply) error {
	tick := time.NewTicker(requestEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
		if err := d.answerRequests(do); err != nil {
			return err
		}
	}
}

func (d *Driver) answerRequests(do func(Request) Reply) error {
	names, err := d.requests(".ask")
	if err != nil {
		return err
	}
	for _, name := range names {
		var q Request
		reply := Reply{Error: "the request cannot be read"}
		if readJSON(d.root, name+".ask", &q) == nil {
			reply = do(q)
		}
		if err := errors.Join(writeJSON(d.root, name+".reply", reply), ignoreMissing(d.root.Remove(name+".ask"))); err != nil {
			return err
		}
	}
	return nil
}

func (d *Driver) requests(suffix string) (names []string, err error) {
	entries, err := fs.ReadDir(d.root.FS(), "control")
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		if name, ok := strings.CutSuffix(e.Name(), suffix); ok {
			names = append(names, "control/"+name)
		}
	}
	return names, nil
}

// forgetRequests removes what was asked of drivers before.
func (d *Driver) forgetRequests() error {
	for _, suffix := range []string{".ask", ".reply"} {
		names, err := d.requests(suffix)
		if err != nil {
			return err
		}
		for _, name := range names {
			if err := ignoreMissing(d.root.Remove(name + suffix)); err != nil {
				return err
			}
		}
	}
	return nil
}

func ignoreMissing(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}
