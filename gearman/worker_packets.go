package gearman

import (
	"log/slog"

	"github.com/geartrain/geartrain/gearman/protocol"
)

// cancelTimeout is the reason in a JOB_CANCEL that a timeout made.
const cancelTimeout = "timeout"

// handle does what a packet from the server asks for. An error ends the connection.
func (s *station) handle(l *link, p *protocol.Packet) error {
	if p.Magic != protocol.Response {
		return errWrongMagic
	}
	switch p.Type {
	case protocol.JobAssign, protocol.JobAssignUniq, protocol.JobAssignAll:
		l.grabKnown()
		return s.assigned(l, p)
	case protocol.NoJob:
		l.grabKnown()
		s.worker.post(s.worker.slots.noJob(s.src))
	case protocol.Noop:
		s.worker.post(s.worker.slots.noop(s.src))
	case protocol.JobCancel:
		s.cancel(p)
	case protocol.OptionRes, protocol.Error:
		s.answered(l, p)
	case protocol.EchoRes:
		if string(p.Arg(0)) == farewell && s.rested.Err() != nil {
			return errFarewell
		}
	default:
		s.logger.Debug("packet ignored", slog.String("type", p.Type.String()))
	}
	return nil
}

// assigned starts a job.
func (s *station) assigned(l *link, p *protocol.Packet) error {
	asks, ok := s.worker.slots.assigned(s.src)
	if !ok {
		return errUnasked
	}
	fn := s.worker.functions[string(p.Arg(1))]
	if fn == nil {
		fn = &function{name: string(p.Arg(1)), handler: refuse}
	}
	job := newJob(p, s.numbered) // only this goroutine changes numbered
	job.function, job.station, job.link = fn.name, s, l
	ctx := job.begin(s.life)
	s.mu.Lock()
	s.jobs[string(job.wire)] = job
	s.mu.Unlock()
	s.worker.jobs.Go(func() { s.worker.work(ctx, job, fn) })
	s.worker.post(asks)
	return nil
}

// cancel ends a job's context. A job that has ended or is unknown is not an error: its end and the
// cancel have met on the way.
func (s *station) cancel(p *protocol.Packet) {
	s.mu.Lock()
	job := s.jobs[string(p.Arg(0))]
	s.mu.Unlock()
	if job == nil {
		return
	}
	cause := ErrJobCancelled
	if string(p.Arg(1)) == cancelTimeout {
		cause = ErrJobTimeout
	}
	job.taken.Store(true)
	job.stop(cause)
}

// answered takes OPTION_RES and ERROR. The answers to options come first and in order; an ERROR after
// them is about a grab of a kind that the server does not know, or about the end of a job that it knows
// no more, and is no reason to stop.
func (s *station) answered(l *link, p *protocol.Packet) {
	if len(s.options) == 0 {
		if p.Type == protocol.Error && !l.grabRefused(clipped(p.Arg(0))) {
			s.logger.Debug("error from the job server", slog.String("code", quoted(p.Arg(0))), slog.String("text", quoted(p.Arg(1))))
		}
		return
	}
	option := s.options[0]
	s.options = s.options[1:]
	granted := p.Type == protocol.OptionRes
	s.logger.Debug("option", slog.String("name", option), slog.Bool("granted", granted))
	s.mu.Lock()
	if option == protocol.OptionAttempts {
		s.numbered = granted
	}
	s.settled = len(s.options) == 0
	s.mu.Unlock()
	if s.settled {
		s.sendLate()
	}
}
