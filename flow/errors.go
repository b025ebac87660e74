package flow

import (
	"errors"
	"fmt"
	"strings"
)

// What callers may want to tell apart, with errors.Is. They come wrapped.
var (
	// ErrTooManyFailures: more of a stage's jobs failed than its budget allows.
	ErrTooManyFailures = errors.New("too many failures")
	// ErrBlocked: a stage that this one needs did not end well.
	ErrBlocked = errors.New("a stage before it did not end well")
	// ErrDrained: the run was asked to add no more jobs. What ran has ended.
	ErrDrained = errors.New("drained")
	// ErrCancelled: somebody cancelled the stage, or the run.
	ErrCancelled = errors.New("cancelled")
	// ErrRunTimeout: the time for the whole run is over.
	ErrRunTimeout = errors.New("the run's time is over")
	// ErrTooLarge: a list of results does not fit into memory or into one job.
	ErrTooLarge = errors.New("too large")
	// ErrOutput: the run's output could not be written. What was written before is there.
	ErrOutput = errors.New("write output")
	// ErrHook: a hook failed. What it belongs to had ended before.
	ErrHook = errors.New("hook failed")
	// ErrInputClosed: something was sent to a run whose input is closed or that takes none.
	ErrInputClosed = errors.New("the run's input is closed")
)

// StageError says what is wrong with a stage that did not end well.
type StageError struct {
	Pipeline, Stage string
	Status          Status
	Jobs, Failed    int
	First           []JobFailure // the first few failures
	Reasons         []Reason     // all failures by what they have in common, most frequent first
	Err             error        // ErrTooManyFailures, ErrBlocked, or what stopped the stage
}

func (e *StageError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "stage %q: %v", e.Stage, e.Err)
	if e.Failed > 0 {
		fmt.Fprintf(&b, ": %d of %d jobs failed", e.Failed, e.Jobs)
	}
	if len(e.Reasons) > 0 {
		fmt.Fprintf(&b, ", %d of them: %s", e.Reasons[0].Count, e.Reasons[0].Message)
	}
	return b.String()
}

func (e *StageError) Unwrap() error { return e.Err }

// RunError is what a run that did not end well gives: why, and each stage with a cause of its own.
// Stages that were only stopped by others are not in it; the [Report] has them.
type RunError struct {
	Pipeline, Run string
	Status        Status
	Stages        []*StageError
	Err           error // what ended the run as a whole, such as ErrRunTimeout; nil: only stages
}

func (e *RunError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "pipeline %q: %s", e.Pipeline, e.Status)
	if e.Err != nil {
		fmt.Fprintf(&b, ": %v", e.Err)
	}
	for _, stage := range e.Stages {
		fmt.Fprintf(&b, "; %v", stage)
	}
	return b.String()
}

func (e *RunError) Unwrap() []error {
	var errs []error
	if e.Err != nil {
		errs = append(errs, e.Err)
	}
	for _, stage := range e.Stages {
		errs = append(errs, stage)
	}
	return errs
}
