// Command hello runs ten echo jobs at once, as a task set. They are worked on while it is still adding
// them: their results arrive before it waits.
//
//	hello                          all by itself
//	hello worker -S HOST:PORT      a worker at a job server
//	hello -S HOST:PORT             the client, for that worker
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"time"

	"github.com/geartrain/geartrain/examples/internal/jobserver"
	"github.com/geartrain/geartrain/gearman"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "hello:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, out io.Writer) error {
	flags := flag.NewFlagSet("hello", flag.ExitOnError)
	servers := jobserver.Flag(flags)
	pause := flags.Duration("pause", time.Second, "between adding and waiting")
	if len(args) > 0 && args[0] == "worker" {
		flags.Parse(args[1:]) // exits on an error
		return servers.Serve(ctx, register)
	}
	flags.Parse(args)
	return servers.Ask(ctx, register, func(client *gearman.Client) error {
		return hello(ctx, client, *pause, out)
	})
}

// register is the worker's side: each job is answered with its own payload.
func register(w *gearman.Worker) {
	w.Handle("echo", func(_ context.Context, job *gearman.Job) ([]byte, error) {
		return job.Payload(), nil
	})
}

// hello is the client's side.
func hello(ctx context.Context, client *gearman.Client, pause time.Duration, out io.Writer) error {
	set := client.NewTaskSet(ctx)
	for i := range 10 {
		set.Add(gearman.Task{
			Function:   "echo",
			Payload:    fmt.Appendf(nil, "hello %d", i),
			OnComplete: func(r gearman.Result) { fmt.Fprintf(out, "job %d: %s\n", i, r.Payload) },
			OnFail:     func(err error) { fmt.Fprintf(out, "job %d: %v\n", i, err) },
		})
	}
	fmt.Fprintln(out, "done adding tasks")
	select {
	case <-time.After(pause):
	case <-ctx.Done():
	}
	fmt.Fprintln(out, "waiting")
	return set.Wait()
}
