package gearman

import (
	"strconv"
	"time"

	"github.com/geartrain/geartrain/gearman/protocol"
)

// options are what the old packets cannot say of the task.
func (p *pending) options() protocol.TaskOptions {
	t := &p.task
	o := protocol.TaskOptions{
		Background: p.background,
		Priority:   int(min(max(t.Priority, Low), High)),
		At:         t.RunAt,
		Retain:     t.Retain,
		Fresh:      t.Fresh,
		AcceptLate: t.AcceptLate,
		Reject:     t.RejectConflict,
		Tell:       !p.background,
		Run:        t.Labels.Run, Stage: t.Labels.Stage, Traceparent: t.Labels.Traceparent,
	}
	if r := &t.ServerRetry; r.Attempts > 0 {
		o.Attempts, o.Delay, o.Backoff, o.MaxDelay, o.Jitter = r.Attempts, r.Delay, r.Backoff, r.MaxDelay, min(max(r.Jitter, 0), 1)
		if o.Backoff < 1 {
			o.Backoff = 0 // the default
		}
	}
	if p.serverMeasures() {
		o.Timeout = t.Timeout
	}
	return o
}

// extended reports whether the task says more than an old packet can.
func (p *pending) extended() bool {
	t := &p.task
	return !t.RunAt.IsZero() || t.Retain != 0 || t.Fresh != 0 || t.ServerRetry.Attempts > 0 || t.RejectConflict ||
		t.AcceptLate || t.Labels != Labels{} || p.background && t.Timeout > 0
}

// serverMeasures reports whether a timeout is for the server to notice, if it can: in the background
// nobody else is there, and where the server tries again the client must not give up meanwhile.
func (p *pending) serverMeasures() bool {
	return p.task.Timeout > 0 && (p.background || p.task.ServerRetry.Attempts > 0)
}

// retryPolicy is who tries again here: the client does what the server was asked for but does not know.
func (p *pending) retryPolicy() *Retry {
	t := &p.task
	if t.ServerRetry.Attempts > 0 && t.Retry.Attempts == 0 && !p.background && p.current != nil && !p.current.extended {
		return &t.ServerRetry
	}
	return &t.Retry
}

// appendTo appends the packet that submits the task to a server that knows the extension or does not.
func (sub *submission) appendTo(dst []byte) []byte {
	p := sub.task
	function, key := []byte(p.task.Function), []byte(p.task.Key)
	switch {
	case sub.extended && p.attach:
		return protocol.AppendPacket(dst, protocol.Request, protocol.AttachJob, function, key)
	case sub.extended:
		o := p.options()
		return protocol.AppendPacket(dst, protocol.Request, protocol.SubmitTask, function, key, o.Append(nil), p.task.Payload)
	case p.background && p.waitsForTime():
		at := strconv.AppendInt(nil, p.task.RunAt.Add(time.Second-1).Unix(), 10) // not before
		return protocol.AppendPacket(dst, protocol.Request, protocol.SubmitJobEpoch, function, key, at, p.task.Payload)
	}
	return protocol.AppendPacket(dst, protocol.Request, p.packet(), function, key, p.task.Payload)
}

// packet is the type that submits the task in the old way.
func (p *pending) packet() protocol.Type {
	kinds := [2][3]protocol.Type{
		{protocol.SubmitJobLow, protocol.SubmitJob, protocol.SubmitJobHigh},
		{protocol.SubmitJobLowBg, protocol.SubmitJobBg, protocol.SubmitJobHighBg},
	}
	foreground := 0
	if p.background {
		foreground = 1
	}
	return kinds[foreground][min(max(p.task.Priority, Low), High)-Low]
}

func (p *pending) waitsForTime() bool { return time.Until(p.task.RunAt) > 0 }

// unkept names the first thing that the task asks for and nobody does where the server does not know it.
func (p *pending) unkept() string {
	t := &p.task
	switch {
	case t.Retain > 0:
		return "retain"
	case t.Fresh != 0:
		return "fresh"
	case t.RejectConflict:
		return "reject conflict"
	case t.AcceptLate:
		return "accept late"
	case p.background && t.ServerRetry.Attempts > 0:
		return "server retry"
	case p.background && t.Timeout > 0:
		return "timeout in the background"
	}
	return ""
}
