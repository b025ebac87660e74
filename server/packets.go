package server

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/geartrain/geartrain/gearman/protocol"
	"github.com/geartrain/geartrain/server/queue"
)

// handle turns one packet into an event, or answers it. It is called within the connection's turn.
func (c *conn) handle(p *protocol.Packet) {
	c.turn.counts.PacketsIn.add(p.Type)
	endText(p)
	switch {
	case p.Magic != protocol.Request:
		c.sendError(protocol.CodeInvalidMagic, "Request magic expected")
	case p.Type == protocol.Text:
		c.admin(p.Arg(0))
	case c.handleAny(p):
	case c.handleWorker(p):
		c.known = true
	case c.handleClient(p):
		c.known = true
	case c.handleTask(p):
		c.known = true
	default:
		c.sendError(protocol.CodeInvalidCommand, "Command not expected")
	}
}

// endText ends a last argument that is a name or a number for the server at a NUL byte. Some clients send C
// strings with their end, which gearmand does not mind; and what is repeated in an answer must not look
// like more arguments.
func endText(p *protocol.Packet) {
	switch p.Type {
	case protocol.OptionReq, protocol.SetClientID, protocol.CanDoTimeout, protocol.GetStatus,
		protocol.GetStatusUnique, protocol.WorkFail:
		last := &p.Args[len(p.Args)-1]
		*last, _, _ = bytes.Cut(*last, []byte{0})
	}
}

// handleLarge is handle for a packet that has memory of its own, which goes round again.
func (c *conn) handleLarge(p *protocol.Packet) {
	body := c.body
	c.body = nil
	c.turn.bodies.lend(body)
	defer c.turn.bodies.drop(body)
	c.handle(p)
}

// handleAny knows the packets that clients and workers send alike.
func (c *conn) handleAny(p *protocol.Packet) bool {
	t, ev := &c.turn, &c.turn.event
	switch p.Type {
	case protocol.EchoReq:
		t.send(c, protocol.EchoRes, p.Args, p.Owned)
	case protocol.OptionReq:
		c.tasks = c.tasks || string(p.Args[0]) == protocol.OptionTasks
		ev.option = queue.SetOption{Peer: c.id, Option: p.Args[0]}
		t.apply(&ev.option)
	case protocol.SetClientID:
		ev.clientID = queue.SetClientID{Peer: c.id, ID: p.Args[0]}
		t.apply(&ev.clientID)
	case protocol.AllYours: // a promise that needs no answer
	default:
		return false
	}
	return true
}

// handleWorker knows the packets of workers.
func (c *conn) handleWorker(p *protocol.Packet) bool {
	t, ev := &c.turn, &c.turn.event
	switch p.Type {
	case protocol.CanDo:
		ev.canDo = queue.CanDo{Peer: c.id, Function: p.Args[0]}
		c.canDo()
	case protocol.CanDoTimeout:
		c.canDoTimeout(p)
	case protocol.CantDo:
		ev.cantDo = queue.CantDo{Peer: c.id, Function: p.Args[0]}
		t.apply(&ev.cantDo)
	case protocol.ResetAbilities:
		ev.reset = queue.ResetAbilities{Peer: c.id}
		t.apply(&ev.reset)
	case protocol.PreSleep:
		if t.draining == nil { // else it would be woken for jobs that it does not get
			ev.preSleep = queue.PreSleep{Peer: c.id}
			t.apply(&ev.preSleep)
		}
	case protocol.GrabJob:
		c.grab(queue.Plain)
	case protocol.GrabJobUniq:
		c.grab(queue.WithUnique)
	case protocol.GrabJobAll:
		c.grab(queue.WithAll)
	default:
		return c.report(p)
	}
	return true
}

// handleClient knows the packets of clients.
func (c *conn) handleClient(p *protocol.Packet) bool {
	t, ev := &c.turn, &c.turn.event
	switch p.Type {
	case protocol.GetStatus:
		ev.status = queue.GetStatus{Peer: c.id, Handle: p.Args[0]}
		t.apply(&ev.status)
	case protocol.GetStatusUnique:
		ev.statusUnique = queue.GetStatusUnique{Peer: c.id, Unique: p.Args[0]}
		t.apply(&ev.statusUnique)
	case protocol.SubmitJobSched:
		return false // as gearmand: there is no server that honours it
	default:
		return c.submit(p)
	}
	return true
}

func (c *conn) canDoTimeout(p *protocol.Packet) {
	ms, err := milliseconds(p.Args[1])
	if err != nil {
		c.sendError(protocol.CodeInvalidPacket, "CAN_DO_TIMEOUT: the timeout is not a number of milliseconds")
		return
	}
	ms = min(ms, math.MaxInt64/uint64(time.Millisecond))
	ev := &c.turn.event.canDo
	*ev = queue.CanDo{Peer: c.id, Function: p.Args[0], Timeout: time.Duration(ms) * time.Millisecond}
	c.canDo()
}

// inSeconds is the number from which a time limit is taken for milliseconds. Below it the limit is one second, as
// below 1000 at gearmand: the manuals of libraries that pass on what their user wrote speak of seconds, and no
// attempt would ever be in time.
const inSeconds = 100

// milliseconds reads a time limit. An empty one is none: that is what is left, up to its first NUL, of the four
// bytes that some libraries send in place of a number, and gearmand knows no limit then either.
func milliseconds(limit []byte) (uint64, error) {
	if len(limit) == 0 {
		return 0, nil
	}
	ms, err := strconv.ParseUint(withoutFraction(limit), 10, 63)
	if ms > 0 && ms < inSeconds {
		ms = 1000
	}
	return ms, err
}

// withoutFraction is a number up to its decimal point: some libraries pass on what their user wrote, which
// may be 2.5.
func withoutFraction(number []byte) string {
	whole, fraction, _ := strings.Cut(string(number), ".")
	if strings.Trim(fraction, "0123456789") != "" {
		return "" // which is no number
	}
	return whole
}

// canDo registers what the event says. Workers are refused only in the last resort, since it is they
// who make the queue shorter.
func (c *conn) canDo() {
	if c.server.limits.over(budgetResults, 0) {
		c.turn.counts.RefusedNames++
		c.sendError(protocol.CodeLimit, "Server is out of memory for functions")
		return
	}
	c.turn.apply(&c.turn.event.canDo)
}

func (c *conn) grab(d queue.Detail) {
	t := &c.turn
	if t.draining != nil {
		t.send(c, protocol.NoJob, nil, false)
		return
	}
	t.event.grab = queue.Grab{Peer: c.id, Detail: d, Later: c.mayAnswerLater()}
	t.apply(&t.event.grab)
	if t.event.grab.Later && t.state.Coming(c.id) {
		c.grabs, c.detail = true, d
		t.round.grabbers = append(t.round.grabbers, c)
	}
}

// mayAnswerLater reports whether a grab in vain may be tried again before it is answered. Payloads that
// are in the store would have to be fetched then.
func (c *conn) mayAnswerLater() bool {
	return c.turn.round != nil && c.turn.store == nil && !c.reader.Pending()
}

// answerGrab answers the grab that was not answered yet, if there is one.
func (c *conn) answerGrab() {
	if !c.grabs {
		return
	}
	c.grabs = false
	t := &c.turn
	if t.draining != nil {
		t.send(c, protocol.NoJob, nil, false)
		return
	}
	t.event.grab = queue.Grab{Peer: c.id, Detail: c.detail}
	t.apply(&t.event.grab)
}

// report knows the packets in which a worker tells about a job.
func (c *conn) report(p *protocol.Packet) bool {
	ev := &c.turn.event.report
	*ev = queue.Report{Peer: c.id, Handle: p.Arg(0), Data: p.Arg(1), Owned: p.Owned}
	switch p.Type {
	case protocol.WorkData:
		ev.Kind = queue.Data
	case protocol.WorkWarning:
		ev.Kind = queue.Warning
	case protocol.WorkStatus:
		ev.Kind, ev.Second = queue.Status, p.Args[2]
	case protocol.WorkComplete:
		ev.Kind = queue.Complete
	case protocol.WorkFail:
		ev.Kind = queue.Fail
	case protocol.WorkException:
		ev.Kind = queue.Exception
	default:
		return false
	}
	c.turn.apply(ev)
	return true
}

// submit knows the SUBMIT packets.
func (c *conn) submit(p *protocol.Packet) bool {
	t := &c.turn
	ev := &t.event.submit
	if !submission(ev, p.Type) {
		return false
	}
	last := len(p.Args) - 1
	ev.Peer, ev.Function, ev.Unique = c.id, p.Args[0], p.Args[1]
	ev.Payload, ev.Owned = p.Args[last], p.Owned
	switch p.Type {
	case protocol.SubmitJobEpoch:
		seconds, err := strconv.ParseInt(withoutFraction(p.Args[2]), 10, 64)
		if err != nil {
			c.sendError(protocol.CodeInvalidPacket, "SUBMIT_JOB_EPOCH: the time is not a number of seconds")
			return true
		}
		ev.RunAt = time.Unix(seconds, 0)
	case protocol.SubmitReduceJob, protocol.SubmitReduceJobBg:
		ev.Reducer = p.Args[2]
	}
	c.submitEvent()
	return true
}

// submitEvent applies what the submit event says.
func (c *conn) submitEvent() {
	t := &c.turn
	if t.draining != nil {
		t.counts.RefusedDraining++
		c.sendError(protocol.CodeShuttingDown, "Server is shutting down and takes no new jobs")
		return
	}
	ev := &t.event.submit
	ev.NoMemory = c.noMemory(ev)
	before := t.state.Conflicts()
	t.apply(ev)
	if n := t.state.Conflicts(); n != before {
		t.conflict = c.conflictOf(ev, n)
	}
}

// noMemory reports whether a new job would be over the budget. The payload of a large packet is in
// it already.
func (c *conn) noMemory(ev *queue.Submit) bool {
	l := c.server.limits
	if l.cfg.MaxMemory <= 0 {
		return false
	}
	grown := c.turn.state.Bytes() - l.jobs.Load() + queue.JobBytes(ev)
	if ev.Owned {
		grown -= int64(min(len(ev.Payload), c.charged))
	}
	return l.over(budgetJobs, grown)
}

// submission sets what a packet's type says about its job; false: it is no submission.
func submission(ev *queue.Submit, t protocol.Type) bool {
	*ev = queue.Submit{Priority: queue.Normal}
	switch t {
	case protocol.SubmitJob, protocol.SubmitReduceJob:
	case protocol.SubmitJobHigh:
		ev.Priority = queue.High
	case protocol.SubmitJobLow:
		ev.Priority = queue.Low
	case protocol.SubmitJobBg, protocol.SubmitJobEpoch, protocol.SubmitReduceJobBg:
		ev.Background = true
	case protocol.SubmitJobHighBg:
		ev.Priority, ev.Background = queue.High, true
	case protocol.SubmitJobLowBg:
		ev.Priority, ev.Background = queue.Low, true
	default:
		return false
	}
	return true
}

// invalid answers bytes that are no packet, and reports whether the stream goes on.
func (c *conn) invalid(err error) bool {
	t := &c.turn
	var bad *protocol.PacketError
	if !errors.As(err, &bad) {
		return false
	}
	c.body = nil // if the packet was a large one, nobody needs it
	switch {
	case errors.Is(err, protocol.ErrType):
		t.counts.InvalidPackets++
		c.sendError(protocol.CodeInvalidCommand, "Command not expected")
	case errors.Is(err, protocol.ErrArguments):
		t.counts.InvalidPackets++
		c.sendError(protocol.CodeInvalidPacket, fmt.Sprintf("%s has %d arguments", bad.Type, bad.Type.Arity()))
	case errors.Is(err, protocol.ErrTooLarge) && bad.Type == protocol.Text:
		t.counts.TooLarge++
		c.reply("ERR INVALID_ARGUMENTS Line+is+too+long\r\n")
	case errors.Is(err, protocol.ErrTooLarge):
		t.counts.TooLarge++
		c.sendError(protocol.CodePacketTooLarge,
			fmt.Sprintf("Packet of %d bytes, the limit is %d", bad.Size, c.server.cfg.MaxPacket))
	default:
		t.counts.InvalidPackets++
		c.sendError(protocol.CodeInvalidMagic, "Request magic expected")
	}
	return protocol.Recoverable(err)
}

func (c *conn) sendError(code, text string) {
	c.turn.send(c, protocol.Error, [][]byte{[]byte(code), []byte(text)}, false)
}
