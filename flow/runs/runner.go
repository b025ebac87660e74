package runs

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"time"

	"github.com/geartrain/geartrain/flow"
	"github.com/geartrain/geartrain/gearman"
	"github.com/geartrain/geartrain/gearman/command"
)

// Runner drives runs that are jobs, see [Function]. The fields must not change once it is in use.
//
//	JOB_ASSIGN ──► the order is read ──► lease ──► the run ──► report ──► WORK_COMPLETE
//	                                       │          │
//	                                       │          └─ runner ends: the job goes to the next one, which
//	                                       │             has the same keys, and the journal if it shares the folder
//	                                       └─ another process still has it: waits
type Runner struct {
	State   *State
	Client  *gearman.Client // for the jobs of runs
	Servers []string        // the same ones, for workers

	// Commands says that commands of any order are run here, so that whoever can submit a job can run programs.
	// Default: only those of files that the state folder knows.
	Commands bool

	// Guard ends the commands if this process is killed. Default: they go on alone then, beside those of whoever
	// carries the run on.
	Guard *command.Guard

	Concurrency int          // commands of one run at once. Default: as WorkerConfig has it
	Logger      *slog.Logger // Default: slog.Default()
}

// leaseEvery is how often a runner asks for a run that another process still drives.
const leaseEvery = time.Second

var errCommands = errors.New("the order brings commands to run, and this runner runs only those of files in its own " +
	"state folder; --runner-commands trusts everybody who can submit jobs")

// Handle offers runs on w.
func (r *Runner) Handle(w *gearman.Worker, atOnce int) {
	w.HandleWith(Function, gearman.FunctionConfig{MaxParallel: atOnce}, r.job)
}

func (r *Runner) logger() *slog.Logger {
	if r.Logger == nil {
		return slog.Default()
	}
	return r.Logger
}

// job is one attempt at a run.
func (r *Runner) job(ctx context.Context, job *gearman.Job) ([]byte, error) {
	o, plan, err := readOrder(job.Payload())
	if err != nil {
		return nil, gearman.NoRetry(err)
	}
	if r.State.cancelled(o) {
		return nil, gearman.NoRetry(fmt.Errorf("run %s: %w before a runner began", o.Run, errAsked))
	}
	trusted := r.Commands || r.State.knows(o)
	if !trusted && plan.HasCommandHooks() {
		return nil, gearman.NoRetry(errCommands)
	}
	report, err := r.inTurn(ctx, o, plan, trusted)
	if err != nil {
		return nil, err
	}
	r.logger().Info("run ended", slog.String("run", o.Run), slog.String("pipeline", o.Pipeline), slog.String("status", string(report.Status)))
	return json.Marshal(report)
}

// inTurn drives the run when its turn beside others has come.
func (r *Runner) inTurn(ctx context.Context, o *Order, plan *flow.Plan, trusted bool) (report *flow.Report, err error) {
	record := Record{
		ID: o.Run, Pipeline: o.Pipeline, File: o.File, Params: o.Params, ScheduledAt: o.ScheduledAt, Sample: o.Sample, Servers: r.Servers,
	}
	if record.Group, err = plan.GroupOf(o.Params, o.Run, o.ScheduledAt); err != nil {
		return nil, gearman.NoRetry(err)
	}
	turn, err := r.State.TakeTurn(ctx, plan, &record, func(text string) {
		r.logger().Info("run "+text, slog.String("run", o.Run))
	})
	switch {
	case errors.Is(err, ErrHeld):
		return nil, errors.Join(gearman.NoRetry(err), r.concludeOrder(o, flow.Skipped, err))
	case err != nil:
		return nil, err
	case turn.Joined != nil:
		return r.join(o, turn.Joined)
	}
	driver, err := r.drive(ctx, &record, o)
	if err != nil {
		return nil, errors.Join(err, turn.Release())
	}
	report, err = r.run(ctx, driver, o, plan, trusted)
	return report, errors.Join(err, driver.Close(), turn.Release())
}

// join takes the end of another run for that of the order's.
func (r *Runner) join(o *Order, other *Run) (*flow.Report, error) {
	report, err := other.Report()
	if err != nil || report == nil {
		return nil, gearman.NoRetry(errors.Join(fmt.Errorf("run %s, which was joined, did not come to its end", other.Record.ID), err))
	}
	return report, r.concludeOrder(o, report.Status, fmt.Errorf("joined run %s", other.Record.ID))
}

// concludeOrder gives a run that was placed here, and that nobody will drive, its end.
func (r *Runner) concludeOrder(o *Order, status flow.Status, why error) error {
	placed, err := r.State.open(o.Run)
	if errors.Is(err, ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	return r.State.conclude(placed, status, why)
}

// drive takes the lease, and waits for it while another process has it: the job comes here when that one
// has lost its connection, which it may still have to find out.
func (r *Runner) drive(ctx context.Context, record *Record, o *Order) (*Driver, error) {
	for {
		d, err := r.State.Drive(*record, []byte(o.Source))
		if !errors.Is(err, ErrDriven) {
			return d, err
		}
		select {
		case <-time.After(leaseEvery):
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

// run runs the plan. The error says why there is no report that counts.
func (r *Runner) run(ctx context.Context, d *Driver, o *Order, plan *flow.Plan, trusted bool) (*flow.Report, error) {
	var secrets *flow.Secrets
	if trusted {
		var err error
		if secrets, err = flow.ReadSecrets(plan, os.LookupEnv); err != nil {
			return nil, gearman.NoRetry(err)
		}
		stop, err := r.work(d, plan, o.Params, secrets)
		if err != nil {
			return nil, err
		}
		defer stop()
	}
	running, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	output := d.Output()
	defer output.Close() // what it is worth was written
	run, err := plan.Start(running, &flow.Runner{Client: r.Client, Secrets: secrets, Stderr: d.Log("", "", nil), Guard: r.Guard}, flow.RunOptions{
		ID: o.Run, Params: o.Params, ScheduledAt: o.ScheduledAt, Attempt: d.Record().Attempt,
		Output: output, Journal: d, Force: r.force(d, o), Sample: o.Sample,
	})
	if err != nil {
		return nil, gearman.NoRetry(err)
	}
	if err := d.Begin(r.Servers); err != nil {
		cancel(err)
	}
	r.logger().Info("run begun", slog.String("run", o.Run), slog.String("pipeline", o.Pipeline), slog.Int("start", d.Record().Starts))
	stop := d.Attend(run, cancel)
	run.CloseInput()
	report, runErr := run.Wait()
	stop()
	interrupted := ctx.Err() != nil && errors.Is(context.Cause(ctx), gearman.ErrWorkerStopped)
	if err := d.Finish(report, runErr, interrupted); err != nil {
		return nil, err
	}
	if interrupted {
		return nil, context.Cause(ctx)
	}
	return report, nil
}

// force is what the order forces, unless a runner before has begun with it.
func (r *Runner) force(d *Driver, o *Order) []string {
	if d.Resumed() && !d.afterEnd {
		return nil
	}
	return o.Force
}

// work does the run's commands, until the returned function is called.
func (r *Runner) work(d *Driver, plan *flow.Plan, params map[string]any, secrets *flow.Secrets) (stop func(), err error) {
	if !plan.HasCommands() {
		return func() {}, nil
	}
	w, err := gearman.NewWorker(gearman.WorkerConfig{
		Servers: r.Servers, Concurrency: r.Concurrency, DrainFor: -1, Logger: r.Logger,
	})
	if err != nil {
		return nil, fmt.Errorf("worker for the commands of %s: %w", plan.Name, err)
	}
	flow.HandleCommands(w, plan, flow.CommandOptions{
		Params: params, Secrets: secrets, Guard: r.Guard,
		Log: func(stage, key string) io.Writer { return d.Log(stage, key, nil) },
	})
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- w.Run(ctx) }()
	return func() {
		cancel()
		if err := <-ended; err != nil {
			r.logger().Warn("worker for commands", slog.String("pipeline", plan.Name), slog.Any("error", err))
		}
	}, nil
}
