package queue

import "github.com/geartrain/geartrain/gearman/protocol"

func (s *State) getStatus(ev *GetStatus) {
	p := s.peer(ev.Peer)
	if p == nil {
		return
	}
	slot := s.findHandle(ev.Handle)
	known, running, numerator, denominator := s.progress(slot)
	s.send(p, protocol.StatusRes, ev.Handle, known, running, numerator, denominator)
}

// getStatusUnique asks every function for the unique id, since the packet does not name one. If
// several have it the oldest job answers.
func (s *State) getStatusUnique(ev *GetStatusUnique) {
	p := s.peer(ev.Peer)
	if p == nil {
		return
	}
	slot := s.findUnique(ev.Unique)
	known, running, numerator, denominator := s.progress(slot)
	clients := uint64(0)
	if slot != 0 {
		clients = uint64(s.jobs.at(slot).clients)
	}
	s.send(p, protocol.StatusResUnique, ev.Unique, known, running, numerator, denominator, s.number(clients))
}

func (s *State) findUnique(unique []byte) uint32 {
	oldest := uint32(0)
	for id := range s.functionSlab.all() {
		slot := s.findKey(s.functionSlab.at(id), jobKey{uniqueKey, unique})
		if slot != 0 && (oldest == 0 || s.jobs.at(slot).serial < s.jobs.at(oldest).serial) {
			oldest = slot
		}
	}
	return oldest
}

// progress is the middle of a status answer; slot 0 is an unknown job.
func (s *State) progress(slot uint32) (known, running, numerator, denominator []byte) {
	if slot == 0 {
		zero := s.flag(false)
		return zero, zero, zero, zero
	}
	j := s.jobs.at(slot)
	numerator, denominator = s.lastStatus(j)
	if numerator == nil {
		numerator, denominator = s.flag(false), s.flag(false)
	}
	return s.flag(true), s.flag(j.state == Running), numerator, denominator
}
