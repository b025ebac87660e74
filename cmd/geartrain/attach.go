package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/geartrain/geartrain/gearman"
)

// attachCommand is `geartrain attach`: what a job says from now on, and its result.
type attachCommand struct {
	std     *streams
	logging *logFlags
	servers serverFlags
	timeout time.Duration
}

func newAttachCommand(std *streams, logging *logFlags) *cobra.Command {
	a := &attachCommand{std: std, logging: logging}
	cmd := &cobra.Command{
		Use:   "attach FUNCTION KEY",
		Short: "Wait for a job that is there, by its key, and print its result; never makes a job",
		Long: `Wait for a job that is there and print its result. Data and result go to standard output, warnings and progress to
standard error, which also says what was found: a job that is queued, scheduled or running, or a result that is kept.
Without any the code is 7, and nothing was made. Interrupting it leaves the job alone.

A stock gearmand is asked whether it knows the key, and then sent a submission that joins. It looks at the key alone:
when that is a job of another function, or the job ends just then, a new job without a payload is made.`,
		Example: `  geartrain do report -b -u 2026-11-30 data   # now, or on another machine
  geartrain attach report 2026-11-30`,
		Args: cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error { return a.run(cmd.Context(), args[0], args[1]) },
	}
	flags := cmd.Flags()
	a.servers.register(flags)
	flags.DurationVarP(&a.timeout, "timeout", "t", 0, "give up waiting after this time, 0 for never")
	flags.BoolP("no-input", "s", false, "")
	_ = flags.MarkHidden("no-input") // for hands that know gearman -u KEY -s: there is never input
	return cmd
}

func (a *attachCommand) run(ctx context.Context, function, key string) error {
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	if a.timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, a.timeout)
		defer cancel()
	}
	client, err := newClient(a.std, a.logging, a.servers.orDefault())
	if err != nil {
		return err
	}
	defer client.Close()
	found, err := client.Find(ctx, function, key)
	if err != nil {
		return interrupted(ctx, err)
	}
	if found.State == gearman.JobNone || found.State == gearman.JobDead {
		return a.nothing(function, key, found)
	}
	output := jobOutput{std: a.std}
	task := gearman.Task{Function: function, Key: key}
	output.watch(&task)
	told := false
	task.OnCreated = func(gearman.Handle) {
		if !told {
			fmt.Fprintf(a.std.err, "geartrain: attached to %s, key %s: %s\n", visible(function), visible(key), stateText(found))
		}
		told = true // not once more after a lost connection
	}
	result, err := client.Attach(ctx, task)
	switch {
	case errors.Is(err, gearman.ErrNoJob):
		return a.nothing(function, key, gearman.Found{State: gearman.JobNone})
	case err != nil:
		return interrupted(ctx, err)
	}
	output.result(function, result.Payload)
	return output.err
}

// nothing is the error when there is nothing to attach to.
func (a *attachCommand) nothing(function, key string, found gearman.Found) error {
	if found.State == gearman.JobDead {
		return &codedError{exitNotFound, fmt.Errorf("the job of %s with key %s used up its attempts; see: geartrain admin dead list",
			visible(function), visible(key))}
	}
	return &codedError{exitNotFound, fmt.Errorf("no job of %s with key %s, and no kept result; nothing was made. To submit one: geartrain do %s -u %s",
		visible(function), visible(key), visible(function), visible(key))}
}

// stateText is a state with its age, where that is known.
func stateText(f gearman.Found) string {
	if f.For <= 0 {
		return string(f.State)
	}
	return fmt.Sprintf("%s for %s", f.State, shortly(f.For))
}

// shortly rounds an age to what a person wants to know of it.
func shortly(d time.Duration) time.Duration {
	for _, unit := range []time.Duration{time.Second, 10 * time.Millisecond, time.Millisecond} {
		if d >= 10*unit {
			return d.Round(unit)
		}
	}
	return d.Round(time.Microsecond)
}

// newClient is a client whose log goes where the command's does.
func newClient(std *streams, logging *logFlags, servers []string) (*gearman.Client, error) {
	logger, err := logging.logger(std.err)
	if err != nil {
		return nil, err
	}
	return gearman.NewClient(gearman.ClientConfig{Servers: servers, Logger: logger})
}
