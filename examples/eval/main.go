// Command eval is a worker that computes expressions, and a client for it. What is sent is an
// expression and never a program: it has limits, and reaches nothing of the machine.
//
//	eval '1 + 1'                    all by itself
//	eval worker -S HOST:PORT        a worker at a job server
//	eval -S HOST:PORT '1 + 1'       the client; gearman -h HOST -p PORT -f eval '1 + 1' is as good
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"

	"github.com/geartrain/geartrain/examples/internal/jobserver"
	"github.com/geartrain/geartrain/gearman"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "eval:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, out io.Writer) error {
	flags := flag.NewFlagSet("eval", flag.ExitOnError)
	servers := jobserver.Flag(flags)
	if len(args) > 0 && args[0] == "worker" {
		flags.Parse(args[1:]) // exits on an error
		return servers.Serve(ctx, register)
	}
	flags.Parse(args)
	if flags.NArg() != 1 {
		return errors.New("want one expression; try: eval '1 + 1'")
	}
	return servers.Ask(ctx, register, func(client *gearman.Client) error {
		return ask(ctx, client, flags.Arg(0), out)
	})
}

// evalFunc takes an expression and gives its value, both as plain text.
func evalFunc() gearman.Func[string, string] { return gearman.NewFunc[string, string]("eval") }

func register(w *gearman.Worker) {
	evalFunc().Handle(w, func(_ context.Context, source string) (string, error) {
		return eval(source) // its error reaches the client as an exception
	})
}

func ask(ctx context.Context, client *gearman.Client, source string, out io.Writer) error {
	answer, err := evalFunc().Do(ctx, client, source)
	if failed := (*gearman.TaskError)(nil); errors.As(err, &failed) && failed.Exception != nil {
		return errors.New(string(failed.Exception))
	}
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(out, answer)
	return err
}
