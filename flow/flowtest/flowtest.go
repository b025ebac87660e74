// Package flowtest runs pipelines in a test, in one process, with plain Go functions in place of workers
// elsewhere. The job server is a real one; client and worker reach it over pipes, so that it also works
// inside a bubble of testing/synctest, where timeouts take no time.
//
//	report, err := flowtest.Run(t, Crawl, urls,
//		flowtest.Do(Fetch, fetch), flowtest.Do(Parse, parse), flowtest.Do(Aggregate, aggregate))
package flowtest

import (
	"bytes"
	"context"
	"log/slog"
	"slices"
	"testing"

	"github.com/geartrain/geartrain/flow"
	"github.com/geartrain/geartrain/gearman"
	"github.com/geartrain/geartrain/server/servertest"
)

// concurrency is how many jobs run at once.
const concurrency = 16

// Handler offers a function to the test's worker.
type Handler func(*gearman.Worker)

// Do makes h do the jobs of f.
func Do[In, Out any](f gearman.Func[In, Out], h func(context.Context, In) (Out, error)) Handler {
	return func(w *gearman.Worker) { f.Handle(w, h) }
}

// Commands runs the commands of the plan: its functions, and the stages that bring their own.
func Commands(p *flow.Plan) Handler {
	return func(w *gearman.Worker) { flow.HandleCommands(w, p, flow.CommandOptions{}) }
}

// NewRunner starts a server, and a worker with the handlers, and gives a runner for them. All of it ends
// with the test.
func NewRunner(t testing.TB, handlers ...Handler) *flow.Runner {
	t.Helper()
	server := servertest.Pipe(t)
	log := slog.New(slog.DiscardHandler)
	client, err := gearman.NewClient(gearman.ClientConfig{Servers: []string{"pipe"}, Dial: server.Dial, Logger: log})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close() }) // its error says only that it was closed before
	work(t, gearman.WorkerConfig{Servers: []string{"pipe"}, Dial: server.Dial, Logger: log, Concurrency: concurrency}, handlers)
	return &flow.Runner{Client: client}
}

// work runs a worker until the test is over.
func work(t testing.TB, c gearman.WorkerConfig, handlers []Handler) {
	t.Helper()
	if len(handlers) == 0 {
		return
	}
	w, err := gearman.NewWorker(c)
	if err != nil {
		t.Fatal(err)
	}
	for _, handle := range handlers {
		handle(w)
	}
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	done := make(chan error, 1)
	go func() { done <- w.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			t.Errorf("worker: %v", err)
		}
	})
}

// Run runs a pipeline on in and gives its output.
func Run[In, Out any](t testing.TB, p *flow.Pipeline[In, Out], in []In, handlers ...Handler) (Out, error) {
	t.Helper()
	return p.Run(t.Context(), NewRunner(t, handlers...), slices.Values(in))
}

// RunPlan runs a plan, such as one from a YAML file, with its own commands and the handlers, and gives
// what it wrote.
func RunPlan(t testing.TB, p *flow.Plan, params map[string]any, handlers ...Handler) (string, *flow.Report, error) {
	t.Helper()
	if p.HasCommands() {
		handlers = append(handlers, Commands(p))
	}
	var out bytes.Buffer
	report, err := p.Run(t.Context(), NewRunner(t, handlers...), flow.RunOptions{Params: params, Output: &out})
	return out.String(), report, err
}
