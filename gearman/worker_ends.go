package gearman

import (
	"context"
	"log/slog"

	"github.com/geartrain/geartrain/gearman/protocol"
)

// lateEnd is the end of a job whose connection was lost, until there is another.
type lateEnd struct {
	job *Job
	out outcome
}

// linkFor is where packets about a job can be sent now: the connection that it came by, or a later one
// whose server tells attempts apart. Nil: nowhere.
func (s *station) linkFor(job *Job) *link {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.route(job)
}

// route is linkFor for a caller that holds the lock.
func (s *station) route(job *Job) *link {
	if s.link == job.link || s.settled && s.numbered {
		return s.link
	}
	return nil
}

// finish reports how a job ended and asks for the next one, in one write when both go the same way.
func (s *station) finish(job *Job, out outcome) {
	job.ended.Store(true)
	if l := s.linkFor(job); l != nil {
		_ = l.room(context.Background()) // it ends with the link at the latest, which report finds too
	}
	s.mu.Lock()
	if s.jobs[string(job.wire)] == job {
		delete(s.jobs, string(job.wire))
	}
	s.mu.Unlock()
	asks := s.worker.slots.done(s.src)
	s.worker.post(s.report(lateEnd{job, out}, asks))
	s.worker.slots.sent(s.src)
}

// report sends the end of a job together with the ask that goes the same way, and returns the asks that
// remain.
func (s *station) report(end lateEnd, asks []ask) []ask {
	if end.out.givenBack() {
		s.logger.Warn("job given back to the server", end.attrs()...)
		return asks
	}
	var same ask
	for l := s.linkOrKeep(end, nil); l != nil; l = s.linkOrKeep(end, l) {
		same, asks = splitAsks(asks, l)
		err := l.post(func(dst []byte) []byte {
			dst = end.out.append(dst, end.job.wire, s.worker.config.MaxPacketBytes, end.job.attempt > 0)
			return same.append(dst)
		})
		same.expectAnswer()
		if err == nil {
			break
		}
	}
	return asks
}

// linkOrKeep is linkFor the end of a job. Where there is none but dead, which has ended, it holds the end for the next
// connection. There are never more of them than slots, since no new job comes from this server until then.
func (s *station) linkOrKeep(end lateEnd, dead *link) *link {
	s.mu.Lock()
	if l := s.route(end.job); l != dead && l != nil {
		s.mu.Unlock()
		return l
	}
	known := s.settled && !s.numbered
	if !known {
		s.late = append(s.late, end)
	}
	s.mu.Unlock()
	if known {
		s.dropped(end)
	}
	return nil
}

// sendLate reports what ended while there was no connection, if the new one's server can tell what it
// belongs to. It is called once the options are answered.
func (s *station) sendLate() {
	s.mu.Lock()
	late := s.late
	s.late = nil
	s.mu.Unlock()
	for _, end := range late {
		s.report(end, nil)
	}
}

// dropLate gives up on what could not be reported.
func (s *station) dropLate() {
	s.mu.Lock()
	late := s.late
	s.late = nil
	s.mu.Unlock()
	for _, end := range late {
		s.dropped(end)
	}
}

func (s *station) dropped(end lateEnd) {
	s.logger.Warn("the end of a job is dropped: its connection was lost, and the server has given it to another worker", end.attrs()...)
}

func (end *lateEnd) attrs() []any {
	return []any{slog.String("function", end.job.function), slog.String("key", quoted([]byte(end.job.key))), slog.String("handle", quoted(end.job.wire))}
}

// splitAsks takes the ask for l out of asks; it is empty when there is none.
func splitAsks(asks []ask, l *link) (same ask, others []ask) {
	for _, a := range asks {
		if a.link == l {
			same = a
		} else {
			others = append(others, a)
		}
	}
	return same, others
}

// append appends the packets of an ask. It is called under the link's lock.
func (a ask) append(dst []byte) []byte {
	for range a.grabs {
		dst = a.link.grabs.append(dst)
	}
	if a.sleep {
		dst = protocol.AppendPacket(dst, protocol.Request, protocol.PreSleep)
	}
	return dst
}

// post sends what slots decided.
func (w *Worker) post(asks []ask) {
	for _, a := range asks {
		_ = a.link.post(a.append) // a link that has ended gives its slots back when its station finds out
		a.expectAnswer()
	}
}

// expectAnswer shortens the reader's patience when something was asked for.
func (a ask) expectAnswer() {
	if a.grabs > 0 {
		expectSoon(a.link)
	}
}
