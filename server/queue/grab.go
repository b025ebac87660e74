package queue

import (
	"slices"
	"time"

	"github.com/geartrain/geartrain/gearman/protocol"
	"github.com/geartrain/geartrain/server/store"
)

func (s *State) grab(ev *Grab) {
	p := s.peer(ev.Peer)
	if p == nil {
		return
	}
	p.asleep = false
	s.arrive(p)
	owed := s.settle(p)
	switch a, slot := s.findWork(p); {
	case slot != 0:
		s.assign(p, a, slot, ev.Detail)
	case ev.Later:
		s.expect(p)
	default:
		s.send(p, protocol.NoJob)
	}
	s.passOn(owed)
}

// findWork is the next job for a worker: of the highest priority that any of its functions has, and
// there of the function that was served least recently.
func (s *State) findWork(p *peer) (*ability, uint32) {
	if len(p.late) > 0 {
		p.late = slices.DeleteFunc(p.late, func(serial uint64) bool { return s.find(serial) == 0 })
	}
	for prio := range Priority(priorities) {
		for a := p.ready[prio].first; a != nil; {
			next := a.links[prio].next
			q := &a.function.queues[prio]
			if q.n == 0 {
				a.setReady(prio, false)
			} else if a.function.paused {
				// until it is resumed
			} else if slot := s.firstFor(p, q); slot != 0 {
				return a, slot
			}
			a = next
		}
	}
	return nil, 0
}

// firstFor is the first job of q that p may have, 0 if there is none. It passes over as many jobs as
// p has late attempts at most.
func (s *State) firstFor(p *peer, q *queue) uint32 {
	slot := q.first
	for slot != 0 && p.barred(s.jobs.at(slot)) {
		slot = s.jobs.at(slot).next
	}
	return slot
}

// assign hands a job out. The function goes to the end of the worker's round.
func (s *State) assign(p *peer, a *ability, slot uint32, detail Detail) {
	j, f := s.jobs.at(slot), a.function
	p.ready[j.priority].remove(int(j.priority), a)
	p.ready[j.priority].push(int(j.priority), a)
	s.detach(slot, j)
	j.state, j.since = Running, s.elapsed()
	f.running[j.priority]++
	at := s.startAttempt(slot, j, p)
	if timeout := s.timeoutOf(j, a); timeout > 0 {
		s.deadlines.add(slot, j.serial, later(j.since, timeout))
	}
	if p.excepted == j.serial {
		p.excepted = 0
	}
	s.counters.Assigned++
	s.sendAssignment(p, j, at, detail)
}

// timeoutOf is what the client said, or else the worker.
func (s *State) timeoutOf(j *job, a *ability) time.Duration {
	if j.task != 0 {
		if d := s.tasks.at(j.task).timeout; d > 0 {
			return d
		}
	}
	return a.timeout
}

func (s *State) sendAssignment(p *peer, j *job, at *attempt, detail Detail) {
	handle, name, payload := s.assignedHandle(j, at), s.functionSlab.at(j.function).name, s.payload(j)
	var e *Effect
	switch {
	case detail == Plain:
		e = s.send(p, protocol.JobAssign, handle, name, payload)
	case detail == WithAll && j.reducerLen > 0:
		e = s.send(p, protocol.JobAssignAll, handle, name, s.unique(j), s.reducer(j), payload)
	default:
		e = s.send(p, protocol.JobAssignUniq, handle, name, s.unique(j), payload)
	}
	e.Shared = j.body.own()
	if j.away {
		e.Body = store.ID(j.serial)
		e.N--
	}
}

func (s *State) startAttempt(slot uint32, j *job, p *peer) *attempt {
	j.attempts++
	at, a := s.attempts.add()
	*a = attempt{job: slot, number: j.attempts, worker: p, prev: p.last, started: s.now.UnixNano(), numbered: p.numbers}
	if p.last == 0 {
		p.first = at
	} else {
		s.attempts.at(p.last).next = at
	}
	p.last = at
	p.running++
	p.given = true
	j.attempt = at
	return a
}

// endAttempt takes a running job from its worker.
func (s *State) endAttempt(slot uint32, j *job) {
	if j.timer != 0 {
		s.deadlines.remove(slot)
	}
	a := s.attempts.at(j.attempt)
	p := a.worker
	if a.prev == 0 {
		p.first = a.next
	} else {
		s.attempts.at(a.prev).next = a.next
	}
	if a.next == 0 {
		p.last = a.prev
	} else {
		s.attempts.at(a.next).prev = a.prev
	}
	p.running--
	s.arena.drop(a.status)
	s.attempts.drop(j.attempt)
	j.attempt = 0
}

// startedAt is when an attempt began.
func (a *attempt) startedAt() time.Time { return time.Unix(0, a.started) }
