package sim

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/geartrain/geartrain/gearman/protocol"
	"github.com/geartrain/geartrain/server/queue"
)

// job is an acknowledged job as the judge knows it.
type job struct {
	submission          // what made it; its priority and time are those of the most urgent one
	handle     string   // without an attempt's number
	payloads   []string // more than one: it is not known which submission came first
	seats      []seat
	attempts   []*attempt
	ended      string // why; "" while it lives
	perhaps    bool   // it may be a dead letter, or not
	created    int    // batch
	touched    int    // the last batch in which something moved it
	handed     int    // the last batch in which it was handed out
	place      place
	said       []packet // in the batch saidAt, to its clients
	saidAt     int
	status     []string // the last one of the last attempt
	earlier    []string // and what that was before the batch saidAt
}

// seat is a foreground submission that waits for a job's end.
type seat struct {
	client *peer
	number int
}

// place is where a job waits in its class: those at the head before the others, the last batch that
// put one there first; the others by the batch in which they entered.
type place struct{ head, entered int }

func (p place) before(q place) bool {
	return p.head > q.head || p.head == 0 && q.head == 0 && p.entered < q.entered
}

// attempt is one assignment.
type attempt struct {
	job      *job
	worker   *peer
	handle   string // as assigned
	started  time.Time
	deadline time.Time // zero: none
	over     string    // why; "" while it is the current one
	overAt   int
	ended    time.Time
}

// abandoned is the end of a job that nobody waits for any more.
const abandoned = "abandoned"

func (b *job) lives() bool  { return b.ended == "" }
func (b *job) wanted() bool { return b.background || len(b.seats) > 0 }

// current is the running attempt, or nil.
func (b *job) current() *attempt {
	if n := len(b.attempts); n > 0 && b.attempts[n-1].over == "" {
		return b.attempts[n-1]
	}
	return nil
}

// waits says that a worker could have the job.
func (b *job) waits() bool { return b.lives() && b.current() == nil && b.runAt.IsZero() }

// passTime judges nothing; it lets attempts time out and jobs fall due.
func (j *judge) passTime() {
	var overdue []*attempt
	for _, b := range j.live {
		if a := b.current(); a != nil && !a.deadline.IsZero() && !a.deadline.After(j.at) {
			overdue = append(overdue, a)
		}
		if !b.runAt.IsZero() && !b.runAt.After(j.at) {
			b.runAt, b.place, b.touched = time.Time{}, place{entered: j.n}, j.n
		}
	}
	slices.SortStableFunc(overdue, func(a, b *attempt) int { return a.deadline.Compare(b.deadline) })
	for _, a := range overdue {
		j.over(a, "timeout", a.deadline)
		j.tellCancelled(a)
		if !a.worker.numbers {
			a.worker.late[a.job.handle] = true
		}
		j.lose(a.job)
	}
}

func (j *judge) over(a *attempt, why string, when time.Time) {
	a.over, a.overAt, a.ended, a.job.touched = why, j.n, when, j.n
}

func (j *judge) tellCancelled(a *attempt) {
	if a.worker.cancels {
		j.seat(a.worker).owe(packet{typ: protocol.JobCancel, args: []string{a.handle, a.over}}, false)
	}
}

// lose is what becomes of a job whose attempt came to nothing.
func (j *judge) lose(b *job) {
	b.place, b.touched = place{head: j.n}, j.n
	switch retries := j.cfg.JobRetries; {
	case !b.wanted():
		j.end(b, abandoned, packet{})
	case retries > 0 && len(b.attempts) >= retries:
		if b.background {
			j.dead[b.handle] = b
		}
		j.end(b, "exhausted", packet{typ: protocol.WorkFail})
	}
}

// end ends a job, with a packet for its clients.
func (j *judge) end(b *job, why string, last packet) {
	if why != abandoned {
		j.say(b, last)
	}
	b.ended, b.touched, b.seats = why, j.n, nil
	j.live = slices.DeleteFunc(j.live, func(other *job) bool { return other == b })
}

// reopen takes back an abandonment of this batch that, as it turns out, came after something else.
func (j *judge) reopen(b *job) {
	b.ended = ""
	at, _ := slices.BinarySearchFunc(j.live, b, func(a, b *job) int { return cmp.Compare(a.created, b.created) })
	j.live = slices.Insert(j.live, at, b)
}

// say lets the job's clients hear something.
func (j *judge) say(b *job, p packet) {
	if b.saidAt != j.n {
		b.said, b.saidAt, b.earlier = nil, j.n, b.status
	}
	if p.typ == protocol.WorkStatus {
		b.status = p.args
	}
	p.args = append([]string{b.handle}, p.args...)
	b.said = append(b.said, p)
	for _, s := range b.seats {
		s.owe(p, s.client.slow || s.client.woke == j.n)
	}
}

// owe notes what a client must be sent: an exception only if it asked for such, and not everything if
// it is slow.
func (s seat) owe(pk packet, slow bool) {
	if pk.typ == protocol.WorkException && !s.client.exceptions {
		pk = packet{typ: protocol.WorkFail, args: pk.args[:1]}
	}
	s.client.due = append(s.client.due, due{pk, s.number, slow && droppable(pk.typ)})
}

// report is what a worker says. It counts if the assignment it means is the job's current attempt.
func (j *judge) report(p *peer, pk packet) {
	ends := pk.typ == protocol.WorkComplete || pk.typ == protocol.WorkFail || pk.typ == protocol.WorkException
	if pk.about == 0 || p.attempts[pk.about-1].over != "" {
		if ends && pk.args[0] == pk.handle() {
			delete(p.late, pk.handle())
		}
		return
	}
	a := p.attempts[pk.about-1]
	said := packet{typ: pk.typ, args: pk.args[1:]}
	if !ends {
		j.say(a.job, said)
		return
	}
	j.over(a, "reported", j.at)
	j.end(a.job, pk.typ.String(), said)
}

// answer judges JOB_CREATED and ERROR.
func (j *judge) answer(p *peer, pk packet) bool {
	if pk.typ != protocol.JobCreated && pk.typ != protocol.Error {
		return false
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
	if n := j.limits[s.function]; n > 0 && j.waiting(s.function, s.priority, true) >= n {
		j.blame(handle, p.id, "the job was taken although its queue of %d is full", n)
	}
	b := &job{submission: *s, handle: handle, payloads: []string{s.payload}, created: j.n, touched: j.n, place: place{entered: j.n}}
	if !b.runAt.After(j.at) {
		b.runAt = time.Time{}
	}
	if !s.background {
		b.seats = []seat{j.seat(p)}
	}
	j.jobs[handle] = b
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
		b.payloads = append(b.payloads, s.payload)
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
		b.place = place{entered: n}
	}
	b.priority = min(b.priority, s.priority)
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
		if n <= 0 || j.waiting(r.function, r.priority, false) < n {
			j.blame("", r.client.id, "refused although its queue is not full")
		}
		if known && same.lives() && same.created != j.n {
			j.blame(same.handle, r.client.id, "a full queue refused a submission that could have joined")
		}
	default:
		j.blame("", r.client.id, "a submission was refused: %s", r.code)
	}
}

// waiting counts the jobs of a class that wait or are scheduled: those that surely do, or those that
// may have at some moment of this batch.
func (j *judge) waiting(function string, priority queue.Priority, surely bool) int {
	n := 0
	for _, b := range j.jobs {
		if b.function != function {
			continue
		}
		touched := b.touched == j.n || b.handed == j.n
		if surely && !touched && b.priority == priority && b.lives() && b.current() == nil ||
			!surely && (touched || b.priority == priority && b.lives() && b.current() == nil) {
			n++
		}
	}
	return n
}

// handOut judges what a grab was answered with.
func (j *judge) handOut(p *peer, pk packet) bool {
	if pk.typ != protocol.NoJob && !assigns(pk.typ) {
		return false
	}
	if len(p.grabs) == 0 {
		j.blame(pk.handle(), p.id, "%s without a grab", pk.typ)
		return true
	}
	d := decision{grab: p.grabs[0], worker: p}
	p.grabs = p.grabs[1:]
	if pk.typ != protocol.NoJob {
		if d.job = j.jobs[pk.handle()]; d.job == nil {
			j.blame(pk.handle(), p.id, "a job runs that nobody was told of")
			return true
		}
		j.assign(&d, pk)
		d.priority, d.place = d.job.priority, d.job.place
	}
	j.grabs = append(j.grabs, d)
	return true
}

// assign judges an assignment.
func (j *judge) assign(d *decision, pk packet) {
	b, p := d.job, d.worker
	timeout, able := d.abilities[b.function]
	if b.ended == abandoned && b.touched == j.n {
		j.reopen(b)
	}
	retries := j.cfg.JobRetries
	switch {
	case !b.lives():
		j.blame(b.handle, p.id, "a job runs that has ended: %s", b.ended)
	case b.current() != nil:
		j.blame(b.handle, p.id, "a job was given to two workers at a time")
	case b.runAt.After(j.at):
		j.blame(b.handle, p.id, "a job runs before its time")
	case !able:
		j.blame(b.handle, p.id, "a worker was given a job it cannot do")
	case d.late[b.handle]:
		j.blame(b.handle, p.id, "a worker was given a job again whose old attempt it has not reported")
	case retries > 0 && len(b.attempts) >= retries:
		j.blame(b.handle, p.id, "a job runs more than %d times", retries)
	}
	a := &attempt{job: b, worker: p, handle: pk.args[0], started: j.at}
	if timeout > 0 {
		a.deadline = j.at.Add(timeout)
	}
	b.attempts = append(b.attempts, a)
	p.attempts = append(p.attempts, a)
	b.status, b.touched = nil, j.n
	j.checkContent(p, b, pk)
}

// checkContent judges what a worker is told of a job.
func (j *judge) checkContent(p *peer, b *job, pk packet) {
	want := b.handle
	if p.numbers {
		want += "/" + strconv.Itoa(len(b.attempts))
	}
	rest := []string{b.function}
	if pk.typ != protocol.JobAssign {
		rest = append(rest, b.unique)
	}
	if pk.typ == protocol.JobAssignAll {
		rest = append(rest, b.reducer)
	}
	last := len(pk.args) - 1
	switch {
	case pk.args[0] != want:
		j.blame(b.handle, p.id, "attempt %d was assigned as %s", len(b.attempts), pk.args[0])
	case !slices.Equal(pk.args[1:last], rest) && len(b.payloads) == 1:
		j.blame(b.handle, p.id, "assigned as %s, submitted as %s", strings.Join(pk.args[1:last], "|"), strings.Join(rest, "|"))
	case !slices.Contains(b.payloads, pk.args[last]):
		j.blame(b.handle, p.id, "the payload is not the one that was submitted")
	}
	b.payload = pk.args[last]
}

func (j *judge) rejects(function string) bool {
	return slices.ContainsFunc(j.cfg.Policies, func(p queue.Policy) bool {
		return p.Pattern == function && p.Conflict == queue.Reject
	})
}
