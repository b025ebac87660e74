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
	// queue. The client then stops waiting or tries again, see Retry; the worker goes on without
	// EndUnwanted. A server that stops answering is not noticed by it: that is for Deadline or the set's context. In the
	// background, and with ServerRetry, this module's server measures instead, to the millisecond, and
	// takes the job from its worker.
	Timeout time.Duration

	// Deadline is when the task fails with context.DeadlineExceeded, wherever it is by then. Zero:
	// never. To bound many tasks, give the set's context a deadline instead.
	Deadline time.Time

	// Retry says what happens when an attempt fails. The zero value: the task fails.
	Retry Retry

	// RunAt is when the job may be handed out first. Zero, or in the past: now. A stock gearmand takes
	// background tasks so, at normal priority and by the second; with a foreground task the client
	// waits itself before it submits.
	RunAt time.Time

	// The fields from here to Labels are for this module's server. Without any of them a task is sent as
	// it always was. A server that does not know them gets the task without them, and the log says so
	// once: what is then not promised is said at each. [Client.Guarantees] tells beforehand.

	// Retain is how long the server keeps the result as the answer for the key: a later task with it
	// gets that at once and nothing runs. Zero: as the server's policy for the function says; negative:
	// not at all. Without it the key is free when its job ends, and a later task runs again.
	Retain time.Duration

	// Fresh is how old a kept result may be to be the answer. Zero: any age; negative: none, so that the
	// work is done again, and its result is kept instead.
	Fresh time.Duration

	// ServerRetry has the server itself try again when an attempt fails, or runs longer than Timeout. It
	// counts over its own restarts; a job that waits for its next attempt holds no worker and keeps its
	// key; one in the background that has used up its attempts becomes a dead letter. It is the way for
	// background tasks, which have no client that could try again; its On has no meaning. Use it or
	// Retry, not both. Without it the client does the same for a foreground task, and nobody for one in
	// the background.
	ServerRetry Retry

	// RejectConflict refuses the task with [ErrKeyConflict] if its key is that of a job, or of a kept
	// result, with another payload. Without it the payload that came first counts.
	RejectConflict bool

	// AcceptLate takes the result of an attempt that was timed out by the server, if it comes before
	// that of a later attempt. Without it such a result is dropped.
	AcceptLate bool

	// EndUnwanted has the server end the job when the task is given up: by Timeout, at Deadline, by
	// [TaskSet.Cancel] or with the set's context. Queued it goes, running it is taken from its worker, unless
	// somebody else waits for it or it is in the background. A further attempt is then another run; with
	// AcceptLate only the last attempt ends its job. Without it the job goes on, and a further attempt joins
	// it; so it does when the client is closed, or the cause is [ErrWorkerStopped]: others carry on then.
	EndUnwanted bool

	Labels Labels // what the job is listed with. Without them it is listed as any other

	// The callbacks run one at a time, on one goroutine of the set, in the order in which packets
	// arrived. They need no locks between them and may call TaskSet.Add, but must not wait for the
	// set or for a future of it. A callback that panics ends its task with that as the error.
	//
	// After a lost connection or a retry, a job that runs again sends its data again.
	OnCreated  func(Handle)                     // JOB_CREATED: a server has the job; again after each retry and lost connection
	OnData     func(p []byte)                   // WORK_DATA. p may be kept
	OnWarning  func(p []byte)                   // WORK_WARNING. p may be kept
	OnStatus   func(numerator, denominator int) // WORK_STATUS
	OnRetry    func(retry int, err error)       // another attempt will be made; retry is 1 for the second attempt
	OnComplete func(Result)                     // the result
	OnFail     func(err error)                  // the end without a result, after the last attempt: a *TaskError
}

// Labels say for people and tools where a task comes from. They have no part in its key.
type Labels struct {
	Run, Stage  string // of a pipeline
	Traceparent string // W3C trace context
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

	// Age is for how long the server had kept the result when it was asked, in whole milliseconds. Zero: it
	// was made now, or the server does not tell, as for a task without any of the fields from Retain to Labels.
	Age time.Duration
}

// check finds what cannot be put into a packet of at most maxPacket bytes.
func (p *pending) check(maxPacket int) error {
	t := &p.task
	size := len(t.Function) + len(t.Key) + len(t.Payload) + 2
	if p.extended() {
		o := p.options()
		size += len(o.Append(nil)) + 1
	}
	switch {
	case t.Function == "":
		return fmt.Errorf("%w: no function", ErrInvalidTask)
	case p.attach && (t.Key == "" || t.Key == "-"):
		return fmt.Errorf("%w: to attach takes a key", ErrInvalidTask)
	case size > maxPacket:
		return fmt.Errorf("%w: %d bytes, the limit is %d", ErrInvalidTask, size, maxPacket)
	}
	return checkNames(t.Function, t.Key)
}

// checkNames finds what would end an argument early.
func checkNames(function, key string) error {
	switch {
	case strings.IndexByte(function, 0) >= 0:
		return fmt.Errorf("%w: NUL in the function's name", ErrInvalidTask)
	case strings.IndexByte(key, 0) >= 0:
		return fmt.Errorf("%w: NUL in the key", ErrInvalidTask)
	}
	return nil
}
