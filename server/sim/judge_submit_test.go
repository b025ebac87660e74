package sim

import (
	"slices"
	"strconv"
	"time"

	"github.com/geartrain/geartrain/gearman/protocol"
	"github.com/geartrain/geartrain/server/queue"
)

// submission is a client's wish for a job.
type submission struct {
	function, unique, payload, reducer string
	priority                           queue.Priority
	background                         bool
	runAt                              time.Time
}

// key is what submissions are joined by, "" if by nothing.
func (s *submission) key() string {
	switch {
	case s.unique == "", s.unique == "-" && s.payload == "":
		return ""
	case s.unique == "-":
		return s.function + "\x00payload\x00" + s.payload
	}
	return s.function + "\x00unique\x00" + s.unique
}

// parseSubmission reads a SUBMIT packet.
func parseSubmission(p packet) (submission, bool) {
	s := submission{priority: queue.Normal}
	switch p.typ {
	case protocol.SubmitJob, protocol.SubmitReduceJob:
	case protocol.SubmitJobHigh:
		s.priority = queue.High
	case protocol.SubmitJobLow:
		s.priority = queue.Low
	case protocol.SubmitJobBg, protocol.SubmitJobEpoch, protocol.SubmitReduceJobBg:
		s.background = true
	case protocol.SubmitJobHighBg:
		s.priority, s.background = queue.High, true
	case protocol.SubmitJobLowBg:
		s.priority, s.background = queue.Low, true
	default:
		return s, false
	}
	s.function, s.unique, s.payload = p.args[0], p.args[1], p.args[len(p.args)-1]
	switch p.typ {
	case protocol.SubmitJobEpoch:
		seconds, _ := strconv.ParseInt(p.args[2], 10, 64) // the clients of this package write numbers
		s.runAt = time.Unix(seconds, 0)
	case protocol.SubmitReduceJob, protocol.SubmitReduceJobBg:
		s.reducer = p.args[2]
	}
	return s, true
}

// answer judges JOB_CREATED and ERROR.
func (j *judge) answer(p *peer, pk packet) bool {
	if pk.typ != protocol.JobCreated && pk.typ != protocol.Error {
		return false
	}
	if pk.typ == protocol.Error && pk.args[0] == protocol.CodeJobNotFound && p.strange > 0 {
		p.strange--
		return true
	}
	if len(p.submits) == 0 {
		j.blame("", p.id, "%s for a peer that has not submitted anything: %q", pk.typ, pk.args)
		return true
	}
	s := p.submits[0]
	p.submits = p.submits[1:]
	if pk.typ == protocol.Error {
		j.refusals = append(j.refusals, refusal{s, p, pk.args[0]})
	} else if b := j.jobs[pk.handle()]; b == nil {
		j.create(p, &s, pk.handle())
	} else {
		j.join(p, &s, b)
	}
	return true
}

// create judges a submission that made a new job.
func (j *judge) create(p *peer, s *submission, handle string) {
	key := s.key()
	if other := j.keys[key]; key != "" && other != nil && other.lives() {
		j.blame(other.handle, p.id, "%s is a second job of the same key", handle)
	}
	b := &job{submission: *s, handle: handle, makers: []submission{*s}, created: j.n, touched: j.n, place: place{entered: j.n}}
	if !b.runAt.After(j.at) {
		b.runAt = time.Time{}
	}
	if !s.background {
		b.seats = []seat{j.seat(p)}
	}
	j.jobs[handle] = b
	j.made = append(j.made, b)
	j.live = append(j.live, b)
	if key != "" {
		j.keys[key] = b
	}
}

// join judges a submission that was answered with a job that is already known.
func (j *judge) join(p *peer, s *submission, b *job) {
	switch {
	case b.key() == "" || s.key() != b.key():
		j.blame(b.handle, p.id, "a submission joined a job with another key")
	case !b.lives() && b.touched != j.n:
		j.blame(b.handle, p.id, "a submission joined a job that has ended: %s", b.ended)
	case j.rejects(b.function) && b.created != j.n && s.payload != b.payload:
		j.blame(b.handle, p.id, "a submission joined a job with another payload")
	}
	if b.created == j.n {
		b.makers = append(b.makers, *s)
	}
	switch {
	case b.ended == abandoned:
		j.reopen(b)
	case b.ended == "exhausted" && s.background && !b.background:
		b.perhaps, j.dead[b.handle] = true, b
	}
	b.background = b.background || s.background
	if !s.background {
		j.attach(p, b)
	}
	if b.lives() {
		b.hasten(s, j.at, j.n)
	}
	b.touched = j.n
}

func (j *judge) seat(p *peer) seat {
	j.seats++
	return seat{p, j.seats}
}

// attach seats a client at a job. What was said in the same batch it may have heard or not, but it
// must hear the job's end.
func (j *judge) attach(p *peer, b *job) {
	s := j.seat(p)
	last := func(status []string, unsure bool) {
		if status != nil {
			s.owe(packet{typ: protocol.WorkStatus, args: append([]string{b.handle}, status...)}, unsure)
		}
	}
	said := b.saidAt == j.n
	if said {
		last(b.earlier, true)
	}
	if n := len(b.attempts); n > 0 && (b.current() != nil || b.attempts[n-1].overAt == j.n) {
		last(b.status, said || b.current() == nil)
	}
	if said {
		for _, pk := range b.said {
			s.owe(pk, true)
		}
	}
	if b.lives() {
		b.seats = append(b.seats, s)
	}
}

// hasten is the higher priority and the earlier time that a joining submission brings.
func (b *job) hasten(s *submission, now time.Time, n int) {
	if !b.runAt.IsZero() {
		if s.runAt.After(now) {
			if s.runAt.Before(b.runAt) {
				b.runAt = s.runAt
			}
		} else {
			b.runAt, b.place = time.Time{}, place{entered: n}
		}
	} else if s.priority < b.priority && b.current() == nil {
		b.place = place{entered: n, unsure: b.place.head == n}
	}
	b.priority = min(b.priority, s.priority)
}

// checkRoom judges whether there was room for a new job, for one of the submissions that may have made
// it.
func (j *judge) checkRoom(b *job) {
	n := j.limits[b.function]
	if n > 0 && !slices.ContainsFunc(b.makers, func(s submission) bool { return j.taken(s.function, s.priority, true) < n }) {
		j.blame(b.handle, 0, "the job was taken although its queue of %d is full", n)
	}
}

// refusal is a submission that was answered with ERROR.
type refusal struct {
	submission
	client *peer
	code   string
}

// checkRefusal judges a refusal, when all that was submitted beside it is known.
func (j *judge) checkRefusal(r *refusal) {
	same := j.keys[r.key()]
	known := same != nil && (same.lives() || same.touched == j.n)
	switch {
	case r.code == protocol.CodeKeyConflict:
		if !known || !j.rejects(r.function) || same.touched != j.n && same.payload == r.payload {
			j.blame("", r.client.id, "refused for a conflict of keys that is none")
		}
	case r.code == protocol.CodeQueueError:
		n := j.limits[r.function]
		if n <= 0 || j.taken(r.function, r.priority, false) < n {
			j.blame("", r.client.id, "refused although its queue is not full")
		}
		if known && same.lives() && same.created != j.n {
			j.blame(same.handle, r.client.id, "a full queue refused a submission that could have joined")
		}
	default:
		j.blame("", r.client.id, "a submission was refused: %s", r.code)
	}
}

// taken counts the jobs of a class, those that run included: those that are surely there, or those that
// may have been at some moment of this batch.
func (j *judge) taken(function string, priority queue.Priority, surely bool) int {
	n := 0
	for _, b := range j.jobs {
		if b.function != function {
			continue
		}
		touched := b.touched == j.n || b.handed == j.n
		there := b.priority == priority && b.lives()
		if surely && !touched && there || !surely && (touched || there) {
			n++
		}
	}
	return n
}

func (j *judge) rejects(function string) bool {
	return slices.ContainsFunc(j.cfg.Policies, func(p queue.Policy) bool {
		return p.Pattern == function && p.Conflict == queue.Reject
	})
}
