package queue

// leave undoes everything that a connection stood for: first what it waited for, so that nobody is
// woken for a job that goes with it, then what it could do, then what it had. Its running jobs go
// back to the heads of their classes in the order in which it had got them.
func (s *State) leave(ev *Leave) {
	p := s.peer(ev.Peer)
	if p == nil {
		return
	}
	for p.seat != 0 {
		slot := s.seats.at(p.seat).job
		s.detachClient(p.seat)
		if j := s.jobs.at(slot); !j.wanted() && j.state != Running {
			s.counters.Abandoned++
			s.remove(slot, j)
		}
	}
	s.resetAbilities(p)
	for p.last != 0 {
		slot := s.attempts.at(p.last).job
		s.counters.Lost++
		s.recordLoss(s.jobs.at(slot), reasonLost)
		s.requeue(slot, s.jobs.at(slot))
	}
	s.arrive(p)
	delete(s.peers, p.id)
	s.peerSlab.drop(p.slot)
}
