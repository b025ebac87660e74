package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/rogpeppe/go-internal/diff"
	"github.com/spf13/cobra"

	"github.com/geartrain/geartrain/flow"
	"github.com/geartrain/geartrain/flow/cassette"
	"github.com/geartrain/geartrain/flow/change"
	"github.com/geartrain/geartrain/gearman"
)

// testCommand is `geartrain test`: a run whose jobs are played from a folder, or are recorded there.
type testCommand struct {
	runCommand
	dir    string
	record bool
	expect string
}

func newTestCommand(std *streams, logging *logFlags) *cobra.Command {
	t := &testCommand{runCommand: runCommand{std: std, logging: logging}}
	cmd := &cobra.Command{
		Use:   "test FILE --cassette DIR",
		Short: "Test a pipeline with recorded results, without workers and without a server",
		Long: `Runs a pipeline whose jobs are not run: what became of them is read from a folder, and the output is compared
with the recorded one or with --expect. A job that is not in the recording is a failure that says what the recording has in
its place. With --record the jobs are run, as "geartrain run" does, and the folder is written: one file for each
stage with a line for each job, run.json, and output.txt. Parameters and logical time are those of the recording, unless
they are given. Hooks are not done.

Exit codes: 0 all as recorded; 1 the output or the end differs, or a job has no recording; 2, 3, 4 as "geartrain run".`,
		Example: `  geartrain test crawl.yaml --cassette testdata/crawl --record -p seed=https://example.org/
  geartrain test crawl.yaml --cassette testdata/crawl`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return t.run(cmd.Context(), args[0]) },
	}
	flags := cmd.Flags()
	flags.StringVar(&t.dir, "cassette", "", "the folder of the recording")
	flags.BoolVar(&t.record, "record", false, "run the jobs and write the folder anew")
	flags.StringVar(&t.expect, "expect", "", "file with the expected output (default DIR/output.txt)")
	t.servers.register(flags)
	flags.StringArrayVarP(&t.params, "param", "p", nil, "a parameter, name=value; may be repeated")
	flags.StringVar(&t.paramsFile, "params", "", "JSON file with parameters; -p wins")
	flags.StringVar(&t.at, "at", "", "the run's logical time (default that of the recording; of a new one now)")
	flags.IntVar(&t.sample, "sample", 0, "with --record, take so many items of each stage")
	flags.IntVarP(&t.concurrency, "concurrency", "c", defaultConcurrency(), "commands at once in this process")
	flags.BoolVarP(&t.quiet, "quiet", "q", false, "say nothing when all is well")
	return cmd
}

func (t *testCommand) run(ctx context.Context, file string) error {
	if t.dir == "" {
		return usageError("--cassette DIR is missing: the folder of the recording")
	}
	plan, err := loadPlan(t.std, file)
	if err != nil {
		return err
	}
	if t.record {
		return t.recordRun(ctx, file, plan)
	}
	tape, err := cassette.Open(t.dir)
	if err != nil {
		return &codedError{exitNoServer, fmt.Errorf("%w; make one with: %s", err, t.recordAgain(file))}
	}
	return t.replay(ctx, file, plan, tape)
}

// options are those of the recording, with what is given on the command line in place of it.
func (t *testCommand) options(plan *flow.Plan, recorded cassette.RunInfo) (flow.RunOptions, map[string]string, error) {
	given, err := t.givenParams()
	if err != nil {
		return flow.RunOptions{}, nil, err
	}
	params := maps.Clone(recorded.Params)
	if params == nil {
		params = map[string]string{}
	}
	maps.Copy(params, given)
	options := flow.RunOptions{ScheduledAt: recorded.ScheduledAt, Sample: recorded.Sample}
	if t.record {
		options.Sample = t.sample
	}
	if t.at != "" || options.ScheduledAt.IsZero() {
		if options.ScheduledAt, err = logicalTime(t.at); err != nil {
			return options, nil, err
		}
	}
	if options.Params, err = flow.ParseParams(plan, params, options.ScheduledAt); err != nil {
		return options, nil, fmt.Errorf("%w; give them with -p NAME=VALUE; nothing was run", err)
	}
	options.ID, err = flow.RunID(plan.Name, options.Params, options.ScheduledAt)
	return options, params, err
}

// logicalTime reads --at; empty is now.
func logicalTime(text string) (time.Time, error) {
	if text == "" {
		return time.Now().UTC().Truncate(time.Millisecond), nil
	}
	at, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		return at, usageError("--at %q: a time looks like 2026-11-22T10:18:34Z", text)
	}
	return at, nil
}

// recordRun runs the jobs and writes the folder.
func (t *testCommand) recordRun(ctx context.Context, file string, plan *flow.Plan) error {
	keepPrivate()
	options, params, err := t.options(plan, cassette.RunInfo{})
	if err != nil {
		return err
	}
	if t.secrets, err = t.readSecrets(plan); err != nil {
		return err
	}
	logger, err := t.logging.logger(t.std.err)
	if err != nil {
		return err
	}
	in := newInner(logger)
	in.servers = t.servers.forFile(plan)
	if err := t.begin(in, plan, noKeeper(), options); err != nil {
		return errors.Join(err, in.stop())
	}
	tape := cassette.New(t.dir, t.secrets.MaskBytes)
	tape.Run = cassette.RunInfo{Pipeline: plan.Name, Params: params, ScheduledAt: options.ScheduledAt, Sample: t.sample}
	err = t.recordWith(ctx, in, plan, options, tape)
	if stopErr := in.stop(); err == nil {
		err = stopErr
	}
	return err
}

func (t *testCommand) recordWith(ctx context.Context, in *inner, plan *flow.Plan, options flow.RunOptions, tape *cassette.Cassette) error {
	client, err := gearman.NewClient(gearman.ClientConfig{Servers: in.servers, Logger: in.logger})
	if err != nil {
		return err
	}
	defer client.Close()
	if err := client.Connect(ctx); err != nil {
		return fmt.Errorf("%w; nothing was run and nothing recorded", err)
	}
	var output bytes.Buffer
	options.Output = &output
	report, err := plan.Run(ctx, &flow.Runner{Client: client, Tape: tape, Secrets: t.secrets}, options)
	if report == nil || ctx.Err() != nil {
		return err
	}
	sayFailures(t.std.err, report)
	tape.Run.Status = report.Status
	if err := tape.Save(append([]byte{}, output.Bytes()...)); err != nil {
		return err
	}
	if !t.quiet {
		fmt.Fprintf(t.std.err, "recorded %d jobs of a run that ended with %s in %s\n", tape.Count(), report.Status, t.dir)
	}
	return nil
}

// replay runs the pipeline on its recording and judges it.
func (t *testCommand) replay(ctx context.Context, file string, plan *flow.Plan, tape *cassette.Cassette) error {
	options, _, err := t.options(plan, tape.Run)
	if err != nil {
		return err
	}
	var output bytes.Buffer
	options.Output = &output
	report, err := plan.Run(ctx, &flow.Runner{Tape: tape}, options)
	if report == nil {
		return err
	}
	misses, count := tape.Misses()
	if count > 0 {
		t.sayMisses(misses, count)
		return &codedError{exitFailed, fmt.Errorf("%d jobs have no recording in %s; if that is meant, record again: %s",
			count, t.dir, t.recordAgain(file))}
	}
	if err := t.judge(plan, report, err, tape, output.Bytes()); err != nil {
		return err
	}
	if !t.quiet {
		t.sayDone(report, tape)
	}
	return nil
}

// judge compares how the run ended, and what it wrote.
func (t *testCommand) judge(plan *flow.Plan, report *flow.Report, runErr error, tape *cassette.Cassette, output []byte) error {
	want, name, err := t.expected(tape)
	if err != nil {
		return err
	}
	different := diff.Diff(name, want, "this run", output)
	if want == nil && t.expect == "" {
		different = nil
	}
	if _, err := t.std.out.Write(different); err != nil {
		return err
	}
	recorded := tape.Run.Status
	switch {
	case recorded != "" && report.Status != recorded:
		sayFailures(t.std.err, report)
		return &codedError{exitFailed, fmt.Errorf("the run ended with %s, and the recorded one with %s", report.Status, recorded)}
	case recorded == "" && runErr != nil:
		return runErr
	case different != nil:
		return &codedError{exitFailed, fmt.Errorf("the output of %s is not the expected one", plan.Name)}
	}
	return nil
}

// expected is the output to compare with, and what it is called; nil when there is none.
func (t *testCommand) expected(tape *cassette.Cassette) (want []byte, name string, err error) {
	if t.expect == "" {
		want, _, err = tape.Output()
		return want, filepath.Join(t.dir, "output.txt"), err
	}
	want, err = os.ReadFile(t.expect)
	if err != nil {
		err = &codedError{exitNoServer, fmt.Errorf("read the expected output: %w", err)}
	}
	return want, t.expect, err
}

func (t *testCommand) sayMisses(misses []cassette.Miss, count int) {
	for _, m := range misses {
		fmt.Fprintf(t.std.err, "stage %q, item %s: no recording\n", m.Stage, change.Short(m.Item.JSON()))
		version := ""
		if m.Version != "" {
			version = ", version " + m.Version
		}
		fmt.Fprintf(t.std.err, "    function %s%s, arguments %s\n    %s\n", m.Function, version, change.Short(m.Arguments.JSON()), m.Why)
	}
	if count > len(misses) {
		fmt.Fprintf(t.std.err, "and %d more\n", count-len(misses))
	}
}

func (t *testCommand) sayDone(report *flow.Report, tape *cassette.Cassette) {
	jobs := 0
	for _, s := range report.Stages {
		jobs += s.Done + s.Failed
	}
	fmt.Fprintf(t.std.err, "ok: %d jobs as recorded, the run ended with %s\n", jobs, report.Status)
	unused := tape.Unused()
	for _, stage := range slices.Sorted(maps.Keys(unused)) {
		fmt.Fprintf(t.std.err, "stage %q: %d recordings were not asked for\n", stage, unused[stage])
	}
}

// recordAgain is the command that makes the recording.
func (t *testCommand) recordAgain(file string) string {
	text := "geartrain test " + quoteWord(file) + " --cassette " + quoteWord(t.dir) + " --record"
	for _, param := range t.params {
		text += " -p " + quoteWord(param)
	}
	return text
}
