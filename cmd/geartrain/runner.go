package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"

	"github.com/spf13/pflag"

	"github.com/geartrain/geartrain/flow/runs"
	"github.com/geartrain/geartrain/gearman"
	"github.com/geartrain/geartrain/gearman/command"
)

// runnerFlags say whether runs that are jobs are driven here, and how.
type runnerFlags struct {
	on       bool
	commands bool
	atOnce   int
	state    stateFlags
}

func (f *runnerFlags) register(flags *pflag.FlagSet) {
	flags.BoolVar(&f.on, "runner", false, "drive runs: those of run --detach, of schedules and of backfills")
	flags.BoolVar(&f.commands, "runner-commands", false,
		"run the commands of any run that is submitted: whoever can submit jobs can run programs here")
	flags.IntVar(&f.atOnce, "runs", 4, "runs at once of a runner")
	f.state.register(flags)
}

// runner is what drives runs in this process.
type runner struct {
	state  *runs.State
	client *gearman.Client
	runs.Runner
}

// open makes a runner for these servers.
func (f *runnerFlags) open(servers []string, logger *slog.Logger) (*runner, error) {
	if f.atOnce < 1 {
		return nil, usageError("--runs %d: a runner drives one run at least", f.atOnce)
	}
	state, err := f.state.open()
	if err != nil {
		return nil, err
	}
	client, err := gearman.NewClient(gearman.ClientConfig{Servers: servers, Logger: logger})
	if err != nil {
		return nil, errors.Join(err, state.Close())
	}
	return &runner{state, client, runs.Runner{
		State: state, Client: client, Servers: servers, Commands: f.commands, Concurrency: defaultConcurrency(), Logger: logger,
		Guard: &command.Guard{},
	}}, nil
}

func (r *runner) close() error { return errors.Join(r.client.Close(), r.state.Close()) }

// start drives runs in the background until the returned function is called, which leaves what runs to the
// next runner.
func (f *runnerFlags) start(servers []string, logger *slog.Logger) (stop func() error, err error) {
	r, err := f.open(servers, logger)
	if err != nil {
		return nil, err
	}
	worker, err := gearman.NewWorker(gearman.WorkerConfig{Servers: servers, Concurrency: f.atOnce, DrainFor: -1, Logger: logger})
	if err != nil {
		return nil, errors.Join(err, r.close())
	}
	r.Handle(worker, f.atOnce)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 2)
	go func() { ended <- worker.Run(ctx) }()
	go func() { ended <- r.Watch(ctx) }()
	return func() error {
		cancel()
		return errors.Join(<-ended, <-ended, r.close())
	}, nil
}

// detachable is what is wrong with a run that is to be detached.
func (r *runCommand) detachable(servers []string) error {
	switch {
	case len(servers) == 0:
		return usageError("--detach leaves the run to a runner of a job server, and none is named: -S HOST:PORT; nothing was run")
	case r.timeout > 0:
		return usageError("--timeout is for a run that this process waits for; with --detach write timeout: in the file; nothing was run")
	case r.strict:
		return usageError("--strict is for a run that this process waits for; leave out --detach; nothing was run")
	}
	return nil
}

// detach places a run and makes a job of it.
func (r *runCommand) detach(ctx context.Context, k *keeper, servers []string, o *runs.Order) error {
	if k.state == nil {
		return usageError("--detach needs the state folder; nothing was run")
	}
	client, err := newClient(r.std, r.logging, servers)
	if err != nil {
		return err
	}
	defer client.Close()
	if err := client.Connect(ctx); err != nil {
		return fmt.Errorf("%w; nothing was run", err)
	}
	if err := k.state.Place(o, servers); err != nil {
		return err
	}
	if _, err := o.Submit(ctx, client); err != nil {
		return err
	}
	if !r.quiet {
		r.sayDetached(ctx, servers, o)
	}
	if r.asJSON {
		return printJSON(r.std.out, map[string]any{"run": o.Run, "scheduled_at": o.ScheduledAt, "servers": servers})
	}
	_, err = fmt.Fprintln(r.std.out, o.Run)
	return err
}

// sayDetached says where to look, and when nobody is there to drive the run.
func (r *runCommand) sayDetached(ctx context.Context, servers []string, o *runs.Order) {
	fmt.Fprintf(r.std.err, "run %s of %s waits for a runner; look at it with: geartrain status %s\n", o.Run, o.Pipeline, shortID(o.Run))
	if there, err := runs.HasRunner(ctx, servers); err == nil && !there {
		fmt.Fprintf(r.std.err, "note: no runner is connected; start one with: geartrain worker --runner -S %s\n", servers[0])
	}
}

// startRunner drives runs inside the server's process, on its first address, until ctx ends: the runs then go
// back to the queue, before the server waits for what still runs.
func (s *serverCommand) startRunner(ctx context.Context, listeners []net.Listener, logger *slog.Logger, watching *sync.WaitGroup) (ended func() error, err error) {
	if !s.runner.on {
		return func() error { return nil }, nil
	}
	address := listeners[0].Addr().String()
	if listeners[0].Addr().Network() == "unix" {
		address = "unix:" + address
	}
	stop, err := s.runner.start([]string{address}, logger)
	if err != nil {
		return func() error { return nil }, err
	}
	result := make(chan error, 1)
	watching.Go(func() {
		<-ctx.Done()
		result <- stop()
	})
	return func() error { return <-result }, nil
}
