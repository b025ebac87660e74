package gearman

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/geartrain/geartrain/gearman/protocol"
)

// What callers may want to tell apart, with errors.Is. They come wrapped.
var (
	// ErrNoServers: no job server could be reached for [ClientConfig].GiveUpAfter. The text says why
	// for each of them. The work was not accepted, or its server is gone with it.
	ErrNoServers = errors.New("gearman: no job server available")
	// ErrClosed: the client was closed before the answer came.
	ErrClosed = errors.New("gearman: closed")
	// ErrConnectionLost: the connection ended before the answer to a question came. Tasks do not
	// end with it, they are submitted again; questions like [Client.Status] do.
	ErrConnectionLost = errors.New("gearman: connection lost")
	// ErrTaskFailed: the worker reported a failure, WORK_FAIL or WORK_EXCEPTION.
	ErrTaskFailed = errors.New("gearman: task failed")
	// ErrTimeout: a worker had the job for longer than [Task].Timeout.
	ErrTimeout = errors.New("gearman: task timed out")
	// ErrJobLost: the server does not know the job any more and never said how it ended.
	ErrJobLost = errors.New("gearman: job no longer known to its server")
	// ErrBacklog: the task's data came faster than its callbacks took them, and 64 MiB were waiting.
	ErrBacklog = errors.New("gearman: callbacks too slow for the data")
	// ErrNoJob: there is no job, and no kept result, to attach to.
	ErrNoJob = errors.New("gearman: no job with this key")
	// ErrUnsupported: the server does not know how to do that. Nothing was changed.
	ErrUnsupported = errors.New("gearman: not supported by this server")
	// ErrInvalidTask: the task cannot be put into a packet. It was not submitted.
	ErrInvalidTask = errors.New("gearman: invalid task")
)

// Why a server refuses a task, with errors.Is on a [ServerError]. Nothing of it was taken, and it will
// not run.
var (
	// ErrKeyConflict: another job, or kept result, of this key has another payload. It is not tried again.
	ErrKeyConflict = errors.New("gearman: key conflict")
	// ErrDiskFull: the server had no room to store the job. It may have when the task is tried again.
	ErrDiskFull = errors.New("gearman: the server's disk is full")
	// ErrStoreFailed: the server cannot store jobs any more. It has to be started again.
	ErrStoreFailed = errors.New("gearman: the server's store has failed")
	// ErrQueueFull: the function's queue, or the server, holds as many jobs as it may. A set can wait for
	// room: [TaskSet.AwaitRoom].
	ErrQueueFull = errors.New("gearman: queue full")
	// ErrShuttingDown: the server ends and takes no more jobs.
	ErrShuttingDown = errors.New("gearman: server is shutting down")
)

// TaskError says which task failed and why. Err wraps [ErrTaskFailed], [ErrTimeout], a [ServerError],
// the cause of the set's end, or what a callback or a codec came to grief with.
type TaskError struct {
	Function, Key string
	Handle        Handle // zero if the task was never accepted
	Attempt       int    // the attempt that failed, from 1
	Exception     []byte // the text of WORK_EXCEPTION, nil if there was none
	Err           error
}

// Error names the function, the key and the reason. The worker's exception is quoted, since it may
// contain anything.
func (e *TaskError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%v: function %q, key %q", e.Err, e.Function, e.Key)
	if e.Attempt > 1 {
		fmt.Fprintf(&b, ", attempt %d", e.Attempt)
	}
	if e.Exception != nil {
		fmt.Fprintf(&b, ": %s", quoted(e.Exception))
	}
	return b.String()
}

// Unwrap is e.Err.
func (e *TaskError) Unwrap() error { return e.Err }

// SetError is what [TaskSet.Wait] returns when tasks failed: how many, and the first few of them.
// errors.Is and errors.As look into those.
type SetError struct {
	Total, Failed int          // of all tasks that were added so far
	First         []*TaskError // at most 10, in the order in which they failed
}

// Error gives the counts and the first failure.
func (e *SetError) Error() string {
	s := fmt.Sprintf("gearman: %d of %d tasks failed", e.Failed, e.Total)
	if len(e.First) > 0 {
		s += "; the first: " + e.First[0].Error()
	}
	return s
}

// Unwrap gives the failures in First.
func (e *SetError) Unwrap() []error {
	errs := make([]error, len(e.First))
	for i, err := range e.First {
		errs[i] = err
	}
	return errs
}

// ServerError is an ERROR packet: the server refused a submission. The codes are the Code constants
// of package protocol; stock gearmand says QUEUE_ERROR when a queue is full.
type ServerError struct{ Code, Text string }

func (e *ServerError) Error() string {
	return fmt.Sprintf("gearman: server refused: %s: %s", quoted([]byte(e.Code)), quoted([]byte(e.Text)))
}

// Is makes sentinels of the codes that callers act on.
func (e *ServerError) Is(target error) bool {
	switch e.Code {
	case protocol.CodeKeyConflict:
		return target == ErrKeyConflict
	case protocol.CodeDiskFull:
		return target == ErrDiskFull
	case protocol.CodeStoreFailed:
		return target == ErrStoreFailed
	case protocol.CodeQueueError, protocol.CodeLimit:
		return target == ErrQueueFull
	case protocol.CodeShuttingDown:
		return target == ErrShuttingDown
	}
	return false
}

// quoted makes a peer's bytes fit for a line of text: bare if they are plain, else quoted and cut.
func quoted(p []byte) string {
	const most = 200
	s, cut := string(p[:min(len(p), most)]), ""
	if len(p) > most {
		cut = "..."
	}
	if q := strconv.Quote(s); q != `"`+s+`"` || s == "" {
		return q + cut
	}
	return s + cut
}
