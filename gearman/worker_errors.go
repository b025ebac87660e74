package gearman

import (
	"errors"
	"fmt"
)

// How a job can end, and why the context of a handler can.
var (
	// ErrFail, returned or wrapped by a handler, ends the job with WORK_FAIL: it failed and there is
	// nothing to tell. Any other error ends it with WORK_EXCEPTION and the error's text.
	ErrFail = errors.New("gearman: job failed")

	// ErrJobTimeout is the cause of a handler's context that ended because the attempt took longer
	// than the function's timeout. errors.Is(ctx.Err(), context.DeadlineExceeded) holds too, unless it
	// was the server that said so.
	ErrJobTimeout = errors.New("gearman: job timed out")

	// ErrJobCancelled is the cause of a handler's context that ended because the server took the
	// attempt away: somebody cancelled the job, or nobody waits for it any more.
	ErrJobCancelled = errors.New("gearman: job cancelled")

	// ErrWorkerStopped is the cause of a handler's context that ended because the worker stops and
	// DrainFor is over. A job that then returns an error is given back to the server, not failed.
	ErrWorkerStopped = errors.New("gearman: worker stopped")

	// ErrJobEnded is what the methods of a [Job] return after its handler has returned.
	ErrJobEnded = errors.New("gearman: job has ended")
)

// Reasons for which a worker gives a connection up; its session then dials again.
var (
	errSilent      = errors.New("the server does not answer")
	errUnasked     = errors.New("the server assigned a job that was not asked for")
	errWrongMagic  = errors.New("the server sent a request")
	errFarewell    = errors.New("worker has no more work")
	errHandlerGone = errors.New("handler ended its goroutine")
)

func errNoHandler(function string) error {
	return fmt.Errorf("gearman: this worker has no function %q", function)
}

// noRetry begins the text of an exception that is final. It is readable for clients that do not know it.
const noRetry = "no retry: "

// timedOut begins the text of an exception of an attempt that was ended by the worker's own timeout. To
// clients that know it, that is a timeout and not an exception.
const timedOut = "timed out: "

// NoRetry marks a handler's error as final: the same input would fail again. The exception then begins
// with "no retry: ", by which clients of this package know it. nil stays nil.
func NoRetry(err error) error {
	if err == nil {
		return nil
	}
	return &finalError{err}
}

type finalError struct{ err error }

func (e *finalError) Error() string { return e.err.Error() }
func (e *finalError) Unwrap() error { return e.err }
