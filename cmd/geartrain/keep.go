package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/geartrain/geartrain/flow"
	"github.com/geartrain/geartrain/flow/runs"
)

// keeper is what `geartrain run` keeps of its run, so that it can be carried on. Without a state folder it
// keeps nothing, and all its methods do nothing.
//
//	open ──► settle: which run is it? ──► drive ──► begin ──► the run ──► finish ──► close
type keeper struct {
	path   string // of the pipeline file; empty: it came on standard input
	source []byte
	state  *runs.State // nil: nothing is kept
	driver *runs.Driver
	output io.WriteCloser
	turn   *runs.Turn // beside other runs; nil: none was needed
	stop   func()     // ends what attends to the run
}

// noKeeper keeps nothing.
func noKeeper() *keeper { return &keeper{stop: func() {}} }

// openKeeper opens the state folder. One that nobody named and that cannot be had is no reason not to run.
func (r *runCommand) openKeeper(file string) (k *keeper, err error) {
	k = noKeeper()
	if r.noData {
		return k, nil
	}
	if k.path, k.source, err = sourceOf(file); err != nil {
		return k, err
	}
	state, err := r.state.open()
	if err != nil && r.state.named() == "" && !r.resume {
		if !r.quiet {
			fmt.Fprintf(r.std.err, "note: this run cannot be carried on: %v\n", err)
		}
		return k, nil
	}
	k.state = state
	return k, err
}

// unfinished is the run of the same file and parameters that can be carried on; nil: none.
func (k *keeper) unfinished(plan *flow.Plan, given map[string]string) (*runs.Run, error) {
	if k.state == nil || k.path == "" {
		return nil, nil
	}
	return k.state.Unfinished(plan.Name, k.path, func(r *runs.Record) bool {
		params, err := flow.ParseParams(plan, given, r.ScheduledAt)
		return err == nil && runs.SameParams(params, r.Params)
	})
}

// drive waits for the run's turn and takes its lease. joined is the run that is driven in place of it.
func (k *keeper) drive(ctx context.Context, plan *flow.Plan, servers []string, options *flow.RunOptions, say func(string)) (joined *runs.Run, err error) {
	if k.state == nil {
		return nil, nil
	}
	record := runs.Record{
		ID: options.ID, Pipeline: plan.Name, File: k.path, Params: options.Params,
		ScheduledAt: options.ScheduledAt, Sample: options.Sample, Servers: servers,
	}
	if record.Group, err = plan.GroupOf(options.Params, options.ID, options.ScheduledAt); err != nil {
		return nil, err
	}
	if k.turn, err = k.state.TakeTurn(ctx, plan, &record, say); err != nil || k.turn.Joined != nil {
		if errors.Is(err, runs.ErrHeld) {
			err = &codedError{exitNotAttempted, fmt.Errorf("%w; nothing was run", err)}
		}
		return k.turn.Joined, err
	}
	return nil, k.lease(record, options)
}

func (k *keeper) lease(record runs.Record, options *flow.RunOptions) error {
	driver, err := k.state.Drive(record, k.source)
	if errors.Is(err, runs.ErrDriven) {
		return &codedError{exitNotAttempted, fmt.Errorf("%w; nothing was run", err)}
	}
	if err != nil {
		return err
	}
	k.driver = driver
	options.Journal, options.Attempt = driver, driver.Record().Attempt
	return nil
}

// begin makes the run known, and attends to it.
func (k *keeper) begin(run *flow.Run, servers []string, cancel context.CancelCauseFunc) error {
	if k.driver == nil {
		return nil
	}
	if err := k.driver.Begin(servers); err != nil {
		return err
	}
	k.stop = k.driver.Attend(run, cancel)
	return nil
}

// carriedOn says that the run was started before; empty: it was not.
func (k *keeper) carriedOn() string {
	if k.driver == nil || !k.driver.Resumed() {
		return ""
	}
	return fmt.Sprintf(", carried on: %d earlier results", k.driver.Known())
}

// log is the writer for what is said by a job, or by a hook when stage and key are empty.
func (k *keeper) log(stage, key string, also io.Writer) io.Writer {
	if k.driver == nil {
		return also
	}
	return k.driver.Log(stage, key, also)
}

// keepOutput is a writer that writes to w, and keeps the same.
func (k *keeper) keepOutput(w io.Writer) io.Writer {
	if k.driver == nil {
		return w
	}
	k.output = k.driver.Output()
	return io.MultiWriter(w, k.output)
}

// finish keeps the end.
func (k *keeper) finish(report *flow.Report, runErr error, interrupted bool) error {
	k.stop()
	if k.driver == nil || report == nil {
		return nil
	}
	return k.driver.Finish(report, runErr, interrupted)
}

// close gives the run back, and tidies up the folder now and then.
func (k *keeper) close() error {
	if k.state == nil {
		return nil
	}
	var errs []error
	if k.output != nil {
		errs = append(errs, k.output.Close())
	}
	if k.driver != nil {
		errs = append(errs, k.driver.Close())
	}
	if k.turn != nil {
		errs = append(errs, k.turn.Release())
	}
	_, err := k.state.Prune(time.Now())
	return errors.Join(append(errs, err, k.state.Close())...)
}

// sourceOf is the path of a pipeline file as the record has it, and its text. Standard input has neither.
func sourceOf(name string) (path string, text []byte, err error) {
	if name == "-" {
		return "", nil, nil
	}
	if text, err = os.ReadFile(name); err == nil {
		path, err = filepath.Abs(name)
	}
	if err != nil {
		return "", nil, &codedError{exitNoServer, err}
	}
	return path, text, nil
}

// await takes the run's turn, and the run. Ctrl-C ends the wait.
func (r *runCommand) await(ctx context.Context, k *keeper, plan *flow.Plan, servers []string, options *flow.RunOptions) (*runs.Run, error) {
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	joined, err := k.drive(ctx, plan, servers, options, func(text string) {
		if !r.quiet {
			fmt.Fprintf(r.std.err, "run %s %s\n", options.ID, text)
		}
	})
	if err != nil && ctx.Err() != nil {
		err = &codedError{exitInterrupted, errors.New("interrupted while it waited for its turn; nothing was run")}
	}
	return joined, err
}

// takeReport gives the end of another run for the end of this one.
func (r *runCommand) takeReport(joined *runs.Run) error {
	report, err := joined.Report()
	if err != nil || report == nil {
		return &codedError{exitFailed, errors.Join(fmt.Errorf("run %s, which this one joined, did not come to its end", joined.Record.ID), err)}
	}
	output, err := joined.Output()
	if err != nil {
		return err
	}
	if r.asJSON {
		err = r.writeReport(report, string(output))
	} else {
		_, err = r.std.out.Write(output)
	}
	if err != nil {
		return err
	}
	if !report.Status.Good() {
		err = fmt.Errorf("run %s, which this one joined, ended with %s", joined.Record.ID, report.Status)
	}
	return r.verdict(report, err, nil, "")
}
