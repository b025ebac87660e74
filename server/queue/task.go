package queue

import (
	"time"

	"github.com/geartrain/geartrain/gearman/protocol"
)

// task is what a client said of a job beyond the old packets and what holds as long as the job does. Like
// a job it has no pointers.
type task struct {
	retain            time.Duration
	timeout           time.Duration
	delay, maxDelay   time.Duration
	backoff, jitter   float64
	attempts          uint32
	labels            ref // run, stage, traceparent
	run, stage, trace uint16
	acceptLate        bool
}

// maxLabel is how much of a label is kept.
const maxLabel = 1024

// keepTask notes the options of a submission that makes or joins a job. A job that has some already keeps
// them, but for the longer retention and the more attempts.
func (s *State) keepTask(j *job, o *protocol.TaskOptions) (changed bool) {
	if o == nil || !lasts(o) {
		return false
	}
	if j.task != 0 {
		t := s.tasks.at(j.task)
		changed = o.Retain > t.retain || uint32(o.Attempts) > t.attempts
		t.retain, t.attempts = max(t.retain, o.Retain), max(t.attempts, uint32(o.Attempts))
		return changed
	}
	at, t := s.tasks.add()
	j.task = at
	run, stage, trace := label(o.Run), label(o.Stage), label(o.Traceparent)
	*t = task{
		retain: o.Retain, timeout: o.Timeout, delay: o.Delay, maxDelay: o.MaxDelay,
		backoff: o.Backoff, jitter: o.Jitter, attempts: uint32(o.Attempts), acceptLate: o.AcceptLate,
		labels: s.arena.put(run, stage, trace),
		run:    uint16(len(run)), stage: uint16(len(stage)), trace: uint16(len(trace)),
	}
	s.textBytes += t.labelBytes()
	return true
}

func label(text string) []byte { return []byte(text[:min(len(text), maxLabel)]) }

func (t *task) labelBytes() int64 { return int64(t.run) + int64(t.stage) + int64(t.trace) }

// lasts says that the options say something about the job and not only about the submission.
func lasts(o *protocol.TaskOptions) bool {
	only := protocol.TaskOptions{
		Background: o.Background, Priority: o.Priority, At: o.At, Fresh: o.Fresh, Reject: o.Reject, Tell: o.Tell,
	}
	return *o != only
}

// forgetTask is keepTask undone.
func (s *State) forgetTask(j *job) {
	t := s.tasks.at(j.task)
	s.textBytes -= t.labelBytes()
	s.arena.drop(t.labels)
	s.tasks.drop(j.task)
	j.task = 0
}

// options are what keepTask has noted of j, nil if that is nothing.
func (s *State) options(j *job) *protocol.TaskOptions {
	if j.task == 0 {
		return nil
	}
	t := s.tasks.at(j.task)
	labels := string(s.arena.get(t.labels, int(t.labelBytes())))
	stage := int(t.run) + int(t.stage)
	o := &protocol.TaskOptions{
		Retain: t.retain, Timeout: t.timeout, Delay: t.delay, MaxDelay: t.maxDelay,
		Backoff: t.backoff, Jitter: t.jitter, Attempts: int(t.attempts), AcceptLate: t.acceptLate,
		Run: labels[:t.run], Stage: labels[t.run:stage], Traceparent: labels[stage:],
	}
	if !lasts(o) {
		return nil
	}
	return o
}

// rejects says that a submission does not want to meet another payload.
func (ev *Submit) rejects(f *function) bool {
	return f.policy.Conflict == Reject || ev.Options != nil && ev.Options.Reject
}
