package queue

import "github.com/geartrain/geartrain/gearman/protocol"

// tick carries out what is due: attempts that took too long, jobs whose time has come, results whose time
// is over, workers that were woken in vain.
func (s *State) tick() {
	s.expired = s.expired[:0]
	elapsed := s.elapsed()
	for t, ok := s.deadlines.first(); ok && t.at <= elapsed; t, ok = s.deadlines.first() {
		s.deadlines.remove(t.slot)
		s.expired = append(s.expired, t.slot)
	}
	// The last one first, so that the first one ends up at the head.
	for i := len(s.expired) - 1; i >= 0; i-- {
		s.expire(s.expired[i])
	}
	for t, ok := s.retries.first(); ok && t.at <= elapsed; t, ok = s.retries.first() {
		s.ripen(t.slot)
	}
	for t, ok := s.schedule.first(); ok && t.at <= s.now.UnixNano(); t, ok = s.schedule.first() {
		s.ripen(t.slot)
	}
	s.expireResults(elapsed)
	s.lapse()
}

// ripen queues a job whose time has come.
func (s *State) ripen(slot uint32) {
	j := s.jobs.at(slot)
	s.detach(slot, j)
	s.enqueue(slot, j, false)
	s.wake(s.functionSlab.at(j.function), s.cfg.WakeUp)
}

// expire takes a running job from its worker.
func (s *State) expire(slot uint32) {
	j := s.jobs.at(slot)
	a := s.attempts.at(j.attempt)
	s.counters.Timeouts++
	s.tellCancelled(j, a, reasonTimeout)
	if !a.numbered {
		a.worker.addLate(j.serial)
	}
	s.rememberLate(j, a)
	s.recordLoss(j, reasonTimeout)
	s.requeue(slot, j)
}

// tellCancelled lets a worker that asked for it know that its attempt no longer counts.
func (s *State) tellCancelled(j *job, a *attempt, reason string) {
	if a.worker.cancels {
		s.send(a.worker, protocol.JobCancel, s.assignedHandle(j, a), s.word(reason))
	}
}
