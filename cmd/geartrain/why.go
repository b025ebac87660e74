package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/geartrain/geartrain/flow"
	"github.com/geartrain/geartrain/flow/form"
	"github.com/geartrain/geartrain/flow/runs"
)

func newWhyCommand(std *streams) *cobra.Command {
	l := &lookCommand{std: std}
	return l.register(&cobra.Command{
		Use:   "why RUN",
		Short: "Say why a run does not go on: what its jobs wait for",
		Long: `Says for each stage that is not over what its jobs wait for, as its job servers know it. For a run that nobody drives
it says how it ended, and what to type to go on.`,
		Example: "  geartrain why last",
		Args:    cobra.ExactArgs(1),
		RunE:    func(cmd *cobra.Command, args []string) error { return l.why(cmd.Context(), args[0]) },
	})
}

func (l *lookCommand) why(ctx context.Context, text string) error {
	state, run, err := l.state.find(text)
	if err != nil {
		return err
	}
	defer state.Close()
	reasons := []runs.Reason{}
	if run.State() == runs.StateRunning {
		found, err := l.reasons(ctx, run)
		if err != nil {
			return err
		}
		reasons = append(reasons, found...)
	} else {
		reasons = append(reasons, runs.Reason{Stage: "run", Text: endReason(run)})
	}
	if l.asJSON {
		return printJSON(l.std.out, reasons)
	}
	if len(reasons) == 0 {
		reasons = append(reasons, runs.Reason{Stage: "run", Text: "it goes on; no stage waits"})
	}
	for _, r := range reasons {
		if _, err := fmt.Fprintln(l.std.out, visible(r.String())); err != nil {
			return err
		}
	}
	return nil
}

func (l *lookCommand) reasons(ctx context.Context, run *runs.Run) ([]runs.Reason, error) {
	source, err := run.Source()
	if err != nil {
		return nil, err
	}
	file, err := form.Load("pipeline.yaml", bytes.NewReader(source))
	if err != nil {
		return nil, fmt.Errorf("the file that the run was started with: %w", err)
	}
	stages, err := run.Progress()
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	reasons, err := runs.Why(ctx, run.Record.RunsOn, file.Plan, stages)
	if err != nil {
		return nil, &codedError{exitNoServer, fmt.Errorf("the job servers of the run cannot be asked: %w", err)}
	}
	return reasons, nil
}

// endReason is why a run that nobody drives does not go on.
func endReason(run *runs.Run) string {
	r := &run.Record
	switch {
	case run.State() == runs.StateQueued:
		return fmt.Sprintf("1 queued: it waits for a runner on %s; start one with: geartrain worker --runner", strings.Join(r.Servers, ", "))
	case !r.Ended():
		return "nobody drives it, and it did not come to its end; carry it on with: geartrain retry " + shortID(r.ID)
	case r.Status.Good():
		return fmt.Sprintf("it ended with %s", r.Status)
	}
	return fmt.Sprintf("it ended with %s: %s; again what has no result: geartrain retry %s", r.Status, r.Error, shortID(r.ID))
}

// whyAfter is how long a run must not have moved before the servers are asked why.
const whyAfter = time.Second

// sayWhy says on w why a run does not move, once for each reason, until the returned function is called.
func sayWhy(w io.Writer, servers []string, run *flow.Run) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var watcher sync.WaitGroup
	watcher.Go(func() {
		said, moved := map[string]bool{}, -1
		tick := time.NewTicker(whyAfter)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
			case <-ctx.Done():
				return
			}
			stages, ended := run.Progress(), 0
			for _, s := range stages {
				ended += s.Ended()
			}
			if ended != moved {
				moved = ended
				continue
			}
			for _, reason := range stuck(ctx, servers, run.Plan(), stages) {
				if text := visible(reason.String()); !said[text] {
					said[text] = true
					fmt.Fprintln(w, text)
				}
			}
		}
	})
	return func() {
		cancel()
		watcher.Wait()
	}
}

// stuck is what keeps stages from moving that nobody works on. That jobs take their time is no news.
func stuck(ctx context.Context, servers []string, plan *flow.Plan, stages []flow.StageProgress) []runs.Reason {
	ctx, cancel := context.WithTimeout(ctx, whyAfter)
	defer cancel()
	reasons, err := runs.Why(ctx, servers, plan, stages)
	if err != nil {
		return nil // the client says what is wrong with servers
	}
	return slices.DeleteFunc(reasons, func(r runs.Reason) bool { return !r.Stuck })
}
