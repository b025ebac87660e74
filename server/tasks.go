package server

import (
	"github.com/geartrain/geartrain/gearman/protocol"
	"github.com/geartrain/geartrain/server/queue"
)

// handleTask knows the packets of [protocol.OptionTasks]. To a peer that has not asked for them they are
// not known.
func (c *conn) handleTask(p *protocol.Packet) bool {
	if !c.tasks {
		return false
	}
	t := &c.turn
	switch p.Type {
	case protocol.SubmitTask:
		c.submitTask(p)
	case protocol.AttachJob:
		t.apply(&queue.AttachJob{Peer: c.id, Function: p.Args[0], Key: p.Args[1]})
	case protocol.CancelJob:
		t.apply(&queue.CancelJob{Peer: c.id, Handle: p.Args[0]})
	case protocol.CancelKey:
		t.apply(&queue.CancelKey{Peer: c.id, Function: p.Args[0], Key: p.Args[1]})
	case protocol.LeaveJob:
		t.apply(&queue.LeaveJob{Peer: c.id, Handle: p.Args[0]})
	case protocol.FindJob:
		t.apply(&queue.FindJob{Peer: c.id, Function: p.Args[0], Key: p.Args[1]})
	default:
		return false
	}
	return true
}

// submitTask is submit for the packet that brings options.
func (c *conn) submitTask(p *protocol.Packet) {
	options, err := protocol.ParseTaskOptions(p.Args[2])
	if err != nil {
		c.sendError(protocol.CodeInvalidPacket, err.Error())
		return
	}
	ev := &c.turn.event.submit
	*ev = queue.Submit{
		Peer: c.id, Function: p.Args[0], Unique: p.Args[1], Payload: p.Args[3], Owned: p.Owned,
		Priority:   queue.Normal,
		Background: options.Background,
		RunAt:      options.At,
		Options:    &options,
	}
	switch {
	case options.Priority > 0:
		ev.Priority = queue.High
	case options.Priority < 0:
		ev.Priority = queue.Low
	}
	c.submitEvent()
}
