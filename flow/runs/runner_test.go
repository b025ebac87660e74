package runs

import (
	"context"
	"encoding/json"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/geartrain/geartrain/flow"
	"github.com/geartrain/geartrain/gearman"
	"github.com/geartrain/geartrain/server/servertest"
)

// place is a server in memory, with runners that share a state folder.
type place struct {
	state  *State
	server *servertest.Server
	log    *slog.Logger
}

func newPlace(t *testing.T) *place {
	return &place{openState(t), servertest.Pipe(t), slog.New(slog.DiscardHandler)}
}

func (p *place) client(t *testing.T) *gearman.Client {
	c, err := gearman.NewClient(gearman.ClientConfig{Servers: []string{"pipe"}, Dial: p.server.Dial, Logger: p.log})
	require.NoError(t, err)
	t.Cleanup(func() { _ = c.Close() }) // it says only that it was closed before
	return c
}

func (p *place) runner(t *testing.T) *Runner {
	return &Runner{State: p.state, Client: p.client(t), Servers: []string{"pipe"}, Logger: p.log}
}

// queued is how many runs wait for a runner.
func (p *place) queued(t *testing.T) int {
	admin, err := gearman.DialAdmin(t.Context(), gearman.AdminConfig{Server: "pipe", Dial: p.server.Dial})
	require.NoError(t, err)
	defer admin.Close()
	list, err := admin.Functions(t.Context())
	require.NoError(t, err)
	for _, f := range list {
		if f.Function == Function {
			return f.Jobs
		}
	}
	return 0
}

// work serves functions until the returned function is called.
func (p *place) work(t *testing.T, handle func(*gearman.Worker)) (stop func()) {
	w, err := gearman.NewWorker(gearman.WorkerConfig{Servers: []string{"pipe"}, Dial: p.server.Dial, Logger: p.log, Concurrency: 4, DrainFor: -1})
	require.NoError(t, err)
	handle(w)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- w.Run(ctx) }()
	return func() {
		cancel()
		require.NoError(t, <-ended)
	}
}

func (p *place) schedule(t *testing.T, overlap string, seen time.Time) {
	file := filepath.Join(t.TempDir(), "p.yaml")
	require.NoError(t, os.WriteFile(file, []byte(`
name: p
schedule: {cron: "0 * * * *", catch_up: 1d, overlap: `+overlap+`}
stages:
  - name: s
    function: f
`), 0o600))
	require.NoError(t, p.state.AddSchedule(Schedule{Name: "p", File: file, Seen: seen}))
}

func TestScheduleStartsWhatIsDueOnce(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	seen := at(t, "2026-01-10T00:30:00Z")
	p.schedule(t, "queue", seen)
	one, two := p.runner(t), p.runner(t)
	for _, r := range []*Runner{one, two, one, two} {
		require.NoError(t, r.look(t.Context(), at(t, "2026-01-10T02:10:00Z")))
	}
	require.Equal(t, 1, p.queued(t), "the second waits until the first is over")
	all, err := p.state.Schedules()
	require.NoError(t, err)
	require.Len(t, all[0].Pending, 1)
	run, err := p.state.Find("last")
	require.NoError(t, err)
	require.Equal(t, StateQueued, run.State())
	require.Equal(t, at(t, "2026-01-10T01:00:00Z"), run.Record.ScheduledAt)

	require.NoError(t, p.state.Abandon(run))
	require.NoError(t, two.look(t.Context(), at(t, "2026-01-10T02:10:01Z")))
	all, err = p.state.Schedules()
	require.NoError(t, err)
	require.Empty(t, all[0].Pending)
	require.NotEqual(t, run.Record.ID, all[0].Last)
}

func TestScheduleSkipsOrReplacesWhatIsNotOver(t *testing.T) {
	t.Parallel()
	for overlap, ended := range map[string]flow.Status{"skip": "", "join": "", "replace": flow.Cancelled} {
		p := newPlace(t)
		p.schedule(t, overlap, at(t, "2026-01-10T00:30:00Z"))
		r := p.runner(t)
		require.NoError(t, r.look(t.Context(), at(t, "2026-01-10T01:00:00Z")))
		first, err := p.state.Find("last")
		require.NoError(t, err)
		require.NoError(t, r.look(t.Context(), at(t, "2026-01-10T02:00:00Z")))
		first, err = p.state.Find(first.Record.ID)
		require.NoError(t, err)
		require.Equal(t, ended, first.Record.Status, overlap)
		ids, err := p.state.IDs()
		require.NoError(t, err)
		require.Len(t, ids, map[string]int{"skip": 1, "join": 1, "replace": 2}[overlap], overlap)
	}
}

// A runner that goes in the middle of a run leaves it to the next, which does what is missing.
func TestNextRunnerCarriesOn(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	source := "name: p\nstages:\n  - name: s\n    function: f\n    for_each: 6\n    max_parallel: 1\n"
	o := &Order{Pipeline: "p", Source: source, Params: map[string]any{}, ScheduledAt: at(t, "2026-01-10T00:00:00Z")}
	var err error
	o.Run, err = flow.RunID("p", o.Params, o.ScheduledAt)
	require.NoError(t, err)
	require.NoError(t, p.state.Place(o, []string{"pipe"}))
	_, err = o.Submit(t.Context(), p.client(t))
	require.NoError(t, err)

	var ran atomic.Int32
	third, goOn := make(chan struct{}), make(chan struct{})
	defer p.work(t, func(w *gearman.Worker) {
		w.Handle("f", func(context.Context, *gearman.Job) ([]byte, error) {
			if ran.Add(1) == 3 {
				close(third)
				<-goOn
			}
			return []byte("done"), nil
		})
	})()
	stop := p.work(t, func(w *gearman.Worker) { p.runner(t).Handle(w, 1) })
	<-third
	stop()
	run, err := p.state.Find(o.Run)
	require.NoError(t, err)
	require.Equal(t, StateUnfinished, run.State())
	close(goOn)

	defer p.work(t, func(w *gearman.Worker) { p.runner(t).Handle(w, 1) })()
	require.Eventually(t, func() bool {
		run, err := p.state.Find(o.Run)
		return err == nil && run.State() == string(flow.Success)
	}, 2*time.Minute, 5*time.Millisecond)
	require.LessOrEqual(t, ran.Load(), int32(7), "at most the one that ran when the runner went")
}

func TestOrdersThatAreNotTakenAtTheirWord(t *testing.T) {
	t.Parallel()
	good := func() *Order {
		o := &Order{
			Version: 1, Pipeline: "p", Source: "name: p\nstages:\n  - name: s\n    function: f\n",
			Params: map[string]any{}, ScheduledAt: at(t, "2026-01-10T00:00:00Z"),
		}
		var err error
		o.Run, err = flow.RunID(o.Pipeline, o.Params, o.ScheduledAt)
		require.NoError(t, err)
		return o
	}
	read := func(o *Order) error {
		payload, err := json.Marshal(o)
		require.NoError(t, err)
		_, _, err = readOrder(payload)
		return err
	}
	require.NoError(t, read(good()))
	for want, change := range map[string]func(*Order){
		"id is not that of": func(o *Order) { o.Run = "../../etc" },
		"form 2":            func(o *Order) { o.Version = 2 },
		`its file is "q"`:   func(o *Order) { o.Source = strings.Replace(o.Source, "name: p", "name: q", 1) },
		"":                  func(o *Order) { o.Source = "stages: [" },
	} {
		o := good()
		change(o)
		require.ErrorContains(t, read(o), want)
	}
	_, _, err := readOrder([]byte("not json"))
	require.Error(t, err)
}
