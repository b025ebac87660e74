package queue

// The reasons a worker or a history is given.
const (
	reasonTimeout   = "timeout"
	reasonLost      = "worker lost"
	reasonCancelled = "cancelled"
	reasonPayload   = "payload lost"
	reasonFailed    = "failed"
	reasonException = "exception"
)

func (s *State) setMaxQueue(ev *SetMaxQueue) {
	f := s.functionFor(nil, ev.Function)
	if f == nil {
		return
	}
	for i, n := range ev.Max {
		f.maxQueue[i] = max(n, 0)
	}
	s.release(f)
}

func (s *State) createFunction(ev *CreateFunction) {
	if f := s.functionFor(nil, ev.Function); f != nil {
		f.created = true
	}
}

func (s *State) dropFunction(ev *DropFunction) {
	f := s.functions[string(ev.Function)]
	if f == nil || f.workers > 0 || f.taken() > 0 {
		return
	}
	f.created = true // so that it outlives its last job
	for _, slot := range s.waitingJobs(f) {
		s.counters.Cancelled++
		s.fail(slot, s.jobs.at(slot))
	}
	for at := range s.results.all() {
		if s.results.at(at).function == f.id {
			s.dropResult(at)
		}
	}
	f.created, f.paused, f.maxQueue = false, false, [priorities]int{}
	s.release(f)
}

// waitingJobs are all jobs of f that are queued or wait for their time.
func (s *State) waitingJobs(f *function) []uint32 {
	slots := make([]uint32, 0, f.waiting())
	for i := range f.queues {
		for slot := f.queues[i].first; slot != 0; slot = s.jobs.at(slot).next {
			slots = append(slots, slot)
		}
	}
	for _, t := range s.schedule.heap {
		if s.jobs.at(t.slot).function == f.id {
			slots = append(slots, t.slot)
		}
	}
	for _, a := range s.awaited {
		if j := s.awaitedJob(a); j != nil && j.state == Pending && j.function == f.id {
			slots = append(slots, a.slot)
		}
	}
	return slots
}

// pauseFunction lets nothing of a function be handed out; it holds also before the function has jobs or
// workers.
func (s *State) pauseFunction(ev *PauseFunction) {
	if f := s.functionFor(nil, ev.Function); f != nil {
		f.paused = true
	}
}

func (s *State) resumeFunction(ev *ResumeFunction) {
	f := s.functions[string(ev.Function)]
	if f == nil || !f.paused {
		return
	}
	f.paused = false
	s.wake(f, f.ready())
	s.release(f)
}
