package gearman

import (
	"bytes"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/geartrain/geartrain/gearman/protocol"
)

// submission is one packet that asks for a job and what becomes of it: SUBMIT_JOB, one of its kind, or
// one of the extension protocol.OptionTasks. A task has one at a time that counts;
// a retry, and a lost connection, make a new one.
//
// Its methods are how a session reports to the task's set. They take the set's lock and may lead to
// another submission, but never wait for the network or for callbacks.
type submission struct {
	task *pending
	seq  uint64 // of the session that has it

	extended bool // sent as a packet of the extension; written by the session when it sends

	// stranded is since when no server has accepted it. Written by who has it in hand.
	stranded time.Time

	// dropped: nobody waits for it any more. It is then not sent, if it has not been.
	dropped atomic.Bool

	// Guarded by the set's lock.
	handle   Handle        // zero until JOB_CREATED
	running  time.Time     // when the job was first seen to run
	look     time.Duration // until the next look at whether it runs
	unwanted bool          // nobody here waits for it, which its server is to know
}

// ending is how a job ended.
type ending struct {
	why     Reason // 0: with a result
	payload []byte // the result, or the exception; in memory of its own
}

func endingOf(p protocol.Packet) ending {
	switch p.Type {
	case protocol.WorkComplete:
		return ending{payload: own(p, 1)}
	case protocol.WorkException:
		return ending{why: Exception, payload: own(p, 1)}
	}
	return ending{why: Failed}
}

// own is a packet's argument in memory that the reader does not use again, and not nil.
func own(p protocol.Packet, i int) []byte {
	if p.Owned {
		return p.Args[i]
	}
	return append(make([]byte, 0, len(p.Args[i])), p.Args[i]...)
}

// created: the server has the job, or has kept its result for so long.
func (sub *submission) created(h Handle, age time.Duration) {
	p := sub.task
	p.set.mu.Lock()
	defer p.set.unlock()
	sub.handle = h
	if sub.unwanted {
		p.set.left = append(p.set.left, sub)
	}
	if !p.waitsFor(sub) {
		return
	}
	p.found, p.searches, p.age = true, 0, age
	if p.task.OnCreated != nil {
		p.set.notices = append(p.set.notices, notice{task: p, kind: gotCreated, handle: h})
	}
	switch {
	case p.background:
		p.end(h, nil, nil)
	case p.task.Timeout > 0 && !(sub.extended && p.serverMeasures()):
		sub.look = max(p.task.Timeout/4, time.Millisecond)
		p.timer = time.AfterFunc(sub.look, func() { p.checkTimeout(sub) })
	}
}

// refused: the server answered with ERROR. A conflict of keys is the caller's to solve; time does not.
func (sub *submission) refused(err *ServerError) {
	p := sub.task
	p.set.mu.Lock()
	defer p.set.unlock()
	switch {
	case !p.waitsFor(sub):
	case p.attach:
		p.attachRefused(err)
	case err.Code == protocol.CodeKeyConflict:
		p.fail(p.failure(err))
	case err.Code == protocol.CodeQueueError && p.set.waits:
		p.awaitRoom()
	default:
		p.attemptFailed(Refused, p.failure(err))
	}
}

// early: the server can only be given the task when its time has come.
func (sub *submission) early() {
	p := sub.task
	p.set.mu.Lock()
	defer p.set.unlock()
	if p.waitsFor(sub) {
		p.submitAfter(time.Until(p.task.RunAt))
	}
}

// report passes WORK_DATA, WORK_WARNING or WORK_STATUS on to the callbacks.
func (sub *submission) report(packet protocol.Packet) {
	p := sub.task
	p.set.mu.Lock()
	defer p.set.unlock()
	if p.answered || p.current != sub {
		return
	}
	if sub.running.IsZero() {
		sub.running = time.Now()
	}
	n := notice{task: p}
	switch {
	case packet.Type == protocol.WorkData && p.task.OnData != nil:
		n.kind, n.payload = gotData, own(packet, 1)
	case packet.Type == protocol.WorkWarning && p.task.OnWarning != nil:
		n.kind, n.payload = gotWarning, own(packet, 1)
	case packet.Type == protocol.WorkStatus && p.task.OnStatus != nil:
		n.kind = gotStatus
		n.numerator, n.denominator = number(packet.Args[1]), number(packet.Args[2])
	default:
		return
	}
	if p.set.backlog+n.cost() > maxBacklog {
		p.fail(p.failure(ErrBacklog))
		return
	}
	p.set.backlog += n.cost()
	p.set.notices = append(p.set.notices, n)
}

// ended: the job has. A result counts whenever it comes, also for a submission that was given up for
// a retry that is still to come or has joined the same job.
func (sub *submission) ended(e ending) {
	p := sub.task
	p.set.mu.Lock()
	defer p.set.unlock()
	switch {
	case p.answered:
	case e.why == 0:
		p.end(sub.handle, e.payload, nil)
	case p.waitsFor(sub):
		p.attemptEnded(e)
	}
}

// attemptEnded tells what a worker's failure means from how its exception begins.
func (p *pending) attemptEnded(e ending) {
	err := p.failure(ErrTaskFailed)
	err.Exception = e.payload
	switch {
	case e.why == Exception && bytes.HasPrefix(e.payload, []byte(noRetry)):
		p.fail(err)
	case e.why == Exception && bytes.HasPrefix(e.payload, []byte(timedOut)):
		err.Err = ErrTimeout
		p.attemptFailed(TimedOut, err)
	default:
		p.attemptFailed(e.why, err)
	}
}

// lost: the connection ended, or the server did not take the job. The task is submitted again, to
// whatever server can be reached, under its key; that is no new attempt.
func (sub *submission) lost() {
	p := sub.task
	p.set.mu.Lock()
	defer p.set.unlock()
	if !p.waitsFor(sub) {
		return
	}
	next := p.submitLater()
	if sub.handle == (Handle{}) {
		next.stranded = sub.stranded
	}
}

// gaveUp: there was no server for too long, or the client is closed.
func (sub *submission) gaveUp(err error) {
	p := sub.task
	p.set.mu.Lock()
	defer p.set.unlock()
	if p.waitsFor(sub) {
		p.fail(p.failure(err))
	}
}

// number reads a decimal number; what is not one is 0.
func number(p []byte) int {
	n, err := strconv.Atoi(string(bytes.TrimRight(p, "\x00")))
	if err != nil {
		return 0
	}
	return n
}

// isTrue reads the protocol's 0 and 1.
func isTrue(p []byte) bool { return number(p) != 0 }
