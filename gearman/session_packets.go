package gearman

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/geartrain/geartrain/gearman/protocol"
)

const (
	maxHandle = 1 << 10 // bytes of a handle; gearmand's have at most 63
	maxText   = 1 << 10 // bytes that are kept of an ERROR's code and of its text
)

var errProtocol = errors.New("gearman: the server breaks the protocol")

// read takes the server's packets until the link ends or the server cannot be followed any more.
func (s *session) read(l *link) error {
	for {
		p, err := l.in.Read()
		switch {
		case protocol.Recoverable(err):
			s.client.log.Warn("packet from the job server ignored", "server", s.server, "error", err)
			continue
		case err != nil:
			return err
		case p.Magic != protocol.Response:
			return fmt.Errorf("%w: a %s from it is marked as a request", errProtocol, p.Type)
		}
		if err := s.handle(p); err != nil {
			return err
		}
	}
}

// handle acts on one packet. An error ends the link.
func (s *session) handle(p protocol.Packet) error {
	switch p.Type {
	case protocol.JobCreated:
		return s.named(p.Args[0], 0)
	case protocol.JobRetained:
		return s.named(p.Args[0], time.Duration(number(p.Args[1]))*time.Millisecond)
	case protocol.Error:
		s.refused(p)
	case protocol.WorkData, protocol.WorkWarning, protocol.WorkStatus:
		if sub := s.recipient(p.Args[0]); sub != nil {
			sub.report(p)
		}
	case protocol.WorkComplete, protocol.WorkFail, protocol.WorkException:
		s.ended(p)
	case protocol.StatusRes:
		s.endTwins(p)
		s.answer(p)
	case protocol.StatusResUnique, protocol.EchoRes, protocol.CancelRes, protocol.FindRes:
		s.answer(p)
	case protocol.OptionRes:
		s.mu.Lock()
		if len(s.options) > 0 {
			s.decidedLocked(true)
		}
		s.mu.Unlock()
	} // what is left is for workers, and harmless
	return nil
}

// named takes a JOB_CREATED, or a JOB_RETAINED with its age: the answer to the oldest submission that has none.
func (s *session) named(handle []byte, age time.Duration) error {
	if len(handle) > maxHandle {
		return fmt.Errorf("%w: a handle of %d bytes", errProtocol, len(handle))
	}
	s.mu.Lock()
	if len(s.unnamed) == 0 {
		s.mu.Unlock()
		return fmt.Errorf("%w: a job without a submission", errProtocol)
	}
	sub := s.nextUnnamedLocked()
	j := s.jobs[string(handle)]
	if j == nil {
		j = newAudience(string(handle))
		s.jobs[j.handle] = j
	}
	j.join(sub)
	s.mu.Unlock()
	sub.created(Handle{Server: s.server, ID: j.handle}, age)
	return nil
}

func (s *session) nextUnnamedLocked() *submission {
	sub := s.unnamed[0]
	s.unnamed[0] = nil
	s.unnamed = s.unnamed[1:]
	return sub
}

// refused takes an ERROR. UNKNOWN_OPTION, which Perl's server writes small, answers our oldest
// OPTION_REQ; any other code the oldest request that has no answer, since a server answers in order.
func (s *session) refused(p protocol.Packet) {
	err := &ServerError{Code: clipped(p.Args[0]), Text: clipped(p.Args[1])}
	s.mu.Lock()
	switch {
	case len(s.options) > 0 && strings.EqualFold(err.Code, protocol.CodeUnknownOption):
		s.decidedLocked(false)
		s.mu.Unlock()
	case len(s.asked) > 0 && (len(s.unnamed) == 0 || s.asked[0].seq < s.unnamed[0].seq):
		fn := s.nextAnswerLocked(s.asked[0].question)
		s.mu.Unlock()
		fn(protocol.Packet{}, err)
	case len(s.unnamed) > 0:
		s.refusedLocked(err)
	default:
		s.mu.Unlock()
		s.client.log.Warn("error from the job server", "server", s.server, "error", err)
	}
}

// refusedLocked gives the oldest submission its refusal, and unlocks.
func (s *session) refusedLocked(err *ServerError) {
	sub := s.nextUnnamedLocked()
	ending := err.Code == protocol.CodeShuttingDown
	if ending && s.state == up {
		s.enterLocked(leaving, err)
	}
	s.mu.Unlock()
	if ending {
		sub.lost()
		return
	}
	sub.refused(err)
}

// recipient is whose turn it is to get a report on the job, nil if nobody knows the job.
func (s *session) recipient(handle []byte) *submission {
	s.mu.Lock()
	defer s.mu.Unlock()
	if j := s.jobs[string(handle)]; j != nil {
		return j.next()
	}
	return nil
}

// ended takes the end of a job for one of its submissions. If there are more, and the server should
// be one that tells each connection only once, it is asked about the job: its answer comes after
// whatever ends it still had to send, see endTwins.
func (s *session) ended(p protocol.Packet) {
	end := endingOf(p)
	s.mu.Lock()
	j := s.jobs[string(p.Args[0])]
	if j == nil || j.excepted && end.why == Failed { // WORK_FAIL after WORK_EXCEPTION: the same end
		s.mu.Unlock()
		return
	}
	sub := j.leave()
	j.excepted = j.excepted || end.why == Exception
	switch {
	case len(j.waiting) == 0:
		delete(s.jobs, j.handle)
	case j.ending == nil:
		twins := end
		twins.payload = bytes.Clone(end.payload)
		j.ending = &twins
		_ = s.postLocked(protocol.GetStatus, []byte(j.handle)) // the reader learns of a dead link
	}
	s.mu.Unlock()
	sub.ended(end)
}

// endTwins gives the end of a job to the submissions that the server has sent none for.
func (s *session) endTwins(p protocol.Packet) {
	s.mu.Lock()
	j := s.jobs[string(p.Args[0])]
	if j == nil || j.ending == nil || isTrue(p.Args[1]) {
		s.mu.Unlock()
		return
	}
	delete(s.jobs, j.handle)
	s.mu.Unlock()
	for _, sub := range j.waiting {
		end := *j.ending
		end.payload = bytes.Clone(end.payload)
		sub.ended(end)
	}
}

// leave takes back what a task has submitted for the job of sub, if that has not ended. A server that does not
// know how keeps it. It does not wait and calls nobody back.
func (s *session) leave(sub *submission) {
	s.mu.Lock()
	defer s.mu.Unlock()
	j := s.jobs[sub.handle.ID]
	if !s.extended || j == nil {
		return
	}
	for range j.remove(sub.task) {
		s.said = true
		_ = s.postLocked(protocol.LeaveJob, []byte(j.handle)) // a dead link has left already
	}
	if len(j.waiting) == 0 {
		delete(s.jobs, j.handle)
	}
}

// flush waits until all that leave has to say is written: also about jobs whose name is still to come, which has
// when the server has answered something asked later. A link that is dead, or does not read, hears no more.
func (s *session) flush(ctx context.Context) {
	s.mu.Lock()
	mayKnow := s.extended || slices.Contains(s.options, protocol.OptionTasks)
	l, said, more := s.link, s.said, mayKnow && s.leavesLocked()
	s.mu.Unlock()
	if l == nil || !said && !more {
		return
	}
	if more {
		const about = "all named"
		_ = s.askAndWait(ctx, question{protocol.EchoRes, about}, protocol.EchoReq, func(protocol.Packet) {})
	}
	_ = l.flush(ctx)
}

// leavesLocked reports whether leave is still to be called for a submission.
func (s *session) leavesLocked() bool {
	leaves := func(sub *submission) bool { return sub.task.task.EndUnwanted && sub.dropped.Load() }
	for _, j := range s.jobs {
		if slices.ContainsFunc(j.waiting, leaves) {
			return true
		}
	}
	return slices.ContainsFunc(s.unnamed, leaves)
}

// answer takes the answer to the oldest question of its kind.
func (s *session) answer(p protocol.Packet) {
	q := question{p.Type, string(p.Args[0])}
	if p.Type == protocol.FindRes {
		q.about += "\x00" + string(p.Args[1])
	}
	s.mu.Lock()
	fn := s.nextAnswerLocked(q)
	s.mu.Unlock()
	if fn != nil {
		fn(p, nil)
	}
}

// nextAnswerLocked takes out who waits longest for an answer to q; nil: nobody.
func (s *session) nextAnswerLocked(q question) answers {
	waiting := s.questions[q]
	if len(waiting) == 0 {
		return nil
	}
	if len(waiting) == 1 {
		delete(s.questions, q)
	} else {
		s.questions[q] = waiting[1:]
	}
	for len(s.asked) > 0 && !s.waitsLocked(s.asked[0]) {
		s.asked = s.asked[1:]
	}
	return waiting[0].fn
}

// waitsLocked reports whether a question has no answer yet.
func (s *session) waitsLocked(r request) bool {
	waiting := s.questions[r.question]
	return len(waiting) > 0 && waiting[0].seq <= r.seq
}

func clipped(p []byte) string { return string(p[:min(len(p), maxText)]) }
