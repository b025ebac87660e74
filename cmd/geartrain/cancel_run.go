package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/geartrain/geartrain/flow/runs"
	"github.com/geartrain/geartrain/gearman"
)

// askFor is how long the process that drives a run has for its answer.
const askFor = 10 * time.Second

// namesRun reports whether a word is meant as a run's id, and not as a function's name.
func namesRun(word string) bool { return word == "last" || strings.HasPrefix(word, "r1.") }

// cancelledRun is what cancel did to a run.
type cancelledRun struct {
	Run   string `json:"run"`
	Stage string `json:"stage,omitempty"`
	Jobs  int    `json:"jobs"` // that were open and now are not
}

// cancelRun has the process that drives a run end it, or a stage of it.
func (c *cancelCommand) cancelRun(ctx context.Context, text string, stage []string) error {
	state, run, err := c.state.find(text)
	if err != nil {
		return err
	}
	defer state.Close()
	done := cancelledRun{Run: run.Record.ID, Stage: strings.Join(stage, "")}
	switch run.State() {
	case runs.StateRunning:
		err = c.askDriver(ctx, run, &done)
	case runs.StateQueued, runs.StateUnfinished:
		err = c.abandon(ctx, state, run, &done)
	default:
		err = &codedError{exitNotFound, fmt.Errorf("run %s has ended already, with %s; nothing was changed", shortID(done.Run), run.State())}
	}
	if err != nil {
		return err
	}
	if c.asJSON {
		return printJSON(c.std.out, done)
	}
	_, err = fmt.Fprintf(c.std.out, "cancelled %s: %d open jobs\n", strings.TrimSpace(done.Run+" "+done.Stage), done.Jobs)
	return err
}

func (c *cancelCommand) askDriver(ctx context.Context, run *runs.Run, done *cancelledRun) error {
	ctx, stop := context.WithTimeout(ctx, askFor)
	defer stop()
	reply, err := run.Ask(ctx, runs.Request{Cancel: true, Stage: done.Stage})
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		holder, _ := run.Driver() // empty when it has just gone
		return &codedError{exitTimeout, fmt.Errorf("the runner (%s) did not answer within %s; nothing is known to have changed", holder, askFor)}
	case errors.Is(err, runs.ErrNotDriven):
		return &codedError{exitNotFound, fmt.Errorf("run %s ended just now; nothing was changed", shortID(done.Run))}
	case err != nil:
		return err
	case reply.Error != "":
		return &codedError{exitNotFound, errors.New(reply.Error)}
	}
	done.Jobs = reply.Jobs
	return nil
}

// abandon ends a run that nobody drives, and the job that would have a runner begin with it.
func (c *cancelCommand) abandon(ctx context.Context, state *runs.State, run *runs.Run, done *cancelledRun) error {
	if done.Stage != "" {
		return &codedError{exitNotFound, fmt.Errorf("nobody drives run %s, so none of its stages runs; nothing was changed", shortID(done.Run))}
	}
	if servers := run.Record.Servers; len(servers) > 0 { // it may be a job that waits for a runner
		client, err := newClient(c.std, c.logging, servers)
		if err != nil {
			return err
		}
		defer client.Close()
		// A server that cannot do it hands the job to a runner, which finds the run cancelled.
		if _, err := client.CancelKey(ctx, runs.Function, run.Record.ID); err != nil && !errors.Is(err, gearman.ErrUnsupported) {
			return err
		}
	}
	return state.Abandon(run)
}
