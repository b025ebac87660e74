package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/geartrain/geartrain/flow"
	"github.com/geartrain/geartrain/flow/runs"
)

// backfillCommand is `geartrain backfill`: the runs that a schedule has between two times.
type backfillCommand struct {
	run     runCommand
	from    string
	to      string
	maxRuns int
	stale   bool
	dry     bool
	asJSON  bool
}

func newBackfillCommand(std *streams, logging *logFlags) *cobra.Command {
	b := &backfillCommand{run: runCommand{std: std, logging: logging, quiet: true}}
	cmd := &cobra.Command{
		Use:   "backfill FILE --from TIME --to TIME",
		Short: "Make up the runs that a schedule has between two times, and list what became of each",
		Long: `Runs a pipeline for each time at which its schedule has a run between two times, both included: its partitions. Those
that are complete are left alone, so an interrupted backfill is carried on by the same command. Then it lists them:

  complete  its run ended well
  stale     so did it, but the file has changed since; --stale runs these too
  failed    it ended otherwise
  missing   it was never begun, or not ended
  placed    it was left to a runner just now, by --detach

Exit code 0: all are complete, or placed; 1: some are not.`,
		Example: `  geartrain backfill nightly.yaml --from 2026-01-01 --to 2026-01-31
  geartrain backfill nightly.yaml --from 2026-01-01 --to 2026-01-31 --dry-run --json
  geartrain backfill nightly.yaml --from 2026-01-01 --to 2026-01-31 -S queue.example:4730 --max-runs 4`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return b.backfill(cmd.Context(), args[0]) },
	}
	flags := cmd.Flags()
	flags.StringVar(&b.from, "from", "", "the first time: a day of the schedule's zone, or as 2026-11-22T10:18:34Z")
	flags.StringVar(&b.to, "to", "", "the last time: a day, all of it, or a moment")
	flags.IntVar(&b.maxRuns, "max-runs", 1, "so many runs at once")
	flags.BoolVar(&b.stale, "stale", false, "run those again whose file has changed since")
	flags.BoolVar(&b.run.detached, "detach", false, "leave the runs to a runner of the server, which says how many it drives at once")
	flags.BoolVar(&b.dry, "dry-run", false, "only list them")
	flags.BoolVar(&b.asJSON, "json", false, "print JSON")
	b.run.servers.register(flags)
	b.run.state.register(flags)
	flags.StringArrayVarP(&b.run.params, "param", "p", nil, "a parameter, name=value; may be repeated")
	flags.StringVar(&b.run.paramsFile, "params", "", "JSON file with parameters; -p wins")
	flags.IntVarP(&b.run.concurrency, "concurrency", "c", defaultConcurrency(), "commands at once of one run")
	flags.BoolVar(&b.run.noWorkers, "no-workers", false, "run no commands here; workers elsewhere have the file")
	flags.DurationVar(&b.run.timeout, "timeout", 0, "give a run up after this time, 0 for never")
	flags.DurationVar(&b.run.grace, "grace", 30*time.Second, "how long running jobs may go on after SIGTERM")
	return cmd
}

// partition is one run of the schedule.
type partition struct {
	At     time.Time      `json:"at"`
	Run    string         `json:"run"`
	State  string         `json:"state"` // complete, stale, failed, missing or placed
	Failed int            `json:"failed"`
	Error  string         `json:"error,omitempty"`
	Params map[string]any `json:"params"`
}

func (p partition) cells() []string {
	return []string{p.At.UTC().Format(time.RFC3339), shortID(p.Run), p.State, strconv.Itoa(p.Failed), p.Error}
}

func (b *backfillCommand) backfill(ctx context.Context, file string) error {
	plan, err := loadPlan(b.run.std, file)
	if err != nil {
		return err
	}
	if b.run.detached {
		if err := b.run.detachable(b.run.servers.forFile(plan)); err != nil {
			return err
		}
	}
	path, source, err := sourceOf(file)
	if err != nil {
		return err
	}
	all, err := b.partitions(plan)
	if err != nil {
		return err
	}
	state, err := b.run.state.open()
	if err != nil {
		return err
	}
	defer state.Close()
	judge(state, all, source)
	stopped := error(nil)
	if !b.dry {
		stopped = b.make(ctx, file, path, all)
	}
	if !b.dry && !b.run.detached {
		judge(state, all, source)
	}
	if err := b.print(all); err != nil {
		return err
	}
	return errors.Join(stopped, b.verdict(all))
}

// partitions are those between the two times.
func (b *backfillCommand) partitions(plan *flow.Plan) ([]partition, error) {
	if plan.Schedule == nil {
		return nil, usageError("the file has no schedule, which says what its partitions are; nothing was run")
	}
	if b.maxRuns < 1 {
		return nil, usageError("--max-runs %d: one run at least", b.maxRuns)
	}
	zone, err := time.LoadLocation(plan.Schedule.Timezone)
	if err != nil {
		return nil, err
	}
	from, err := partitionTime("--from", b.from, zone, 0)
	if err != nil {
		return nil, err
	}
	to, err := partitionTime("--to", b.to, zone, 1)
	if err != nil {
		return nil, err
	}
	if to.Before(from) {
		return nil, usageError("--from %s is after --to %s", b.from, b.to)
	}
	given, err := b.run.givenParams()
	if err != nil {
		return nil, err
	}
	var all []partition
	for at := from.Add(-time.Second); ; {
		if at, err = plan.Schedule.Next(at); err != nil {
			return nil, err
		}
		if at.IsZero() || at.After(to) {
			return all, nil
		}
		p := partition{At: at.UTC()}
		if p.Params, err = flow.ParseParams(plan, given, p.At); err != nil {
			return nil, fmt.Errorf("%w; give them with -p NAME=VALUE; nothing was run", err)
		}
		if p.Run, err = flow.RunID(plan.Name, p.Params, p.At); err != nil {
			return nil, err
		}
		all = append(all, p)
	}
}

// partitionTime reads a day, of which it is the begin or the last moment, or a moment.
func partitionTime(flag, text string, zone *time.Location, days int) (time.Time, error) {
	if day, err := time.ParseInLocation(time.DateOnly, text, zone); err == nil {
		return day.AddDate(0, 0, days).Add(-time.Duration(days)), nil
	}
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return at, usageError("%s %q: a time looks like 2026-01-31 or 2026-01-31T10:18:34Z", flag, text)
	}
	return at, nil
}

// judge says how each partition is.
func judge(state *runs.State, all []partition, source []byte) {
	for i := range all {
		p := &all[i]
		p.State, p.Failed, p.Error = "missing", 0, ""
		run, err := state.Find(p.Run)
		if err != nil || !run.Record.Ended() || run.Driven() {
			continue
		}
		p.Failed, p.Error = run.Record.Failed, run.Record.Error
		switch {
		case !run.Record.Status.Good():
			p.State = "failed"
		case run.Record.FileHash != runs.HashFile(source):
			p.State = "stale"
		default:
			p.State = "complete"
		}
	}
}

// make makes the runs that are to be made. The error is why it stopped before all were.
func (b *backfillCommand) make(ctx context.Context, file, path string, all []partition) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var mu sync.Mutex // guards stopped
	var stopped error
	var running sync.WaitGroup
	places := make(chan struct{}, b.maxRuns)
	for i := range all {
		p := &all[i]
		if p.State == "complete" || p.State == "stale" && !b.stale {
			continue
		}
		places <- struct{}{}
		if ctx.Err() != nil {
			break
		}
		running.Go(func() {
			defer func() { <-places }()
			err := b.one(ctx, file, path, p)
			if err == nil && b.run.detached {
				p.State, p.Failed, p.Error = "placed", 0, ""
			}
			if code := codeOf(err); code == exitInterrupted || code == exitTerminated || code == exitNoServer {
				mu.Lock()
				stopped = err
				mu.Unlock()
				cancel() // the others get the signal too
			}
		})
	}
	running.Wait()
	return stopped
}

// one makes the run of a partition.
func (b *backfillCommand) one(ctx context.Context, file, path string, p *partition) error {
	fmt.Fprintf(b.run.std.err, "%s: run %s\n", p.At.Format(time.RFC3339), p.Run)
	run := b.run
	run.std = &streams{in: b.run.std.in, out: io.Discard, err: b.run.std.err}
	run.kept = &runs.Record{ID: p.Run, Params: p.Params, ScheduledAt: p.At, File: path}
	err := run.run(context.WithoutCancel(ctx), file)
	if err != nil && err.Error() != "" {
		fmt.Fprintf(b.run.std.err, "%s: %v\n", p.At.Format(time.RFC3339), err)
	}
	return err
}

func (b *backfillCommand) print(all []partition) error {
	if b.asJSON {
		if all == nil {
			all = []partition{}
		}
		return printJSON(b.run.std.out, all)
	}
	rows := make([]adminRow, len(all))
	for i, p := range all {
		rows[i] = p
	}
	return printTable(b.run.std.out, "PARTITION RUN STATE FAILED ERROR", rows)
}

func (b *backfillCommand) verdict(all []partition) error {
	open := slices.DeleteFunc(slices.Clone(all), func(p partition) bool { return slices.Contains([]string{"complete", "stale", "placed"}, p.State) })
	if len(open) == 0 || b.dry {
		return nil
	}
	return &codedError{exitFailed, fmt.Errorf("%d of %d partitions are not complete; the same command goes on with them", len(open), len(all))}
}
