package queue

import (
	"bytes"
	"slices"

	"github.com/geartrain/geartrain/gearman/protocol"
)

// maxStatusText is how long a numerator or denominator may be to be remembered. Longer ones are only
// passed on.
const maxStatusText = 32

func (s *State) report(ev *Report) {
	p := s.peer(ev.Peer)
	if p == nil {
		return
	}
	serial, number, ok := s.parseHandle(ev.Handle)
	slot := uint32(0)
	if ok {
		slot = s.find(serial)
	}
	if slot == 0 || !s.owns(p, s.jobs.at(slot), number) {
		if !p.given {
			s.refuse(p, protocol.CodeJobNotFound, "Job given in work result not found", &s.counters.LateReports)
			return
		}
		s.lateReport(p, lateRun{serial, number}, ev)
		return
	}
	j := s.jobs.at(slot)
	switch ev.Kind {
	case Data:
		s.broadcast(j, protocol.WorkData, 0, ev.Owned, ev.Data)
	case Warning:
		s.broadcast(j, protocol.WorkWarning, 0, ev.Owned, ev.Data)
	case Status:
		s.keepStatus(j, ev.Data, ev.Second)
		s.broadcast(j, protocol.WorkStatus, 0, false, ev.Data, ev.Second)
	case Complete:
		s.complete(slot, j, p, ev)
	case Exception:
		p.excepted = serial
		if s.attemptFailed(slot, j, p, ev) {
			return
		}
		s.counters.Exceptions++
		after := s.endFailed(j)
		s.broadcastException(j, after, ev)
		s.remove(slot, j)
		s.gate(p, after)
	case Fail:
		if s.attemptFailed(slot, j, p, ev) {
			return
		}
		s.counters.Failed++
		after := s.endFailed(j)
		s.failAfter(slot, j, after)
		s.gate(p, after)
	}
}

// complete ends a job well.
func (s *State) complete(slot uint32, j *job, p *peer, ev *Report) {
	s.counters.Completed++
	again := j.record == 0 // only workers had the payload
	after := s.keepResult(j, ev.Data)
	s.broadcast(j, protocol.WorkComplete, after, ev.Owned, ev.Data)
	if again && j.body != 0 {
		s.dropBody(j, true)
		j.away = true
		s.textBytes -= int64(j.payloadLen)
	}
	s.remove(slot, j)
	s.gate(p, after)
}

// endFailed takes a job that failed out of the store, or makes a dead letter of it if it was tried again.
func (s *State) endFailed(j *job) uint64 {
	if _, ok := s.retryOf(j); !ok {
		return s.dropRecord(j)
	}
	s.counters.Exhausted++
	return s.bury(j)
}

// owns says that the job's current attempt is p's, and that number is how p knows it.
func (s *State) owns(p *peer, j *job, number uint32) bool {
	if j.state != Running {
		return false
	}
	a := s.attempts.at(j.attempt)
	known := uint32(0)
	if a.numbered {
		known = a.number
	}
	return a.worker == p && number == known
}

// lateReport drops what a worker says about a job that is not its own any more. It is never answered: stock
// Perl workers die of an ERROR. A WORK_FAIL that follows a WORK_EXCEPTION is what
// they send for one and the same failure.
func (s *State) lateReport(p *peer, run lateRun, ev *Report) {
	serial, kind := run.serial, ev.Kind
	if kind == Fail && serial != 0 && p.excepted == serial {
		p.excepted = 0
		return
	}
	s.counters.LateReports++
	if kind < Complete {
		return
	}
	i := slices.Index(p.late, serial)
	if i >= 0 {
		p.late = slices.Delete(p.late, i, i+1)
		if kind == Exception {
			p.excepted = serial
		}
	}
	if !s.takeLate(p, run, ev) && i >= 0 {
		s.rouse(p) // the job may be the one it sleeps for
	}
}

// fail ends a job with WORK_FAIL, and returns what that waits for.
func (s *State) fail(slot uint32, j *job) uint64 {
	after := s.dropRecord(j)
	s.failAfter(slot, j, after)
	return after
}

func (s *State) failAfter(slot uint32, j *job, after uint64) {
	if j.state == Pending {
		s.sayLater(slot, j, after)
	} else {
		s.broadcast(j, protocol.WorkFail, after, false)
	}
	s.remove(slot, j)
}

// gate lets everything that is sent to p from now on wait for an operation: that is how a worker knows
// that a result is safe.
func (s *State) gate(p *peer, after uint64) {
	if after != 0 {
		s.out = append(s.out, Effect{To: p.id, After: after})
	}
}

// broadcast sends a packet about j, with the bare handle, to each of its seats.
func (s *State) broadcast(j *job, t protocol.Type, after uint64, shared bool, args ...[]byte) {
	if j.clients == 0 {
		return
	}
	handle := s.handle(j)
	for at := j.first; at != 0; {
		c := s.seats.at(at)
		e := s.send(s.peerSlab.at(c.client), t, handle)
		e.N += copy(e.Args[1:], args)
		e.Shared, e.After = shared, after
		at = c.nextOfJob
	}
}

// broadcastException gives each client the one end it understands.
func (s *State) broadcastException(j *job, after uint64, ev *Report) {
	if j.clients == 0 {
		return
	}
	handle := s.handle(j)
	for at := j.first; at != 0; {
		c := s.seats.at(at)
		if p := s.peerSlab.at(c.client); p.exceptions || s.cfg.Exceptions {
			e := s.send(p, protocol.WorkException, handle, ev.Data)
			e.Shared, e.After = ev.Owned, after
		} else {
			s.send(p, protocol.WorkFail, handle).After = after
		}
		at = c.nextOfJob
	}
}

// keepStatus remembers the running attempt's last status, for those who ask or join later. What is behind a
// NUL byte would look like another argument of the answer.
func (s *State) keepStatus(j *job, numerator, denominator []byte) {
	denominator, _, _ = bytes.Cut(denominator, []byte{0})
	if len(numerator) > maxStatusText || len(denominator) > maxStatusText {
		return
	}
	a := s.attempts.at(j.attempt)
	s.arena.drop(a.status)
	a.status = s.arena.put(numerator, denominator)
	a.numerator, a.denom = uint8(len(numerator)), uint8(len(denominator))
}

// lastStatus is what keepStatus remembers; nil before the attempt's first status.
func (s *State) lastStatus(j *job) (numerator, denominator []byte) {
	if j.state != Running {
		return nil, nil
	}
	a := s.attempts.at(j.attempt)
	b := s.arena.get(a.status, int(a.numerator)+int(a.denom))
	if b == nil {
		return nil, nil
	}
	return b[:a.numerator:a.numerator], b[a.numerator:]
}

// sendLastStatus tells a client that comes late how far the job is.
func (s *State) sendLastStatus(j *job, p *peer) {
	if numerator, denominator := s.lastStatus(j); numerator != nil {
		s.send(p, protocol.WorkStatus, s.handle(j), numerator, denominator)
	}
}
