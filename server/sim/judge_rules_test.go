package sim

import (
	"slices"
	"strconv"
	"time"

	"github.com/geartrain/geartrain/gearman/protocol"
	"github.com/geartrain/geartrain/server/queue"
)

// decision is what a grab was answered with.
type decision struct {
	grab
	worker   *peer
	job      *job // nil: NO_JOB
	priority queue.Priority
	place    place
}

// deliver judges what clients hear of their jobs, and JOB_CANCEL: it must be the next thing due for
// the peer about that handle.
func (j *judge) deliver(p *peer, pk packet) bool {
	switch pk.typ {
	case protocol.Noop, protocol.OptionRes:
		return true
	case protocol.StatusRes:
		j.checkStatus(p, pk)
		return true
	}
	if p.take(pk) {
		return true
	}
	switch b := j.jobs[pk.handle()]; {
	case b == nil:
		j.blame(pk.handle(), p.id, "%s of a job that does not exist", pk)
	case !b.lives():
		j.blame(b.handle, p.id, "got %s of a job that has ended: %s", pk, b.ended)
	default:
		j.blame(b.handle, p.id, "got %s, which the job's current worker has not said, or not now", pk)
	}
	return true
}

// take crosses off what is due: the next packet of a seat, or one after others that are optional. In
// one seat packets come in order; two seats that a peer has at one job are in none.
func (p *peer) take(pk packet) bool {
	waiting := map[int]bool{} // seats with something before it
	for i, d := range p.due {
		switch {
		case d.args[0] != pk.args[0] || waiting[d.seat]:
		case d.typ == pk.typ && slices.Equal(d.args, pk.args):
			before := slices.DeleteFunc(slices.Clone(p.due[:i]), func(other due) bool { return other.seat == d.seat })
			p.due = append(before, p.due[i+1:]...)
			return true
		case !d.optional:
			waiting[d.seat] = true
		}
	}
	return false
}

// checkStatus judges STATUS_RES: a job is known while it lives.
func (j *judge) checkStatus(p *peer, pk packet) {
	b := j.jobs[pk.args[0]]
	if b == nil || b.touched == j.n {
		return
	}
	if known := pk.args[1] == "1"; known != b.lives() {
		j.blame(b.handle, p.id, "known is %t, the job's end is %q", known, b.ended)
	}
	if running := pk.args[2] == "1"; running != (b.lives() && b.current() != nil) {
		j.blame(b.handle, p.id, "running is %t, which is wrong", running)
	}
}

// settle judges what must hold when all outputs of a batch are known.
func (j *judge) settle() {
	for i := range j.grabs {
		j.checkChoice(&j.grabs[i])
	}
	for id, p := range j.peers {
		if !p.connected {
			delete(j.peers, id)
			continue
		}
		if len(p.submits) > 0 || len(p.grabs) > 0 {
			j.blame("", p.id, "a submission or a grab has no answer")
		}
		for _, d := range p.due {
			if !d.optional && !p.slow {
				j.blame(d.handle(), p.id, "was not sent %s", d.packet)
			}
		}
		if !p.slow {
			p.due = nil
		}
		if p.naps = min(p.naps, 1); p.grabbed == j.n {
			p.naps = 0
		}
		if p.asleep {
			j.checkSleeper(p)
		}
	}
}

// checkChoice judges whether a grab was given the right job: the most urgent one of all functions,
// and the first one of its class. Jobs that were moved in the same batch are in no order with it.
func (j *judge) checkChoice(d *decision) {
	for _, b := range j.live {
		if _, able := d.abilities[b.function]; !able || b.touched == j.n || !b.waits() || d.late[b.handle] {
			continue
		}
		switch {
		case d.job == nil:
			j.blame(b.handle, d.worker.id, "NO_JOB, although the job waits")
		case b.priority < d.priority:
			j.blame(b.handle, d.worker.id, "%s was given first, which is less urgent", d.job.handle)
		case b.priority == d.priority && b.function == d.job.function && b.place.before(d.place):
			j.blame(b.handle, d.worker.id, "%s was given first, which came later", d.job.handle)
		}
	}
}

// checkSleeper judges that a worker does not sleep beside a job, unless somebody else is awake for it.
func (j *judge) checkSleeper(p *peer) {
	for _, b := range j.live {
		if _, able := p.abilities[b.function]; !able || !b.waits() || p.late[b.handle] {
			continue
		}
		awake := false
		for _, other := range j.peers {
			_, able := other.abilities[b.function]
			awake = awake || other.owes && able
		}
		if !awake {
			j.blame(b.handle, p.id, "a worker sleeps while a job waits, and nobody was woken for it")
		}
	}
}

// retry is a dead letter that became a job again. The system has told the new handle.
func (j *judge) retry(in *input) {
	old := j.dead[in.name]
	if !in.done || old == nil {
		return
	}
	delete(j.dead, in.name)
	s := old.submission
	s.background, s.runAt = true, time.Time{}
	j.create(&peer{}, &s, in.packets[0].handle())
	j.made = nil // the operator may overfill a queue
}

// agree judges whether the system has the jobs that it must have, neither more nor less.
func (j *judge) agree(live []string, dead []queue.DeadLetter) {
	for _, b := range j.live {
		if !slices.Contains(live, b.handle) {
			j.blame(b.handle, 0, "the job is lost: it was acknowledged and has not ended")
		}
	}
	for _, handle := range live {
		if b := j.jobs[handle]; b == nil || !b.lives() {
			j.blame(handle, 0, "the job still exists, but has ended or was never acknowledged")
		}
	}
	for _, d := range dead {
		if j.dead[d.Handle] == nil {
			j.blame(d.Handle, 0, "the dead letter is none")
		} else {
			j.checkDead(j.dead[d.Handle], &d)
		}
	}
	for handle, b := range j.dead {
		if !b.perhaps && !slices.ContainsFunc(dead, func(d queue.DeadLetter) bool { return d.Handle == handle }) {
			j.blame(handle, 0, "the job is lost: it should be a dead letter")
		}
	}
}

// checkDead judges a dead letter's history.
func (j *judge) checkDead(b *job, d *queue.DeadLetter) {
	if d.Function != b.function || d.Unique != b.unique || string(d.Payload) != b.payload || len(d.History) != len(b.attempts) {
		j.blame(b.handle, 0, "the dead letter is not the job: %d attempts instead of %d", len(d.History), len(b.attempts))
		return
	}
	for i, lost := range d.History {
		a := b.attempts[i]
		if lost.Number != i+1 || lost.Reason != a.over || !lost.Started.Equal(a.started) || !lost.Ended.Equal(a.ended) {
			j.blame(b.handle, 0, "attempt %d in the dead letter's history is %+v, was from %s to %s: %s", i+1, lost, a.started, a.ended, a.over)
		}
	}
}

// finish judges the end of the world: nothing is owed to anyone any more.
func (j *judge) finish() {
	for _, b := range j.live {
		j.blame(b.handle, 0, "the job has not ended a minute after the last fault")
	}
	for _, p := range j.peers {
		for _, d := range p.due {
			if p.connected {
				j.blame(d.handle(), p.id, "never got %s", d.packet)
			}
		}
	}
}

func milliseconds(text string) time.Duration {
	n, _ := strconv.Atoi(text) // the workers of this package write numbers
	return time.Duration(n) * time.Millisecond
}
