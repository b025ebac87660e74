package runs

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/geartrain/geartrain/flow"
	"github.com/geartrain/geartrain/flow/form"
)

// ErrNoSchedule: there is no schedule of that name.
var ErrNoSchedule = errors.New("no such schedule")

// scheduleName is what the name of a schedule looks like: it is a file's name.
var scheduleName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_-]{0,99}$`)

// Schedule is a pipeline file whose runs are started by the clock. When they are due is said by the file as it
// is by then.
type Schedule struct {
	Name    string            `json:"name"`
	File    string            `json:"file"`
	Params  map[string]string `json:"params,omitempty"` // as they were given
	AddedAt time.Time         `json:"added_at"`
	Seen    time.Time         `json:"seen"`              // what was due until then has been taken notice of
	Pending []time.Time       `json:"pending,omitempty"` // due, and not started yet
	Last    string            `json:"last,omitempty"`    // the run that was started last
	Error   string            `json:"error,omitempty"`   // why nothing can be started
}

// AddSchedule adds a schedule, or replaces the one of the same name. What is due from now on is run.
func (s *State) AddSchedule(e Schedule) error {
	if !scheduleName.MatchString(e.Name) {
		return fmt.Errorf("schedule %q: a name has letters, digits, - and _", e.Name)
	}
	return writeJSON(s.root, "schedules/"+e.Name+".json", e)
}

// RemoveSchedule removes a schedule. Its runs stay.
func (s *State) RemoveSchedule(name string) error {
	if !scheduleName.MatchString(name) {
		return fmt.Errorf("%w: %q", ErrNoSchedule, name)
	}
	err := s.root.Remove("schedules/" + name + ".json")
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%w: %q", ErrNoSchedule, name)
	}
	return err
}

// Schedules are all schedules, by name.
func (s *State) Schedules() ([]Schedule, error) {
	entries, err := fs.ReadDir(s.root.FS(), "schedules")
	if err != nil {
		return nil, err
	}
	var all []Schedule
	for _, e := range entries {
		name, ok := strings.CutSuffix(e.Name(), ".json")
		if !ok || !scheduleName.MatchString(name) {
			continue
		}
		var schedule Schedule
		if err := readJSON(s.root, "schedules/"+e.Name(), &schedule); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
		schedule.Name = name
		all = append(all, schedule)
	}
	return all, nil
}

// Of schedules.
const (
	watchEvery = time.Second
	onTime     = time.Minute // a run that is no later than this is not late: a runner was just being started
	maxPending = 1000        // due times that wait
)

// Watch starts what is due by the schedules of the state folder, as jobs of the runner's servers, until ctx
// ends. Of several runners with one folder one at a time looks. Each due time is one run, whose id comes from
// it, so it is never two, whoever starts it.
func (r *Runner) Watch(ctx context.Context) error {
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	for {
		select {
		case now := <-tick.C:
			if err := r.look(ctx, now); err != nil && ctx.Err() == nil {
				r.logger().Error("schedules", slog.Any("error", err))
			}
		case <-ctx.Done():
			return nil
		}
	}
}

// look looks at all schedules once.
func (r *Runner) look(ctx context.Context, now time.Time) error {
	lock, err := r.State.root.OpenFile("schedules/lock", os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	defer lock.Close()
	if lockFile(lock) != nil {
		return nil // another runner looks
	}
	all, err := r.State.Schedules()
	if err != nil {
		return err
	}
	var errs []error
	for i := range all {
		if err := r.advance(ctx, &all[i], now); err != nil {
			errs = append(errs, fmt.Errorf("schedule %s: %w", all[i].Name, err))
		}
	}
	return errors.Join(errs...)
}

// advance takes notice of what is due, and starts what can be started.
func (r *Runner) advance(ctx context.Context, e *Schedule, now time.Time) error {
	before := *e
	before.Pending = slices.Clone(e.Pending)
	source, plan, err := e.load()
	if err == nil {
		var due []time.Time
		due, err = DueTimes(plan.Schedule, e.Seen, now)
		e.Seen, e.Pending = now.UTC(), append(e.Pending, due...)
	}
	if err == nil && len(e.Pending) > 0 {
		err = r.startDue(ctx, e, plan, source)
	}
	e.Error = ""
	if err != nil {
		e.Error = err.Error()
	}
	changed := len(e.Pending) != len(before.Pending) || e.Last != before.Last || e.Error != before.Error
	if !changed && now.Sub(before.Seen) < onTime/4 {
		return nil // nothing to keep; the same is found again
	}
	if e.Error != "" && e.Error != before.Error {
		r.logger().Error("schedule", slog.String("name", e.Name), slog.Any("error", err))
	}
	if _, err := r.State.root.Stat("schedules/" + e.Name + ".json"); err != nil {
		return nil // it has been removed meanwhile
	}
	return r.State.AddSchedule(*e)
}

func (e *Schedule) load() ([]byte, *flow.Plan, error) {
	source, err := os.ReadFile(e.File)
	if err != nil {
		return nil, nil, err
	}
	file, err := form.LoadFile(e.File)
	if err != nil {
		return nil, nil, err
	}
	if file.Plan.Schedule == nil {
		return nil, nil, fmt.Errorf("%s has no schedule any more", e.File)
	}
	return source, file.Plan, nil
}

// DueTimes are the times after seen, and until now, at which runs are due, as far as they are still to be made
// up: those of the last minute, or for as long as CatchUp says.
func DueTimes(s *flow.Schedule, seen, now time.Time) ([]time.Time, error) {
	from := now.Add(-max(s.CatchUp, onTime))
	if from.Before(seen) {
		from = seen
	}
	var due []time.Time
	for len(due) < maxPending {
		next, err := s.Next(from)
		if err != nil {
			return nil, err
		}
		if next.IsZero() || next.After(now) {
			break
		}
		due, from = append(due, next.UTC()), next
	}
	return due, nil
}

// startDue starts pending runs, as far as the one before allows.
func (r *Runner) startDue(ctx context.Context, e *Schedule, plan *flow.Plan, source []byte) error {
	for len(e.Pending) > 0 {
		active, err := r.State.activeOf(e)
		if err != nil {
			return err
		}
		if active != nil {
			switch plan.Schedule.Overlap {
			case flow.SkipRun, flow.JoinRun:
				r.logger().Warn("a run is due while the one before is not over; it is not made",
					slog.String("schedule", e.Name), slog.Time("due", e.Pending[0]), slog.String("run", active.Record.ID))
				e.Pending = e.Pending[1:]
				continue
			case flow.ReplaceRun:
				if err := r.replace(ctx, active); err != nil {
					return err
				}
			default:
				return nil // it waits
			}
		}
		if err := r.startOne(ctx, e, plan, source, e.Pending[0]); err != nil {
			return err
		}
		e.Pending = e.Pending[1:]
	}
	return nil
}

// activeOf is the schedule's last run, if it is not over.
func (s *State) activeOf(e *Schedule) (*Run, error) {
	if e.Last == "" {
		return nil, nil
	}
	last, err := s.open(e.Last)
	if errors.Is(err, ErrNotFound) || err == nil && last.Record.Ended() && !last.Driven() {
		return nil, nil
	}
	return last, err
}

// replace cancels a run, whether it has begun or not.
func (r *Runner) replace(ctx context.Context, active *Run) error {
	if active.Driven() {
		ctx, stop := context.WithTimeout(ctx, 10*time.Second)
		defer stop()
		_, err := active.Ask(ctx, Request{Cancel: true})
		return err
	}
	return r.State.Abandon(active) // a runner that gets its job finds it cancelled
}

func (r *Runner) startOne(ctx context.Context, e *Schedule, plan *flow.Plan, source []byte, due time.Time) error {
	o := &Order{Pipeline: plan.Name, File: e.File, Source: string(source), ScheduledAt: due}
	var err error
	if o.Params, err = flow.ParseParams(plan, e.Params, due); err != nil {
		return err
	}
	if o.Run, err = flow.RunID(o.Pipeline, o.Params, due); err != nil {
		return err
	}
	if old, err := r.State.open(o.Run); err == nil && old.Record.Starts > 0 {
		e.Last = o.Run // somebody has started it before
		return nil
	}
	if err := r.State.Place(o, r.Servers); err != nil {
		return err
	}
	if _, err := o.Submit(ctx, r.Client); err != nil {
		return err
	}
	e.Last = o.Run
	r.logger().Info("run due", slog.String("schedule", e.Name), slog.String("run", o.Run), slog.Time("due", due))
	return nil
}
