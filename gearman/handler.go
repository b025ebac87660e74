package gearman

import (
	"context"
	"fmt"
	"strings"
	"time"
)

// HandlerFunc does one job. What it returns is the result, nil being an empty one, or the error that
// the job fails with; see [ErrFail] for how errors travel. A panic fails the job, with its stack in
// the worker's log. ctx ends when the attempt times out, is cancelled, or the worker stops; its cause
// says which. It carries the Job, see [JobFrom].
type HandlerFunc func(ctx context.Context, job *Job) ([]byte, error)

// Middleware wraps a handler, for all jobs of a worker.
type Middleware = func(HandlerFunc) HandlerFunc

// TimeoutSlack is how much longer than a function's timeout the server waits before it takes a job
// away: time for a handler, or for a program that is killed, to end.
const TimeoutSlack = 10 * time.Second

// FunctionConfig is how one function is offered. The zero value is good.
type FunctionConfig struct {
	// Timeout is how long one attempt may take. When it is over the handler's context ends with
	// [ErrJobTimeout], and the job with what the handler then returns: a job that always hangs fails
	// once and does not go round from worker to worker. The server is told the timeout too, with
	// [TimeoutSlack] added, and gives the job to somebody else when even then nothing was heard of it:
	// that is for a worker that hangs as a whole. Zero: no limit.
	Timeout time.Duration

	// MaxParallel is how many jobs of this function run at once, within the worker's Concurrency.
	// Such a function gets a connection of its own to every server, so that the server holds back
	// what is over the limit. Zero: only Concurrency limits it.
	MaxParallel int
}

// function is a function that a worker offers.
type function struct {
	name    string
	config  FunctionConfig
	handler HandlerFunc
}

// checkFunction finds what no server could accept.
func checkFunction(name string, c FunctionConfig, h HandlerFunc) error {
	switch {
	case name == "":
		return fmt.Errorf("gearman: a function needs a name")
	case strings.ContainsFunc(name, func(r rune) bool { return r < ' ' || r == 0x7f }):
		return fmt.Errorf("gearman: function %q: control character in the name", name)
	case h == nil:
		return fmt.Errorf("gearman: function %q: no handler", name)
	case c.Timeout < 0 || c.MaxParallel < 0:
		return fmt.Errorf("gearman: function %q: negative timeout or limit", name)
	}
	return nil
}

// milliseconds is the timeout that the server is told.
func (f *function) milliseconds() int64 {
	return int64((f.config.Timeout + TimeoutSlack + time.Millisecond - 1) / time.Millisecond)
}

// refuse is the handler of functions that were never offered, should a server assign one.
func refuse(_ context.Context, job *Job) ([]byte, error) {
	return nil, errNoHandler(job.function)
}
