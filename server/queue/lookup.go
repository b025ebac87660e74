package queue

import (
	"time"

	"github.com/geartrain/geartrain/gearman/protocol"
)

// What clients ask about jobs by key.

// attachJob gives a client a seat at a job, or the result of an ended one. It never makes a job.
func (s *State) attachJob(ev *AttachJob) {
	p := s.peer(ev.Peer)
	if p == nil {
		return
	}
	f, key := s.functions[string(ev.Function)], jobKey{uniqueKey, ev.Key}
	if f != nil && len(ev.Key) > 0 {
		if slot := s.findKey(f, key); slot != 0 {
			s.attachTo(p, slot)
			return
		}
		if at := s.findResult(f, key); at != 0 && s.results.at(at).expires > s.elapsed() {
			s.counters.Kept.Answers++
			r := s.results.at(at)
			s.send(p, protocol.JobCreated, s.handleOf(r.serial))
			s.sendResult(p, r)
			return
		}
	}
	s.refuse(p, protocol.CodeJobNotFound, "There is no job with that key", &s.counters.Refused.NotFound)
}

func (s *State) attachTo(p *peer, slot uint32) {
	j := s.jobs.at(slot)
	if !s.mayWait(p) || !s.hasSeat(p, j) {
		return
	}
	s.counters.Joined++
	e := s.send(p, protocol.JobCreated, s.handle(j))
	if j.state == Pending {
		e.After = s.uncommitted(j)
	}
	s.attach(slot, j, p)
	s.sendLastStatus(j, p)
}

// findJob tells the state of a key.
func (s *State) findJob(ev *FindJob) {
	p := s.peer(ev.Peer)
	if p == nil {
		return
	}
	state, since := s.stateOfKey(ev.Function, ev.Key)
	s.send(p, protocol.FindRes, ev.Function, ev.Key, s.word(state), s.number(uint64(max(since.Milliseconds(), 0))))
}

func (s *State) stateOfKey(name, unique []byte) (string, time.Duration) {
	elapsed := s.elapsed()
	f, key := s.functions[string(name)], jobKey{uniqueKey, unique}
	if f != nil && len(unique) > 0 {
		if slot := s.findKey(f, key); slot != 0 {
			j := s.jobs.at(slot)
			return j.state.told(), time.Duration(elapsed - j.since)
		}
		if at := s.findResult(f, key); at != 0 && s.results.at(at).expires > elapsed {
			return "retained", time.Duration(elapsed - s.results.at(at).ended)
		}
	}
	for _, d := range s.dead {
		if d.Function == string(name) && d.Unique == string(unique) && d.Unique != "" {
			return "dead", s.now.Sub(d.Died)
		}
	}
	return "none", 0
}

// told is the state as clients know it: that a job is not stored yet is nothing to them.
func (s JobState) told() string {
	if s == Pending {
		return Queued.String()
	}
	return s.String()
}

// cancelJob ends a job by its handle.
func (s *State) cancelJob(ev *CancelJob) {
	state, after := s.cancel(s.findHandle(ev.Handle))
	if p := s.peer(ev.Peer); p != nil {
		s.send(p, protocol.CancelRes, ev.Handle, s.word(state)).After = after
	}
}

// cancelKey ends a job by its key.
func (s *State) cancelKey(ev *CancelKey) {
	slot := uint32(0)
	if f := s.functions[string(ev.Function)]; f != nil && len(ev.Key) > 0 {
		slot = s.findKey(f, jobKey{uniqueKey, ev.Key})
	}
	state, after := s.cancel(slot)
	if p := s.peer(ev.Peer); p != nil {
		s.send(p, protocol.CancelRes, ev.Key, s.word(state)).After = after
	}
}

// leaveJob takes a client's seat at a job away, the oldest one, and ends the job if nobody wants it any more.
func (s *State) leaveJob(ev *LeaveJob) {
	p, slot := s.peer(ev.Peer), s.findHandle(ev.Handle)
	if p == nil || slot == 0 {
		return
	}
	j := s.jobs.at(slot)
	at := j.first
	for at != 0 && s.seats.at(at).client != p.slot {
		at = s.seats.at(at).nextOfJob
	}
	if at == 0 {
		return
	}
	s.detachClient(at)
	if !j.wanted() {
		s.cancel(slot)
	}
}

// cancel ends a job, whoever waits for it. It returns the state in which the job was, and what an answer
// waits for.
func (s *State) cancel(slot uint32) (state string, after uint64) {
	if slot == 0 {
		return "none", 0
	}
	j := s.jobs.at(slot)
	state = j.state.told()
	if j.state == Running {
		s.tellCancelled(j, s.attempts.at(j.attempt), reasonCancelled)
	}
	s.counters.Cancelled++
	return state, s.fail(slot, j)
}
