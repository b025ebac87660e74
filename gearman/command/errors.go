package command

import (
	"errors"
	"fmt"
	"strings"
)

// TempFail is the exit code that says: not now, try again. It is EX_TEMPFAIL of sysexits.h.
const TempFail = 75

// ErrOutput is why a program was ended that printed more than [Command].MaxOutput.
var ErrOutput = errors.New("too much output")

func outputError(limit int64) error {
	return fmt.Errorf("%w: more than the limit of %d bytes on standard output", ErrOutput, limit)
}

// ExitError says how a program ended that did not end well.
type ExitError struct {
	Program string // the last element of its path
	Code    int    // its exit code, -1 when a signal ended it
	Signal  string // the signal's name, as in "killed"; empty when it exited
	Stderr  string // the last lines of its standard error, at most 4 KiB

	// Cause is why it was ended from here: the cause of its context's end, or [ErrOutput]. Nil when
	// it ended by itself.
	Cause error

	context error // the error of its context, which errors.Is finds too
}

// Error is one line, then the last lines of standard error.
func (e *ExitError) Error() string {
	text := e.Program + ": " + e.reason()
	if e.Stderr == "" {
		return text
	}
	if strings.Contains(e.Stderr, "\n") {
		return text + ":\n" + e.Stderr
	}
	return text + ": " + e.Stderr
}

func (e *ExitError) reason() string {
	switch {
	case e.Cause != nil:
		return "ended: " + e.Cause.Error()
	case e.Signal != "":
		return "ended by signal: " + e.Signal
	}
	return fmt.Sprintf("exit code %d", e.Code)
}

// Temporary reports whether the program asked to be tried again, by exit code 75.
func (e *ExitError) Temporary() bool { return e.Code == TempFail && e.Cause == nil }

// Unwrap gives the Cause and, when the context's end was the cause, the context's error.
func (e *ExitError) Unwrap() []error { return []error{e.Cause, e.context} }
