package load

import (
	"bytes"

	"github.com/geartrain/geartrain/gearman/protocol"
)

// worker answers each job with the job's own payload.
//
//	       ┌──────────────── JOB_ASSIGN: WORK_COMPLETE + GRAB_JOB ◄───┐
//	       ▼                                                          │
//	CAN_DO ──► asks (GRAB_JOB, cfg.Grabs of them under way) ──────────┤
//	               ▲                                                  │
//	               └── NOOP ◄── asleep (PRE_SLEEP) ◄── all NO_JOB ────┘
type worker struct {
	*peer
	rig    *rig
	asked  int // requests that are not answered yet
	asleep bool
	key    []byte // for the key of a job, to be compared
}

// serve works until the connection ends.
func (w *worker) serve() error {
	if err := w.send(protocol.CanDo, nil, w.rig.function); err != nil {
		return err
	}
	if err := w.ask(); err != nil {
		return err
	}
	for {
		packet, err := w.receive()
		if err != nil {
			return err
		}
		if err := w.handle(packet); err != nil {
			return w.sign(err)
		}
	}
}

// fence sends an ECHO_REQ past the worker's own goroutine, which counts its answer.
func (w *worker) fence() error {
	packet := protocol.AppendPacket(nil, protocol.Request, protocol.EchoReq, []byte(fence))
	_, err := w.conn.Write(packet)
	return w.lost(err)
}

func (w *worker) handle(packet protocol.Packet) error {
	switch packet.Type {
	case protocol.Noop:
		return w.wake()
	case protocol.NoJob:
		return w.sleep()
	case protocol.JobAssign, protocol.JobAssignUniq:
		return w.work(packet)
	case protocol.EchoRes:
		w.rig.fenced.up()
		return w.checkEcho(packet)
	}
	return w.unexpected(packet)
}

// ask keeps the number of requests under way.
func (w *worker) ask() error {
	grab := protocol.GrabJobUniq
	if w.rig.cfg.PlainGrab {
		grab = protocol.GrabJob
	}
	for ; w.asked < w.rig.cfg.Grabs; w.asked++ {
		if err := w.send(grab, nil); err != nil {
			return err
		}
	}
	return nil
}

// sleep follows the last NO_JOB.
func (w *worker) sleep() error {
	if w.asked == 0 {
		return wrong(noJob, ErrPacket, "NO_JOB without a GRAB_JOB")
	}
	if w.asked--; w.asked > 0 {
		return nil
	}
	w.asleep = true
	w.rig.asleep.up()
	return w.send(protocol.PreSleep, nil)
}

func (w *worker) wake() error {
	w.rig.noops.Add(1)
	if w.asleep {
		w.asleep = false
		w.rig.asleep.down()
	}
	return w.ask()
}

// work checks an assignment and answers it.
func (w *worker) work(packet protocol.Packet) error {
	if w.asked == 0 {
		return wrong(noJob, ErrPacket, "%s without a GRAB_JOB", packet.Type)
	}
	w.asked--
	handle, payload := packet.Arg(0), packet.Args[len(packet.Args)-1]
	job, err := w.rig.payloads.job(payload)
	if err != nil {
		return wrong(noJob, ErrPayload, "%v", err)
	}
	if function := packet.Arg(1); !bytes.Equal(function, w.rig.function) {
		return wrong(job, ErrPayload, "for function %.40q, sent for %q", function, w.rig.function)
	}
	w.key = w.rig.key(w.key[:0], job)
	if key := packet.Arg(2); packet.Type == protocol.JobAssignUniq && !bytes.Equal(key, w.key) {
		return wrong(job, ErrPayload, "with key %.80q, sent with %q", key, w.key)
	}
	if err := w.rig.ledger.execute(job, w.rig.ledger.hash(handle)); err != nil {
		return err
	}
	w.rig.executed.up()
	if w.rig.hold != nil {
		if err := w.rig.hold(job); err != nil {
			return err
		}
	}
	if err := w.send(protocol.WorkComplete, payload, handle, nil); err != nil {
		return err
	}
	return w.ask()
}
