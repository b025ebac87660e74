package queue

import (
	"bytes"
	"iter"
	"slices"
	"time"
)

// DeadLetter is a background job that used up its attempts.
type DeadLetter struct {
	Handle, Function, Unique string
	Priority                 Priority
	Payload                  []byte // the state's own; not to be changed
	Died                     time.Time
	History                  []LostAttempt // the last ones, oldest first
}

// LostAttempt is one attempt that came to nothing.
type LostAttempt struct {
	Number         int
	Worker         string // its id or, without one, its address
	Started, Ended time.Time
	Reason         string // "timeout" or "worker lost"
}

// maxHistory is how many lost attempts are remembered of one job.
const maxHistory = 16

// deadLetter is a DeadLetter and what else makes it a job again.
type deadLetter struct {
	DeadLetter
	reducer []byte
}

// DeadLetters lists the dead letters, the oldest first.
func (s *State) DeadLetters() iter.Seq[DeadLetter] {
	return func(yield func(DeadLetter) bool) {
		for _, d := range s.dead {
			if !yield(d.DeadLetter) {
				return
			}
		}
	}
}

// DeadLetter is one of them by its handle.
func (s *State) DeadLetter(handle string) (DeadLetter, bool) {
	i := s.findDead([]byte(handle))
	if i < 0 {
		return DeadLetter{}, false
	}
	return s.dead[i].DeadLetter, true
}

// bytes is about what it costs to keep.
func (d *deadLetter) bytes() int64 {
	return deadBytes + int64(len(d.Handle)+len(d.Function)+len(d.Unique)+len(d.Payload)+len(d.reducer)) +
		int64(len(d.History))*lossBytes
}

// deadFits says that one more of n bytes may be kept beside those there are.
func (s *State) deadFits(n int64) bool {
	limit := int64(s.cfg.DeadLetterBytes)
	return len(s.dead) < s.cfg.DeadLetters && (limit < 0 || s.deadBytes+n <= limit)
}

// forgetDead takes the i-th dead letter out.
func (s *State) forgetDead(i int) {
	s.deadBytes -= s.dead[i].bytes()
	s.dead = slices.Delete(s.dead, i, i+1)
}

func (s *State) findDead(handle []byte) int {
	return slices.IndexFunc(s.dead, func(d *deadLetter) bool { return d.Handle == string(handle) })
}

// recordLoss notes that the running attempt of j came to nothing.
func (s *State) recordLoss(j *job, reason string) {
	if s.cfg.JobRetries <= 0 {
		return // no job of this queue will ever be a dead letter
	}
	a := s.attempts.at(j.attempt)
	worker := a.worker.name
	if worker == "" {
		worker = a.worker.address
	}
	h := s.history[j.serial]
	if len(h) == maxHistory {
		h = slices.Delete(h, 0, 1)
	}
	s.history[j.serial] = append(h, LostAttempt{
		Number:  int(a.number),
		Worker:  worker,
		Started: a.startedAt(),
		Ended:   s.now,
		Reason:  reason,
	})
}

// bury makes a dead letter of a job that is about to be removed. The oldest ones make room for it.
func (s *State) bury(j *job) {
	s.counters.DeadLetters++
	d := s.deadLetterOf(j)
	n := d.bytes()
	if limit := int64(s.cfg.DeadLetterBytes); s.cfg.DeadLetters < 0 || limit > 0 && n > limit {
		s.counters.DeadDropped++
		return
	}
	d.Payload = bytes.Clone(d.Payload)
	for !s.deadFits(n) {
		s.counters.DeadDropped++
		s.forgetDead(0)
	}
	s.dead = append(s.dead, d)
	s.deadBytes += n
}

// deadLetterOf describes j. The payload is j's own.
func (s *State) deadLetterOf(j *job) *deadLetter {
	return &deadLetter{
		DeadLetter: DeadLetter{
			Handle:   string(s.handle(j)),
			Function: string(s.functionSlab.at(j.function).name),
			Unique:   string(s.unique(j)),
			Priority: j.priority,
			Payload:  s.payload(j),
			Died:     s.now,
			History:  s.history[j.serial],
		},
		reducer: bytes.Clone(s.reducer(j)),
	}
}

func (s *State) retryDead(ev *RetryDead) {
	i := s.findDead(ev.Handle)
	if i < 0 || s.jobs.n >= s.cfg.MaxJobs {
		return
	}
	d := s.dead[i]
	again := &Submit{
		Function:   []byte(d.Function),
		Unique:     []byte(d.Unique),
		Payload:    d.Payload,
		Owned:      true,
		Priority:   d.Priority,
		Background: true,
		Reducer:    d.reducer,
	}
	f := s.functionFor(nil, again.Function)
	if f == nil {
		return
	}
	if s.findKey(f, keyOf(again)) != 0 {
		return
	}
	s.forgetDead(i)
	s.counters.DeadRetried++
	slot, j := s.newJob(f, again)
	s.enqueue(slot, j, false)
	s.wake(f, s.cfg.WakeUp)
}

func (s *State) dropDead(ev *DropDead) {
	if i := s.findDead(ev.Handle); i >= 0 {
		s.forgetDead(i)
	}
}
