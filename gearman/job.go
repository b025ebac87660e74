package gearman

import (
	"bytes"
	"context"
	"strconv"
	"sync/atomic"

	"github.com/geartrain/geartrain/gearman/protocol"
)

// Job is one attempt at a piece of work, as a worker sees it. It is valid until its handler returns;
// its methods may be called from any goroutine until then.
//
//	JOB_ASSIGN ──► handler runs ──► WORK_COMPLETE | WORK_EXCEPTION | WORK_FAIL
//	                  │   ▲
//	                  ▼   └── JOB_CANCEL, timeout, stop: its context ends
//	     WORK_DATA, WORK_WARNING, WORK_STATUS
type Job struct {
	function, key, handle string
	payload               []byte
	attempt               int

	wire    []byte // the handle exactly as it was assigned
	link    *link  // on which it was assigned
	station *station
	stop    context.CancelCauseFunc // ends the handler's context
	taken   atomic.Bool             // the server took the attempt away: JOB_CANCEL
	ended   atomic.Bool             // the handler has returned
}

type jobKey struct{}

// JobFrom gives the job whose handler got ctx or a context derived from it.
func JobFrom(ctx context.Context) (*Job, bool) {
	job, ok := ctx.Value(jobKey{}).(*Job)
	return job, ok
}

// Handle is the server's name for the job, the same for all attempts and clients.
func (j *Job) Handle() string { return j.handle }

// Function is the name under which the job was submitted.
func (j *Job) Function() string { return j.function }

// Key is the idempotency key: Gearman's unique id. The same for all attempts, so a handler with side
// effects can use it to make them once.
func (j *Job) Key() string { return j.key }

// Payload is what the client sent. The handler owns it and may change it.
func (j *Job) Payload() []byte { return j.payload }

// Attempt is the number of this attempt, from 1; 0 when the server does not count them, as a stock
// gearmand does not.
func (j *Job) Attempt() int { return j.attempt }

// SendData sends a part of the result, or whatever client and worker agree on, to the clients that
// wait. Like SendWarning and SendStatus it waits while much is unsent, does not wait for the clients,
// and gives an error when the connection is lost or the job has ended; the handler may go on.
func (j *Job) SendData(p []byte) error { return j.send(protocol.WorkData, p) }

// SendWarning sends a warning to the clients that wait.
func (j *Job) SendWarning(p []byte) error { return j.send(protocol.WorkWarning, p) }

// SendStatus reports progress as a fraction, for clients that wait and for those that ask.
func (j *Job) SendStatus(numerator, denominator int) error {
	return j.send(protocol.WorkStatus, strconv.AppendInt(nil, int64(numerator), 10), strconv.AppendInt(nil, int64(denominator), 10))
}

func (j *Job) send(t protocol.Type, args ...[]byte) error {
	if j.ended.Load() {
		return ErrJobEnded
	}
	l := j.station.linkFor(j)
	if l == nil {
		return ErrConnectionLost
	}
	args = append([][]byte{j.wire}, args...)
	return l.send(context.Background(), func(dst []byte) []byte { // ends with the link at the latest
		return protocol.AppendPacket(dst, protocol.Request, t, args...)
	})
}

// begin gives the handler's context.
func (j *Job) begin(life context.Context) context.Context {
	ctx, stop := context.WithCancelCause(context.WithValue(life, jobKey{}, j))
	j.stop = stop
	return ctx
}

// newJob copies what the packet says. numbered: the handle ends in the attempt's number.
func newJob(p *protocol.Packet, numbered bool) *Job {
	j := &Job{wire: bytes.Clone(p.Arg(0)), payload: p.Arg(len(p.Args) - 1)}
	if !p.Owned {
		j.payload = bytes.Clone(j.payload)
	}
	if p.Type != protocol.JobAssign {
		j.key = string(p.Arg(2))
	}
	name, attempt := j.wire, 0
	if i := bytes.LastIndexByte(j.wire, '/'); numbered && i >= 0 {
		if n, err := strconv.Atoi(string(j.wire[i+1:])); err == nil && n > 0 {
			name, attempt = j.wire[:i], n
		}
	}
	j.handle, j.attempt = string(name), attempt
	return j
}
