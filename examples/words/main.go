// Command words counts the words of texts with a pipeline in Go: one job for each text, a barrier, and
// one job over all their results.
//
//	words "to be or not to be" "that is the question"     all by itself
//	words worker -S HOST:PORT                             a worker at a job server
//	words -S HOST:PORT TEXT...                            the run, for that worker
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"time"

	"github.com/geartrain/geartrain/examples/internal/jobserver"
	"github.com/geartrain/geartrain/flow"
	"github.com/geartrain/geartrain/gearman"
)

// What can be asked for: a name, what goes in, what comes out.
var (
	count = gearman.NewFunc[string, int]("words.count")
	sum   = gearman.NewFunc[[]int, int]("words.sum")
)

// words is the pipeline. Stages that do not fit together do not compile.
var words = flow.Define("words", func(texts flow.Stream[string]) flow.Single[int] {
	counts := flow.Each(texts, count, flow.Timeout(30*time.Second), flow.Attempts(3))
	return flow.Reduce(counts, sum) // the barrier: begins when every text is counted
})

// register is how it is done: ordinary functions.
func register(w *gearman.Worker) {
	count.Handle(w, func(_ context.Context, text string) (int, error) {
		return len(strings.Fields(text)), nil
	})
	sum.Handle(w, func(_ context.Context, counts []int) (total int, _ error) {
		for _, n := range counts {
			total += n
		}
		return total, nil
	})
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "words:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, out io.Writer) error {
	flags := flag.NewFlagSet("words", flag.ExitOnError)
	servers := jobserver.Flag(flags)
	if len(args) > 0 && args[0] == "worker" {
		flags.Parse(args[1:]) // exits on an error
		return servers.Serve(ctx, register)
	}
	flags.Parse(args)
	return servers.Ask(ctx, register, func(client *gearman.Client) error {
		total, err := words.Run(ctx, &flow.Runner{Client: client}, slices.Values(flags.Args()))
		if err != nil {
			return err
		}
		_, err = fmt.Fprintln(out, total, "words")
		return err
	})
}
