package gearman

import (
	"context"
	"errors"
	"time"

	"github.com/cenkalti/backoff/v5"

	"github.com/geartrain/geartrain/gearman/protocol"
)

// pending is a task on the way to its answer.
//
//	Add ──► submitted ──► JOB_CREATED ──► result ─────────────────────► answered
//	            ▲             │ failed, timed out, refused: last attempt ──►┘
//	            │             ├──► waits for the retry's time ──┐
//	            └─────────────┴── connection lost ◄─────────────┘
//
// One that attaches makes no job: where others submit again, it looks again.
//
// The first group never changes; the others are guarded by the set's lock.
type pending struct {
	set        *TaskSet
	servers    []string // that it may go to, best first
	answer     promise
	background bool
	attach     bool // join or take what is there; never make a job
	task       Task

	attempt  int
	current  *submission   // the one that counts; nil before the first
	retrying bool          // current has failed, and another attempt will be made
	age      time.Duration // of the kept result that is the answer
	placed   bool          // it holds a place in the set's limit
	answered bool
	delays   backoff.BackOff // between attempts; nil before the first retry
	room     backoff.BackOff // between submissions to a full queue; nil before the first that was refused
	found    bool            // attach: it was
	searches int             // attach: in vain, since then
	timer    *time.Timer     // of the attempt's timeout, or of the retry
	deadline *time.Timer
	panicked error // of a callback; written and read by the set's deliver only
}

// promise is where a task's answer goes: its future.
type promise interface {
	accept(payload []byte) error // called before OnComplete; its error is the task's
	settle(err error)            // called at the very end, with the set locked
}

// waitsFor reports whether the task depends on sub.
func (p *pending) waitsFor(sub *submission) bool {
	return !p.answered && p.current == sub && !p.retrying
}

// submit makes the submission that counts from now on. The caller routes it.
func (p *pending) submit() *submission {
	if p.current != nil {
		p.current.dropped.Store(true)
	}
	p.current, p.retrying = &submission{task: p}, false
	return p.current
}

// submitLater submits when the set is unlocked.
func (p *pending) submitLater() *submission {
	p.stopTimer()
	sub := p.submit()
	p.set.outgoing = append(p.set.outgoing, sub)
	return sub
}

// attemptFailed tries again or ends the task.
func (p *pending) attemptFailed(why Reason, err *TaskError) {
	policy := p.retryPolicy()
	if p.attach || !policy.again(p.attempt, why) {
		p.fail(err)
		return
	}
	p.stopTimer()
	if why == TimedOut && !p.task.AcceptLate {
		p.giveUpJob(err)
	}
	if p.task.OnRetry != nil {
		p.set.notices = append(p.set.notices, notice{task: p, kind: gotRetry, numerator: p.attempt, failure: err})
	}
	if p.delays == nil {
		p.delays = policy.delays()
	}
	p.attempt++
	p.retrying = true
	p.set.giveUpPlace(p)
	p.timer = time.AfterFunc(p.delays.NextBackOff(), p.retry)
}

// awaitRoom submits again after a while: the queue is full.
func (p *pending) awaitRoom() {
	if p.room == nil {
		p.room = roomDelays()
	}
	p.submitAfter(p.room.NextBackOff())
}

// submitAfter submits when d is over, unless the task ends before. It keeps its place in the limit.
func (p *pending) submitAfter(d time.Duration) {
	p.stopTimer()
	sub := p.current
	p.timer = time.AfterFunc(d, func() {
		p.set.mu.Lock()
		defer p.set.unlock()
		if p.waitsFor(sub) {
			next := p.submitLater()
			next.stranded = sub.stranded
		}
	})
}

// retry: the delay is over. Without a place in the limit it waits for one, ahead of new tasks.
func (p *pending) retry() {
	p.set.mu.Lock()
	defer p.set.unlock()
	if p.answered || !p.retrying {
		return
	}
	if !p.set.takePlace(p) {
		p.set.due = append(p.set.due, p)
		return
	}
	p.submitLater()
}

// checkTimeout looks whether the job runs and for how long it has.
func (p *pending) checkTimeout(sub *submission) {
	p.set.mu.Lock()
	defer p.set.unlock()
	if !p.waitsFor(sub) {
		return
	}
	if sub.running.IsZero() {
		p.set.questions = append(p.set.questions, sub)
		return
	}
	if left := p.task.Timeout - time.Since(sub.running); left > 0 {
		p.timer.Reset(left)
		return
	}
	p.attemptFailed(TimedOut, p.failure(ErrTimeout))
}

// askStatus asks the job's server whether it runs. A lost connection is no answer: then the task is
// submitted again anyway.
func (p *pending) askStatus(sub *submission) {
	session := p.set.client.sessions[sub.handle.Server]
	_ = session.ask(question{protocol.StatusRes, sub.handle.ID}, protocol.GetStatus, func(packet protocol.Packet, err error) {
		if err == nil {
			p.gotStatus(sub, isTrue(packet.Args[1]), isTrue(packet.Args[2]))
		}
	})
}

func (p *pending) gotStatus(sub *submission, known, running bool) {
	p.set.mu.Lock()
	defer p.set.unlock()
	if !p.waitsFor(sub) {
		return
	}
	switch {
	case !known:
		p.attemptFailed(Lost, p.failure(ErrJobLost))
	case running && sub.running.IsZero():
		sub.running = time.Now()
		fallthrough
	case running:
		p.timer.Reset(max(p.task.Timeout-time.Since(sub.running), 0))
	default:
		sub.look = min(2*sub.look, p.task.Timeout)
		p.timer.Reset(sub.look)
	}
}

// expire: the task's deadline is over.
func (p *pending) expire() {
	p.set.mu.Lock()
	defer p.set.unlock()
	p.fail(p.failure(context.DeadlineExceeded))
}

// failure describes what went wrong with the task as it now stands.
func (p *pending) failure(err error) *TaskError {
	e := &TaskError{Function: p.task.Function, Key: p.task.Key, Attempt: p.attempt, Err: err}
	if p.current != nil {
		e.Handle = p.current.handle
	}
	return e
}

// fail ends the task without a result.
func (p *pending) fail(err *TaskError) { p.end(err.Handle, nil, err) }

// giveUpJob tells the server that nobody here waits for the job any more, as soon as it is known to be there.
// Of one that has ended there is nothing to tell.
func (p *pending) giveUpJob(why error) {
	if !p.task.EndUnwanted || p.current == nil || errors.Is(why, ErrClosed) || errors.Is(why, ErrWorkerStopped) {
		return
	}
	p.current.unwanted = true
	if p.current.handle != (Handle{}) {
		p.set.left = append(p.set.left, p.current)
	}
}

// end gives the task its answer, unless it has one. Its callbacks run after those that are queued.
func (p *pending) end(h Handle, payload []byte, err *TaskError) {
	if p.answered {
		return
	}
	p.answered = true
	p.stopTimer()
	if p.deadline != nil {
		p.deadline.Stop()
	}
	if p.current != nil {
		p.current.dropped.Store(true)
	}
	if err != nil {
		p.giveUpJob(err)
	}
	p.set.notices = append(p.set.notices, notice{task: p, kind: gotEnd, handle: h, payload: payload, failure: err})
	p.set.giveUpPlace(p)
	p.set.leave(p)
}

func (p *pending) stopTimer() {
	if p.timer != nil {
		p.timer.Stop()
	}
}
