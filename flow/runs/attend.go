package runs

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/geartrain/geartrain/flow"
)

// progressEvery is how often the progress of a driven run is kept.
const progressEvery = time.Second

// errAsked is why a run ends that somebody asked to cancel.
var errAsked = fmt.Errorf("%w: somebody asked for it", flow.ErrCancelled)

// Attend does for a run that has been started what its driver owes to others: it keeps how far it is, and
// does what they ask, until the returned function is called. cancel must end the run's context with the given
// cause. Trouble with it ends the run too, since it means that the run is not the driver's any more.
func (d *Driver) Attend(run *flow.Run, cancel context.CancelCauseFunc) (stop func()) {
	ctx, end := context.WithCancel(context.Background())
	var all sync.WaitGroup
	all.Go(func() {
		err := d.Requests(ctx, func(q Request) Reply { return d.reply(run, q, cancel) })
		if err != nil {
			cancel(err)
		}
	})
	all.Go(func() { d.keepProgress(ctx, run, cancel) })
	return func() {
		end()
		all.Wait()
	}
}

func (d *Driver) keepProgress(ctx context.Context, run *flow.Run, cancel context.CancelCauseFunc) {
	tick := time.NewTicker(progressEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		if err := d.SetProgress(run.Progress()); errors.Is(err, ErrFenced) {
			cancel(err)
			return
		}
	}
}

// reply does what was asked of a run.
func (d *Driver) reply(run *flow.Run, q Request, cancel context.CancelCauseFunc) (r Reply) {
	if !q.Cancel {
		return Reply{Error: "this version cannot do that"}
	}
	if q.Stage == "" {
		for _, s := range run.Progress() {
			r.Jobs += s.Open + s.Waiting
		}
		cancel(errAsked)
		return r
	}
	var err error
	if r.Jobs, err = run.CancelStage(q.Stage); err != nil {
		r.Error = err.Error()
	}
	return r
}
