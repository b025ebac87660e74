package sim

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/geartrain/geartrain/gearman/protocol"
)

// job is an acknowledged job as the judge knows it.
type job struct {
	submission              // what made it; its priority and time are those of the most urgent one
	handle     string       // without an attempt's number
	makers     []submission // more than one: it is not known which one came first
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
type place struct {
	head, entered int
	unsure        bool // it is one or the other
}

func (p place) before(q place) bool {
	if p.unsure || q.unsure {
		return false
	}
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
	case !slices.Equal(pk.args[1:last], rest) && len(b.makers) == 1:
		j.blame(b.handle, p.id, "assigned as %s, submitted as %s", strings.Join(pk.args[1:last], "|"), strings.Join(rest, "|"))
	case !slices.ContainsFunc(b.makers, func(s submission) bool { return s.payload == pk.args[last] }):
		j.blame(b.handle, p.id, "the payload is not the one that was submitted")
	}
	b.payload = pk.args[last]
}
