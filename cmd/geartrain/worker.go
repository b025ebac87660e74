package main

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/geartrain/geartrain/flow"
	"github.com/geartrain/geartrain/gearman"
	"github.com/geartrain/geartrain/gearman/command"
)

// workerCommand is `geartrain worker`: any program as a worker, or the commands of a pipeline file.
type workerCommand struct {
	std     *streams
	logging *logFlags
	servers serverFlags

	runner      runnerFlags
	functions   []string
	file        string
	concurrency int
	timeout     time.Duration
	drain       time.Duration
	id          string
}

func newWorkerCommand(std *streams, logging *logFlags) *cobra.Command {
	w := &workerCommand{std: std, logging: logging}
	cmd := &cobra.Command{
		Use:   "worker (-f NAME... -- CMD ARGS... | --file FILE | --runner)",
		Short: "Work on jobs with any program: payload on standard input, result on standard output",
		Example: `  geartrain worker -f reverse -- rev
  geartrain worker -f resize -c 4 -t 30s -- ./resize.sh --width 100
  geartrain worker --file crawl.yaml -S queue.example:4730
  geartrain worker --runner -S queue.example:4730`,
		RunE: func(cmd *cobra.Command, args []string) error { return w.run(cmd.Context(), args) },
	}
	flags := cmd.Flags()
	w.servers.register(flags)
	w.runner.register(flags)
	flags.StringArrayVarP(&w.functions, "function", "f", nil, "function to work on, may be repeated")
	flags.StringVar(&w.file, "file", "", "work on the functions and commands of a pipeline file")
	flags.IntVarP(&w.concurrency, "concurrency", "c", 1, "jobs at once")
	flags.DurationVarP(&w.timeout, "timeout", "t", 0, "end a job after this time, 0 for never")
	flags.DurationVar(&w.drain, "drain", 30*time.Second, "how long running jobs may go on after SIGTERM or SIGINT")
	flags.StringVar(&w.id, "id", "", "the worker's name in listings (default host and process)")
	return cmd
}

func (w *workerCommand) run(ctx context.Context, argv []string) error {
	keepPrivate()
	if err := w.check(argv); err != nil {
		return err
	}
	logger, err := w.logging.logger(w.std.err)
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	if w.runner.on {
		stopRunner, err := w.runner.start(w.servers.orDefault(), logger)
		if err != nil {
			return err
		}
		if w.file == "" && len(w.functions) == 0 {
			<-ctx.Done()
			return stopRunner()
		}
		return errors.Join(w.work(ctx, argv, logger), stopRunner())
	}
	return w.work(ctx, argv, logger)
}

// work does jobs until ctx ends.
func (w *workerCommand) work(ctx context.Context, argv []string, logger *slog.Logger) error {
	worker, err := gearman.NewWorker(gearman.WorkerConfig{
		Servers: w.servers.orDefault(), ID: w.id, Concurrency: w.concurrency, DrainFor: w.drain, Logger: logger,
	})
	if err != nil {
		return err
	}
	if err := w.register(worker, argv); err != nil {
		return err
	}
	return worker.Run(ctx)
}

func (w *workerCommand) check(argv []string) error {
	switch {
	case w.runner.on && w.file == "" && len(w.functions) == 0 && len(argv) == 0:
	case w.file == "" && len(w.functions) == 0:
		return usageError("a worker needs a function (-f NAME -- CMD ARGS...), a pipeline file (--file FILE) or --runner")
	case w.file != "" && (len(w.functions) > 0 || len(argv) > 0):
		return usageError("--file brings its own functions and commands; leave out -f and CMD")
	case w.file == "" && len(argv) == 0:
		return usageError("no command for %s; usage: geartrain worker -f %s -- CMD ARGS...", w.functions[0], w.functions[0])
	case w.concurrency < 1:
		return usageError("-c %d: a worker runs one job at least", w.concurrency)
	}
	return nil
}

func (w *workerCommand) register(worker *gearman.Worker, argv []string) error {
	if w.file != "" {
		plan, err := loadPlan(w.std, w.file)
		if err != nil {
			return err
		}
		secrets, err := readSecrets(plan)
		if err != nil {
			return err
		}
		flow.HandleCommands(worker, plan, flow.CommandOptions{Stderr: w.std.err, Secrets: secrets, Guard: &command.Guard{}})
		return nil
	}
	program := &command.Command{Argv: argv, Stderr: w.std.err, Guard: &command.Guard{}}
	if err := program.Check(); err != nil {
		return usageError("%w", err)
	}
	for _, function := range w.functions {
		worker.HandleWith(function, gearman.FunctionConfig{Timeout: w.timeout}, program.Handler())
	}
	return nil
}
