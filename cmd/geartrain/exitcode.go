package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"

	"github.com/geartrain/geartrain/flow"
	"github.com/geartrain/geartrain/flow/form"
	"github.com/geartrain/geartrain/gearman"
)

// exitCode is what the process ends with. The numbers are part of the command line and do not change.
type exitCode int

const (
	exitDone         exitCode = 0   // all well, also when there was nothing to do
	exitFailed       exitCode = 1   // jobs failed, or anything without a code of its own
	exitUsage        exitCode = 2   // wrong usage; of the server it is 1, as in gearmand
	exitInvalid      exitCode = 3   // the file is not valid
	exitNoServer     exitCode = 4   // no server reachable, or lost for too long; or a file is not readable
	exitTimeout      exitCode = 5   // the run or the wait timed out
	exitPartial      exitCode = 6   // ended within the failure budget, but with failures
	exitNotFound     exitCode = 7   // not found: a function that nobody works on
	exitRefused      exitCode = 8   // refused: not permitted, queue full, key conflict
	exitNotAttempted exitCode = 9   // another run, or another process with this one, is in the way
	exitInterrupted  exitCode = 130 // ended by SIGINT after cleaning up
	exitTerminated   exitCode = 143 // ended by SIGTERM after cleaning up
)

// codedError is an error that knows its exit code. Its text may be empty where all was said already.
type codedError struct {
	code exitCode
	err  error
}

func (e *codedError) Error() string {
	if e.err == nil {
		return ""
	}
	return e.err.Error()
}

func (e *codedError) Unwrap() error { return e.err }

func usageError(format string, args ...any) error {
	return &codedError{exitUsage, fmt.Errorf(format, args...)}
}

// errorText is what the user is told at the end, "" for nothing: nor that nobody reads the output any more.
func errorText(err error) string {
	var write *fs.PathError
	if err == nil || err.Error() == "" || errors.As(err, &write) && write.Path == os.Stdout.Name() && errors.Is(write, syscall.EPIPE) {
		return ""
	}
	return "geartrain: " + err.Error()
}

// codeOf decides the exit code of an error, here and nowhere else.
func codeOf(err error) exitCode {
	var coded *codedError
	var invalid *form.Error
	var params *flow.ParamError
	var server *gearman.ServerError
	switch {
	case err == nil:
		return exitDone
	case errors.As(err, &coded):
		return coded.code
	case errors.As(err, &invalid):
		return exitInvalid
	case errors.As(err, &params):
		return exitUsage
	case errors.Is(err, gearman.ErrNoJob):
		return exitNotFound
	case errors.Is(err, gearman.ErrUnsupported):
		return exitRefused
	case errors.Is(err, gearman.ErrInvalidTask):
		return exitUsage
	case errors.Is(err, gearman.ErrNoServers), errors.Is(err, gearman.ErrConnectionLost):
		return exitNoServer
	case errors.Is(err, context.DeadlineExceeded):
		return exitTimeout
	case errors.As(err, &server):
		return exitRefused
	}
	return exitFailed
}
