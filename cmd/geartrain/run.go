package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/geartrain/geartrain/flow"
	"github.com/geartrain/geartrain/flow/runs"
	"github.com/geartrain/geartrain/gearman"
)

// runCommand is `geartrain run`: one run of a pipeline file, from the parameters to the exit code.
type runCommand struct {
	std     *streams
	logging *logFlags
	servers serverFlags
	state   stateFlags

	kept        *runs.Record // the run that is started again; nil: the flags say which
	detached    bool
	noData      bool
	resume      bool
	force       []string
	params      []string
	paramsFile  string
	at          string
	sample      int
	concurrency int
	noWorkers   bool
	timeout     time.Duration
	grace       time.Duration
	strict      bool
	quiet       bool
	noProgress  bool
	asJSON      bool

	secrets *flow.Secrets
	keeps   bool // the run is kept, and can be started again
}

func newRunCommand(std *streams, logging *logFlags) *cobra.Command {
	r := &runCommand{std: std, logging: logging}
	cmd := &cobra.Command{
		Use:   "run FILE",
		Short: "Run a pipeline; without a server named, on one inside this process",
		Long: `Runs a pipeline file and prints its output on standard output, everything else on standard error. Without
-S, GEARTRAIN_SERVERS or GEARMAN_SERVERS the job server runs inside this process. The commands of the file are worked
on inside this process too, unless --no-workers leaves them to "geartrain worker --file FILE" elsewhere.

What becomes of the run is kept in the state folder. When it was killed, or ended by a signal, the same command
with --resume, or with --at and its time, runs what is missing and nothing else. So does "geartrain retry" later.

Ctrl-C stops adding jobs and waits for those that run; a second one cancels them; a third leaves at once.

Exit codes: 0 done; 1 jobs failed; 2 wrong usage; 3 the file is not valid; 4 no server, or a file is not readable;
5 timed out; 6 done within the failure budget, but with failures; 7 a function that nobody works on; 9 another process
drives this run; 130, 143 ended by a signal.`,
		Example: `  geartrain run hello.yaml
  geartrain run crawl.yaml -p seed=https://example.org/ -p max_depth=2 >report.txt
  geartrain run crawl.yaml -p seed=https://example.org/ --sample 20
  geartrain run crawl.yaml -S queue.example:4730 --detach
  geartrain run nightly.yaml -S queue.example:4730 --at 2026-11-22T00:00:00Z`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return r.run(cmd.Context(), args[0]) },
	}
	flags := cmd.Flags()
	r.registerWhich(flags)
	flags.BoolVar(&r.detached, "detach", false, "leave the run to a runner of the server, and print its id")
	r.registerHow(flags)
	return cmd
}

// registerWhich registers the flags that say which run it is, and of which jobs.
func (r *runCommand) registerWhich(flags *pflag.FlagSet) {
	r.servers.register(flags)
	r.state.register(flags)
	flags.StringVar(&r.state.dir, "data", "", "the same as --state")
	flags.BoolVar(&r.noData, "no-data", false, "keep nothing: the run cannot be carried on, and no earlier result is taken")
	flags.BoolVar(&r.resume, "resume", false, "carry on the last run of this file with these parameters that did not come to its end")
	flags.StringArrayVar(&r.force, "force", nil, "run the jobs of this stage although there are results for them; without =STAGE those of all")
	flags.Lookup("force").NoOptDefVal = flow.ForceAll
	flags.StringArrayVarP(&r.params, "param", "p", nil, "a parameter, name=value; may be repeated")
	flags.StringVar(&r.paramsFile, "params", "", "JSON file with parameters; -p wins")
	flags.StringVar(&r.at, "at", "", "the run's logical time, as 2026-11-22T10:18:34Z (default now); the same one is the same run")
	flags.IntVar(&r.sample, "sample", 0, "take so many items of each stage, chosen by key: the same ones each time; 0 for all")
}

// registerHow registers the flags that say how a run is run, whichever it is.
func (r *runCommand) registerHow(flags *pflag.FlagSet) {
	flags.IntVarP(&r.concurrency, "concurrency", "c", defaultConcurrency(), "commands at once in this process")
	flags.BoolVar(&r.noWorkers, "no-workers", false, "run no commands here; workers elsewhere have the file")
	flags.DurationVar(&r.timeout, "timeout", 0, "give the run up after this time, 0 for never")
	flags.DurationVar(&r.grace, "grace", 30*time.Second, "how long running jobs may go on after SIGTERM")
	flags.BoolVar(&r.strict, "strict", false, "exit code 1 for any failure, also within the budget")
	flags.BoolVarP(&r.quiet, "quiet", "q", false, "no progress, no log of commands; errors only")
	flags.BoolVar(&r.noProgress, "no-progress", false, "plain lines also on a terminal")
	flags.BoolVar(&r.asJSON, "json", false, "print one JSON object: run, status, stages, output")
}

func (r *runCommand) run(ctx context.Context, file string) error {
	keepPrivate()
	plan, err := loadPlan(r.std, file)
	if err != nil {
		return err
	}
	k, err := r.openKeeper(file)
	if err != nil {
		return err
	}
	err = r.runKept(ctx, file, plan, k)
	if closeErr := k.close(); err == nil {
		err = closeErr
	}
	return err
}

// runKept settles which run it is, takes it, and runs it.
func (r *runCommand) runKept(ctx context.Context, file string, plan *flow.Plan, k *keeper) error {
	options, err := r.options(plan, k)
	if err != nil {
		return err
	}
	logger, err := r.logging.logger(r.std.err)
	if err != nil {
		return err
	}
	in := newInner(logger)
	in.servers = r.servers.forFile(plan)
	if r.detached {
		if err := r.detachable(in.servers); err != nil {
			return err
		}
		return r.detach(ctx, k, in.servers, &runs.Order{
			Run: options.ID, Pipeline: plan.Name, File: k.path, Source: string(k.source),
			Params: options.Params, ScheduledAt: options.ScheduledAt, Force: r.force,
			Sample: options.Sample,
		})
	}
	if r.secrets, err = r.readSecrets(plan); err != nil {
		return err
	}
	joined, err := r.await(ctx, k, plan, in.servers, &options)
	if err != nil {
		return err
	}
	if joined != nil {
		return r.takeReport(joined)
	}
	err = r.connected(ctx, file, in, plan, k, options)
	if stopErr := in.stop(); err == nil {
		err = stopErr
	}
	return err
}

// connected starts what the run needs inside this process, connects, and runs.
func (r *runCommand) connected(ctx context.Context, file string, in *inner, plan *flow.Plan, k *keeper, options flow.RunOptions) error {
	if err := r.begin(in, plan, k, options); err != nil {
		return err
	}
	client, err := gearman.NewClient(gearman.ClientConfig{Servers: in.servers, Logger: in.logger})
	if err != nil {
		return err
	}
	defer client.Close()
	if err := client.Connect(ctx); err != nil {
		return fmt.Errorf("%w; nothing was run", err)
	}
	return r.execute(ctx, file, in, plan, client, k, options)
}

// begin starts what the run needs inside this process.
func (r *runCommand) begin(in *inner, plan *flow.Plan, k *keeper, options flow.RunOptions) error {
	in.alone = len(in.servers) == 0
	if in.alone {
		if err := r.everybodyHere(plan); err != nil {
			return err
		}
		if err := in.startServer(); err != nil {
			return fmt.Errorf("start a server for the run: %w", err)
		}
	}
	if r.noWorkers || !plan.HasCommands() {
		return nil
	}
	commands := flow.CommandOptions{Params: options.Params, Secrets: r.secrets}
	if in.alone {
		commands.Run = options.ID
	}
	commands.Log = func(stage, key string) io.Writer { return k.log(stage, key, r.said()) }
	return in.startWorker(plan, commands, r.concurrency)
}

// said is where what commands say is shown; nil: nowhere.
func (r *runCommand) said() io.Writer {
	if r.quiet {
		return nil
	}
	return r.std.err
}

// readSecrets finds the values of the plan's secrets, if commands run here that need them.
func (r *runCommand) readSecrets(plan *flow.Plan) (*flow.Secrets, error) {
	if r.noWorkers && !plan.HasCommandHooks() {
		return nil, nil
	}
	return readSecrets(plan)
}

// everybodyHere finds functions that nobody can work on when the server is inside this process.
func (r *runCommand) everybodyHere(plan *flow.Plan) error {
	here := map[string]bool{}
	for _, part := range plan.Plans() {
		for _, f := range part.Functions {
			here[f.Name] = !r.noWorkers
		}
	}
	for _, part := range plan.Plans() {
		for _, h := range part.AllHooks() {
			if h.Command == nil && !here[h.Function] {
				return nobodyHere("a hook of "+part.Name, h.Function)
			}
		}
		for i := range part.Stages {
			for _, w := range part.Stages[i].Works() {
				if w.Pipeline == nil && (w.Command == nil && !here[w.Function] || w.Command != nil && r.noWorkers) {
					return nobodyHere(fmt.Sprintf("stage %q", part.Stages[i].Name), w.Function)
				}
			}
		}
	}
	return nil
}

func nobodyHere(who, function string) error {
	return &codedError{exitNotFound, fmt.Errorf("%s: nobody works on function %q; declare it under functions:, "+
		"or name the job server that has workers for it with -S HOST:PORT; nothing was run", who, function)}
}

// options are the run's parameters, logical time and id.
func (r *runCommand) options(plan *flow.Plan, k *keeper) (flow.RunOptions, error) {
	options := flow.RunOptions{
		ScheduledAt: time.Now().UTC().Truncate(time.Millisecond), Sample: r.sample, Force: r.force,
	}
	if r.sample < 0 {
		return options, usageError("--sample %d: a number of items, 0 for all", r.sample)
	}
	if r.concurrency < 1 {
		return options, usageError("-c %d: at least one command runs at a time; --no-workers runs none", r.concurrency)
	}
	if err := checkForce(plan, r.force); err != nil {
		return options, err
	}
	if r.kept != nil {
		options.ID, options.Params, options.ScheduledAt, options.Sample = r.kept.ID, r.kept.Params, r.kept.ScheduledAt, r.kept.Sample
		return options, nil
	}
	given, err := r.givenParams()
	if err != nil {
		return options, err
	}
	if options.ScheduledAt, err = r.logicalTime(plan, k, given, options.ScheduledAt); err != nil {
		return options, err
	}
	options.Params, err = flow.ParseParams(plan, given, options.ScheduledAt)
	if err != nil {
		return options, fmt.Errorf("%w; give them with -p NAME=VALUE; nothing was run", err)
	}
	options.ID, err = flow.RunID(plan.Name, options.Params, options.ScheduledAt)
	return options, err
}

// logicalTime is that of --at, of the run that --resume finds, or now.
func (r *runCommand) logicalTime(plan *flow.Plan, k *keeper, given map[string]string, now time.Time) (time.Time, error) {
	if r.at != "" && r.resume {
		return now, usageError("--at and --resume both say which run it is; leave one of them out")
	}
	if r.at != "" {
		return logicalTime(r.at)
	}
	old, err := k.unfinished(plan, given)
	switch {
	case err != nil:
		return now, err
	case old != nil && r.resume:
		return old.Record.ScheduledAt, nil
	case r.resume:
		return now, &codedError{exitNotFound, errors.New("no run of this file with these parameters is unfinished; " +
			"nothing was run; without --resume a new one begins")}
	case old != nil && !r.quiet && !old.Driven():
		fmt.Fprintf(r.std.err, "note: run %s of this file with these parameters, begun at %s, did not come to its end; "+
			"this is another one; --resume carries that one on\n", old.Record.ID, old.Record.StartedAt.Format(time.RFC3339))
	}
	return now, nil
}

// checkForce finds names that no stage has.
func checkForce(plan *flow.Plan, names []string) error {
	for _, name := range names {
		if name != flow.ForceAll && !slices.ContainsFunc(plan.Stages, func(s flow.Stage) bool { return s.Name == name }) {
			return usageError("--force=%s: the pipeline has no stage of that name", name)
		}
	}
	return nil
}

// givenParams are the texts of --params and -p.
func (r *runCommand) givenParams() (map[string]string, error) {
	given := map[string]string{}
	if r.paramsFile != "" {
		if err := readParams(r.paramsFile, given); err != nil {
			return nil, err
		}
	}
	for _, param := range r.params {
		name, value, ok := strings.Cut(param, "=")
		if !ok || name == "" {
			return nil, usageError("-p %q: a parameter looks like name=value", param)
		}
		given[name] = value
	}
	return given, nil
}

func readParams(name string, into map[string]string) error {
	text, err := os.ReadFile(name)
	if err != nil {
		return &codedError{exitNoServer, fmt.Errorf("read parameters: %w", err)}
	}
	var values map[string]json.RawMessage
	if err := json.Unmarshal(text, &values); err != nil {
		return usageError("--params %s: it is not a JSON object: %w", name, err)
	}
	for key, raw := range values {
		var s string
		if json.Unmarshal(raw, &s) != nil {
			s = string(raw)
		}
		into[key] = s
	}
	return nil
}

// execute runs the plan, shows progress, and puts the end into words.
func (r *runCommand) execute(ctx context.Context, file string, in *inner, plan *flow.Plan, client *gearman.Client, k *keeper, options flow.RunOptions) error {
	if r.timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, r.timeout, flow.ErrRunTimeout)
		defer cancel()
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)

	output := &resultWriter{to: r.std.out, ready: make(chan struct{})}
	options.Output = k.keepOutput(output)
	runner := &flow.Runner{Client: client, Secrets: r.secrets, Stderr: k.log("", "", r.said()), Guard: &in.guard}
	if in.alone {
		options.Retain = -1 // the server ends with the run
	}
	signals := &signalWatch{client: client, say: r.std.err, cancel: cancel, grace: r.grace}
	signals.listen()
	run, err := plan.Start(ctx, runner, options)
	if err != nil {
		signal.Stop(signals.signals)
		return err
	}
	r.keeps = k.driver != nil
	if err := k.begin(run, in.servers, cancel); err != nil {
		cancel(err)
	}
	display := newDisplay(r.std.err, r.quiet, r.noProgress)
	if !r.quiet {
		fmt.Fprintf(r.std.err, "run %s of %s%s\n", run.ID(), plan.Name, k.carriedOn())
	}
	shown := watchProgress(display, run.Progress)
	output.before = shown.stop
	if r.asJSON {
		output.to = &output.kept
		output.before = func() {}
	}
	close(output.ready)
	whole := r.again(file, run.ScheduledAt())
	again := whole + r.sampleFlag()
	signals.run, signals.again = run, again
	if in.alone && !r.noWorkers {
		signals.inside = in
	}
	signals.start()
	stopWhy := func() {}
	if !r.quiet {
		stopWhy = sayWhy(r.std.err, in.servers, run)
	}
	run.CloseInput()
	report, err := run.Wait()
	ended := signals.stop()
	stopWhy()
	shown.stop()
	err = errors.Join(err, k.finish(report, err, ended != nil && err != nil))
	if r.asJSON {
		if jsonErr := r.writeReport(report, output.kept.String()); err == nil {
			err = jsonErr
		}
	}
	if r.sample > 0 && err == nil && !r.quiet {
		fmt.Fprintf(r.std.err, "a sample; all of it, with the same keys: %s\n", whole)
	}
	return r.verdict(report, err, ended, again)
}

// sampleFlag is --sample as it was given, with a space before it; "" without one.
func (r *runCommand) sampleFlag() string {
	if r.sample == 0 {
		return ""
	}
	return fmt.Sprintf(" --sample %d", r.sample)
}

// again is the command that goes on with this very run.
func (r *runCommand) again(file string, at time.Time) string {
	if r.kept != nil {
		return "geartrain retry " + r.kept.ID
	}
	words := []string{"geartrain run", quoteWord(file)}
	for _, param := range r.params {
		words = append(words, "-p", quoteWord(param))
	}
	if r.paramsFile != "" {
		words = append(words, "--params", quoteWord(r.paramsFile))
	}
	if r.state.dir != "" {
		words = append(words, "--state", quoteWord(r.state.dir))
	}
	for _, server := range r.servers.given {
		words = append(words, "-S", quoteWord(server))
	}
	return strings.Join(append(words, "--at", at.Format(time.RFC3339Nano)), " ")
}

// quoteWord makes one word for a shell of any text.
func quoteWord(text string) string {
	safe := func(c rune) bool {
		return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.ContainsRune("_-./:=@,+%", c)
	}
	if text != "" && strings.IndexFunc(text, func(c rune) bool { return !safe(c) }) < 0 {
		return text
	}
	return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'"
}

// writeReport is the result of --json.
func (r *runCommand) writeReport(report *flow.Report, output string) error {
	if report == nil {
		return nil
	}
	err := json.NewEncoder(r.std.out).Encode(struct {
		*flow.Report
		Output string `json:"output"`
	}{report, output})
	if err != nil {
		return fmt.Errorf("write the report: %w", err)
	}
	return nil
}

// resultWriter writes the pipeline's output, once the progress has gone from the screen.
type resultWriter struct {
	to     io.Writer
	ready  chan struct{} // closed when the other fields are set: a run may be over before
	before func()        // before the first byte
	begun  bool
	kept   bytes.Buffer // for --json
}

func (w *resultWriter) Write(p []byte) (int, error) {
	if !w.begun {
		<-w.ready
		w.begun = true
		w.before()
	}
	return w.to.Write(p)
}
