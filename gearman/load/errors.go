package load

import (
	"errors"
	"fmt"
)

// What else can be wrong but the server's answers.
var (
	// ErrConfig: a setting that makes no sense, here or for the scenario.
	ErrConfig = errors.New("load: bad setting")
	// ErrUnreachable: no connection, or nobody there who speaks Gearman.
	ErrUnreachable = errors.New("load: no Gearman server")
)

// What a server can do wrong; a [CheckError] wraps one of them.
var (
	// ErrPayload: a payload or a result is not what was sent.
	ErrPayload = errors.New("wrong payload")
	// ErrHandle: a handle that belongs to another job, to two, or to none.
	ErrHandle = errors.New("wrong handle")
	// ErrAnswers: a job was not answered exactly once to each client that asked.
	ErrAnswers = errors.New("not answered once")
	// ErrExecutions: a job was not executed exactly once.
	ErrExecutions = errors.New("not executed once")
	// ErrRefused: the server sent ERROR.
	ErrRefused = errors.New("refused by the server")
	// ErrPacket: a packet that has no place there, or is none.
	ErrPacket = errors.New("unexpected packet")
)

// noJob is the number of no job.
const noJob = -1

// CheckError is something that the server did wrong.
type CheckError struct {
	Peer   string // who noticed: "client 3", "worker 0"; empty: the books at the end
	Job    int    // the job's number, counted from 0; -1: of no job in particular
	Err    error  // one of the sentinels above
	Detail string // what was seen; bytes of the server's are quoted and cut short
}

func (e *CheckError) Error() string {
	text := e.Err.Error()
	if e.Job != noJob {
		text = fmt.Sprintf("job %d: %s", e.Job, text)
	}
	if e.Peer != "" {
		text = e.Peer + ": " + text
	}
	if e.Detail != "" {
		text += ": " + e.Detail
	}
	return text
}

func (e *CheckError) Unwrap() error { return e.Err }

// wrong makes a CheckError of the books.
func wrong(job int, err error, format string, args ...any) *CheckError {
	return &CheckError{Job: job, Err: err, Detail: fmt.Sprintf(format, args...)}
}
