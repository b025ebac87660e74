package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/geartrain/geartrain/gearman/load"
)

// benchCommand is `geartrain bench`: a measured and checked load for any Gearman server.
type benchCommand struct {
	std     *streams
	logging *logFlags
	load    load.Config
	asJSON  bool
}

// allScenarios is the argument that stands for a short round of every scenario.
const allScenarios = "all"

func newBenchCommand(std *streams, logging *logFlags) *cobra.Command {
	b := &benchCommand{std: std, logging: logging}
	cmd := &cobra.Command{
		Use:   "bench SCENARIO|all [-S HOST:PORT]",
		Short: "Measure any Gearman server under load, and check every result",
		Long:  benchHelp(),
		Example: `  geartrain bench sync -S 127.0.0.1:4730 --pid $(pidof gearmand)
  geartrain bench flood -n 1000000 --json
  geartrain bench all`,
		Args:      cobra.ExactArgs(1),
		ValidArgs: append(scenarioNames(), allScenarios),
		RunE:      func(cmd *cobra.Command, args []string) error { return b.run(cmd, args[0]) },
	}
	b.register(cmd)
	return cmd
}

func benchHelp() string {
	var text strings.Builder
	text.WriteString(`Bench puts a load on a Gearman server, on one of its own inside the process if there is no -S, and prints what it
measured. The environment is not asked for a server: nobody should load one by accident. The scenarios:

`)
	for _, s := range load.Scenarios() {
		fmt.Fprintf(&text, "  %-9s %s\n", s.Name(), s.About())
	}
	text.WriteString(`
Each result is compared with what was sent. A wrong, missing or second one, a job that is executed twice, a wrong
handle or an ERROR makes the exit code 1, and is named. Jobs run under a function with a random name; a flood that is
broken off leaves its jobs in the server.

Load and server share the machine: compare two servers in turns, by the CPU seconds (--pid) before the rates.`)
	return text.String()
}

func scenarioNames() []string {
	var names []string
	for _, s := range load.Scenarios() {
		names = append(names, s.Name())
	}
	return names
}

func (b *benchCommand) register(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.SortFlags = false
	flags.StringVarP(&b.load.Server, "server", "S", "", "job server HOST:PORT (default: one inside this process)")
	flags.IntVarP(&b.load.Jobs, "jobs", "n", 0, "jobs to execute")
	flags.IntVar(&b.load.Clients, "clients", 0, "connections that submit")
	flags.IntVar(&b.load.Window, "window", 0, "jobs under way on each of them")
	flags.IntVar(&b.load.Workers, "workers", 0, "connections that work")
	flags.IntVar(&b.load.Grabs, "grabs", 0, "requests for a job that a worker keeps under way")
	flags.IntVar(&b.load.Size, "size", 0, "bytes of a payload, at least 16")
	flags.DurationVar(&b.load.Duration, "duration", 0, "stop submitting after this time, whatever is left of the jobs")
	flags.DurationVar(&b.load.Timeout, "timeout", 2*time.Minute, "give a scenario up after this time")
	flags.IntVar(&b.load.PID, "pid", 0, "the server's process on this machine: report its CPU and memory")
	flags.BoolVar(&b.load.PlainGrab, "plain-grab", false, "workers ask with GRAB_JOB, for servers without GRAB_JOB_UNIQ")
	flags.BoolVar(&b.asJSON, "json", false, "print one JSON object for each scenario")
}

func (b *benchCommand) run(cmd *cobra.Command, name string) error {
	scenarios, err := b.choose(cmd, name)
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if b.load.Server != "" {
		return b.measure(ctx, scenarios, b.load.Server)
	}
	if b.load.PID != 0 {
		return usageError("--pid is for a server elsewhere; name it with -S HOST:PORT")
	}
	return b.measureInside(ctx, scenarios)
}

// choose finds the scenarios, and what cannot be said for all of them.
func (b *benchCommand) choose(cmd *cobra.Command, name string) ([]load.Scenario, error) {
	if name != allScenarios {
		s, ok := load.Find(name)
		if !ok {
			return nil, usageError("there is no scenario %q: it is one of %s, or all", name, strings.Join(scenarioNames(), ", "))
		}
		return []load.Scenario{s}, nil
	}
	for _, flag := range []string{"jobs", "clients", "window", "duration"} {
		if cmd.Flags().Changed(flag) {
			return nil, usageError("--%s is for a single scenario; all of them run with their own", flag)
		}
	}
	b.load.Brief = true
	return load.Scenarios(), nil
}

// measureInside brings the server along.
func (b *benchCommand) measureInside(ctx context.Context, scenarios []load.Scenario) (err error) {
	logger, err := b.logging.logger(b.std.err)
	if err != nil {
		return err
	}
	server := newInner(logger)
	if err := server.startServer(); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, server.stop()) }()
	b.load.Server = server.servers[0]
	fmt.Fprintln(b.std.err, "no -S: measuring a server inside this process, which shares its CPU with the load")
	return b.measure(ctx, scenarios, "inside this process")
}

// measure runs the scenarios one after another, also after one in which the server was wrong. The
// reports call the server by the given name.
func (b *benchCommand) measure(ctx context.Context, scenarios []load.Scenario, server string) error {
	var errs []error
	for i, s := range scenarios {
		report, err := load.Run(ctx, s, b.load)
		errs = append(errs, err)
		if errors.Is(err, load.ErrConfig) {
			break
		}
		report.Config.Server = server
		if i == 0 {
			b.printHead(server)
		}
		if err := b.print(report); err != nil {
			return fmt.Errorf("write the report: %w", err)
		}
		if ctx.Err() != nil || errors.Is(err, load.ErrUnreachable) {
			break
		}
	}
	return benchError(errors.Join(errs...))
}

// benchError gives what a load ended with its exit code.
func benchError(err error) error {
	switch {
	case errors.Is(err, load.ErrConfig):
		return usageError("%w; see: geartrain bench --help", err)
	case errors.Is(err, load.ErrUnreachable):
		return &codedError{exitNoServer, err}
	case errors.Is(err, context.Canceled):
		return &codedError{exitInterrupted, err}
	}
	return err
}

func (b *benchCommand) printHead(server string) {
	if b.asJSON {
		return
	}
	fmt.Fprintf(b.std.out, "server: %s\n%-9s %9s %10s %9s %9s %9s %9s", server,
		"scenario", "jobs", "jobs/s", "p50", "p99", "max", "first")
	if b.load.PID != 0 {
		fmt.Fprintf(b.std.out, " %13s", "CPU s/million")
	}
	fmt.Fprintln(b.std.out)
}

func (b *benchCommand) print(r load.Report) error {
	if b.asJSON {
		return json.NewEncoder(b.std.out).Encode(r)
	}
	if !r.OK {
		_, err := fmt.Fprintf(b.std.out, "%-9s failed\n", r.Scenario)
		return err
	}
	fmt.Fprintf(b.std.out, "%-9s %9d %10.0f %9s %9s %9s %9s", r.Scenario, r.Jobs, r.JobsPerSecond,
		threeDigits(r.P50), threeDigits(r.P99), threeDigits(r.Max), threeDigits(r.First))
	if b.load.PID != 0 {
		fmt.Fprintf(b.std.out, " %13.2f", r.CPU)
	}
	fmt.Fprintln(b.std.out)
	for _, name := range slices.Sorted(maps.Keys(r.Details)) {
		if _, err := fmt.Fprintf(b.std.out, "  %s %s\n", strings.ReplaceAll(name, "_", " "), figure(r.Details[name])); err != nil {
			return err
		}
	}
	return nil
}

// threeDigits writes a duration with about three digits.
func threeDigits(d time.Duration) string {
	unit := time.Nanosecond
	for d/unit >= 1000 {
		unit *= 10
	}
	return d.Round(unit).String()
}

// figure writes a number with about three digits, but never with an exponent.
func figure(v float64) string {
	switch {
	case v >= 100:
		return fmt.Sprintf("%.0f", v)
	case v >= 10:
		return fmt.Sprintf("%.1f", v)
	}
	return fmt.Sprintf("%.2f", v)
}
