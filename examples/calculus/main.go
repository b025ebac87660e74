// Command calculus has four workers, one for each operation, and gives them expressions to compute at
// the same time.
//
//	calculus 2+3 7-9 '6*7' 8/2             all by itself
//	calculus worker -S HOST:PORT divide    a worker for one operation, or without a name for all
//	calculus -S HOST:PORT 2+3              the client
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"

	"github.com/geartrain/geartrain/examples/internal/jobserver"
	"github.com/geartrain/geartrain/gearman"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "calculus:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, out io.Writer) error {
	flags := flag.NewFlagSet("calculus", flag.ExitOnError)
	servers := jobserver.Flag(flags)
	if len(args) > 0 && args[0] == "worker" {
		flags.Parse(args[1:]) // exits on an error
		return servers.Serve(ctx, func(w *gearman.Worker) { register(w, flags.Args()) })
	}
	flags.Parse(args)
	if flags.NArg() == 0 {
		return errors.New("no expression; try: calculus 2+3 7-9 '6*7' 8/2")
	}
	everything := func(w *gearman.Worker) { register(w, nil) }
	return servers.Ask(ctx, everything, func(client *gearman.Client) error {
		return compute(ctx, client, flags.Args(), out)
	})
}

// register offers the named operations, or all.
func register(w *gearman.Worker, names []string) {
	for _, op := range operations() {
		if len(names) > 0 && !slices.Contains(names, op.function.Name()) {
			continue
		}
		op.function.Handle(w, func(_ context.Context, o operands) (float64, error) { return op.compute(o) })
	}
}

// compute adds all expressions to one task set and prints the answers in the order of the questions.
func compute(ctx context.Context, client *gearman.Client, expressions []string, out io.Writer) error {
	set := client.NewTaskSet(ctx)
	answers := make([]*gearman.Future[float64], len(expressions))
	for i, text := range expressions {
		op, numbers, err := parse(text)
		if err != nil {
			set.Cancel(err)
			return err
		}
		answers[i] = op.function.Add(set, numbers)
	}
	for i, text := range expressions {
		number, err := answers[i].Wait(ctx)
		var failed *gearman.TaskError
		switch {
		case errors.As(err, &failed) && failed.Exception != nil:
			fmt.Fprintf(out, "%s: %s\n", text, failed.Exception)
		case err == nil:
			fmt.Fprintf(out, "%s = %g\n", text, number)
		}
	}
	return set.Wait()
}
