package gearman

import (
	"fmt"
	"strings"
	"time"
)

// Task is one request for work. The zero value of every field but Function is usable.
type Task struct {
	// Function names who can do it: any bytes but NUL.
	Function string

	// Payload is the input: any bytes. It belongs to the client until the task is answered, and must
	// not be changed before.
	Payload []byte

	// Key is the idempotency key, Gearman's unique id. While a job with the same function and key is
	// queued or running, a task joins it: the job runs once and every task gets its answer. Default:
	// a fresh UUID, so that nothing joins by accident. The key "-" means that the payload is the key.
	//
	// Use at most 63 bytes, without NUL. Stock gearmand accepts 64 and then never finds them again,
	// and refuses more.
	Key string

	Priority Priority // Normal, High or Low

	// Timeout is how long a worker may have the job in one attempt; 0: for ever. Time in the queue
	// does not count, as far as the client can know: it asks the server now and then whether the job
	// is running, and counts from when it first saw that, so that the timeout may come late by about a
	// quarter of it when the job starts at once, and by up to all of it after a long wait in the
	// queue. The client then stops waiting or tries again, see Retry; it cannot stop the worker. A server
	// that stops answering is not noticed by it: that is for Deadline or the set's context.
	Timeout time.Duration

	// Deadline is when the task fails with context.DeadlineExceeded, wherever it is by then. Zero:
	// never. To bound many tasks, give the set's context a deadline instead.
	Deadline time.Time

	// Retry says what happens when an attempt fails. The zero value: the task fails.
	Retry Retry

	// The callbacks run one at a time, on one goroutine of the set, in the order in which packets
	// arrived. They need no locks between them and may call TaskSet.Add, but must not wait for the
	// set or for a future of it. A callback that panics ends its task with that as the error.
	//
	// After a lost connection or a retry, a job that runs again sends its data again.
	OnData     func(p []byte)                   // WORK_DATA. p may be kept
	OnWarning  func(p []byte)                   // WORK_WARNING. p may be kept
	OnStatus   func(numerator, denominator int) // WORK_STATUS
	OnRetry    func(retry int, err error)       // another attempt will be made; retry is 1 for the second attempt
	OnComplete func(Result)                     // the result
	OnFail     func(err error)                  // the end without a result, after the last attempt: a *TaskError
}

// Priority of a task. A server serves all jobs of a higher one first.
type Priority int8

// The three priorities of Gearman.
const (
	Low    Priority = -1
	Normal Priority = 0
	High   Priority = 1
)

// Handle is a job's name: the server, as it was configured, and the server's name for the job there.
type Handle struct{ Server, ID string }

// String is "server//H:host:1".
func (h Handle) String() string { return h.Server + "//" + h.ID }

// ParseHandle reads what [Handle.String] wrote.
func ParseHandle(s string) (Handle, error) {
	i := strings.LastIndex(s, "//")
	if i <= 0 || i+2 == len(s) {
		return Handle{}, fmt.Errorf("gearman: handle %q: want SERVER//HANDLE", s)
	}
	return Handle{Server: s[:i], ID: s[i+2:]}, nil
}

// Result is a task's answer.
type Result struct {
	Task    *Task // as it was added, with its key filled in
	Handle  Handle
	Payload []byte // belongs to the receiver
	Attempt int    // the attempt that brought it, from 1
}

// check finds what cannot be put into a packet of at most maxPacket bytes.
func (t *Task) check(maxPacket int) error {
	size := len(t.Function) + len(t.Key) + len(t.Payload) + 2
	switch {
	case t.Function == "":
		return fmt.Errorf("%w: no function", ErrInvalidTask)
	case strings.IndexByte(t.Function, 0) >= 0:
		return fmt.Errorf("%w: NUL in the function's name", ErrInvalidTask)
	case strings.IndexByte(t.Key, 0) >= 0:
		return fmt.Errorf("%w: NUL in the key", ErrInvalidTask)
	case size > maxPacket:
		return fmt.Errorf("%w: %d bytes, the limit is %d", ErrInvalidTask, size, maxPacket)
	}
	return nil
}
