package runs

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/geartrain/geartrain/flow"
)

// ErrHeld: another run holds the group, and this one is not to wait for it.
var ErrHeld = errors.New("another run holds the group")

// groupEvery is how often a run that waits for its turn looks whether it has come.
const groupEvery = 100 * time.Millisecond

// Turn is a run's right to be driven beside others, until it is released. Groups hold among all who share the
// state folder.
//
//	TakeTurn ──► group free? ──► max_runs? ──► turn ──► Release, or the end of the process
//	               │ no: on_conflict
//	               ├─ queue    waits, in the order of coming
//	               ├─ replace  has the other cancelled, and waits
//	               ├─ join     waits for its end, and takes its report: Joined
//	               └─ skip     ErrHeld
type Turn struct {
	Joined *Run // the run whose end is this one's too; there is then nothing to drive
	places []*os.File
}

// Release gives the turn back.
func (t *Turn) Release() error {
	var errs []error
	for _, f := range t.places {
		errs = append(errs, f.Close())
	}
	t.places = nil
	return errors.Join(errs...)
}

// TakeTurn waits until a run may be driven beside the others of its group and pipeline, or does with them what
// the plan says. say is told once whom it waits for.
func (s *State) TakeTurn(ctx context.Context, plan *flow.Plan, r *Record, say func(string)) (*Turn, error) {
	t := &Turn{}
	if plan.Concurrency != nil {
		name := "group " + r.Group
		if err := s.takeGroup(ctx, t, name, 1, plan.Concurrency.OnConflict, r, say); err != nil || t.Joined != nil {
			return t, errors.Join(err, t.Release())
		}
	}
	if plan.MaxRuns > 0 {
		if err := s.takeGroup(ctx, t, "max_runs "+plan.Name, plan.MaxRuns, flow.QueueRun, r, say); err != nil {
			return t, errors.Join(err, t.Release())
		}
	}
	return t, nil
}

// takeGroup takes one of a group's places.
func (s *State) takeGroup(ctx context.Context, t *Turn, group string, count int, conflict flow.Conflict, r *Record, say func(string)) error {
	var line *ticket // nil: there is no line to stand in
	if conflict == flow.QueueRun {
		var err error
		if line, err = s.line(group, r.ID, time.Now()); err != nil {
			return err
		}
		defer line.leave() //nolint:errcheck // what stays is passed over
	}
	other := ""
	for {
		file, holder, err := s.tryPlace(line, group, count, r.ID)
		switch {
		case err != nil:
			return err
		case file != nil && other != "" && conflict == flow.JoinRun:
			t.Joined, err = s.open(other)
			return errors.Join(err, file.Close())
		case file != nil:
			t.places = append(t.places, file)
			return nil
		}
		if holder != other {
			if err := s.meet(ctx, conflict, group, holder, say); err != nil {
				return err
			}
			other = holder
		}
		select {
		case <-time.After(groupEvery):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// meet does what is to be done about a run that holds the group.
func (s *State) meet(ctx context.Context, conflict flow.Conflict, group, holder string, say func(string)) error {
	switch conflict {
	case flow.SkipRun:
		return fmt.Errorf("%w: run %s (%s)", ErrHeld, holder, group)
	case flow.ReplaceRun:
		say(fmt.Sprintf("takes the place of run %s, which is cancelled", holder))
		if other, err := s.open(holder); err == nil && other.Driven() {
			ctx, stop := context.WithTimeout(ctx, 10*time.Second)
			defer stop()
			_, err := other.Ask(ctx, Request{Cancel: true})
			return err
		}
		return nil
	case flow.JoinRun:
		say(fmt.Sprintf("joins run %s", holder))
		return nil
	}
	say(fmt.Sprintf("waits for run %s (%s)", holder, group))
	return nil
}

// tryPlace takes a place of the group, if it is this one's turn, or says who has one.
func (s *State) tryPlace(line *ticket, group string, count int, id string) (file *os.File, holder string, err error) {
	if err := s.root.MkdirAll("groups", 0o700); err != nil {
		return nil, "", err
	}
	first := true
	if line != nil {
		if first, err = line.isFirst(time.Now()); err != nil {
			return nil, "", err
		}
	}
	sum := sha256.Sum256([]byte(group))
	for i := range count {
		name := fmt.Sprintf("groups/%s-%d", hex.EncodeToString(sum[:16]), i)
		file, err := s.root.OpenFile(name, os.O_CREATE|os.O_RDWR, 0o600)
		if err != nil {
			return nil, "", err
		}
		if !first || lockFile(file) != nil {
			var held struct{ Run string }
			if err := json.NewDecoder(file).Decode(&held); err == nil {
				holder = held.Run
			}
			if err := file.Close(); err != nil {
				return nil, "", err
			}
			continue
		}
		text, err := json.Marshal(map[string]string{"run": id})
		if err == nil {
			err = file.Truncate(0)
		}
		if err == nil {
			_, err = file.WriteAt(text, 0)
		}
		if err != nil {
			return nil, "", errors.Join(err, file.Close())
		}
		return file, "", nil
	}
	return nil, holder, nil
}
