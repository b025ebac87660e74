package sim

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/geartrain/geartrain/gearman/protocol"
	"github.com/geartrain/geartrain/server/queue"
)

// judge is told what goes into a job server and what comes out, and says which promise was broken
// first. It knows the jobs by what was acknowledged, assigned and reported. Where several inputs came
// at once it takes from the outputs in which order they were taken, and lets pass what it cannot know:
// a job that was touched in a batch is in no order with the others of that batch.
type judge struct {
	cfg    queue.Config
	n      int // the batch
	at     time.Time
	jobs   map[string]*job // by handle
	live   []*job          // in the order of their creation
	keys   map[string]*job // the last one of each
	dead   map[string]*job // those that must be dead letters
	peers  map[queue.Peer]*peer
	limits map[string]int // longest queue of each priority, by function
	seats  int            // so many there ever were

	// Of this batch:
	made     []*job
	grabs    []decision
	refusals []refusal

	broken *breach
}

// breach is a promise that was broken.
type breach struct {
	handle string
	peer   queue.Peer
	text   string
}

// peer is a connection as the judge knows it.
type peer struct {
	id         queue.Peer
	connected  bool
	slow       bool // it does not read
	woke       int  // the batch in which it began to read again
	doomed     bool // the server may close its connection
	exceptions bool // options
	cancels    bool
	numbers    bool

	abilities map[string]time.Duration
	asleep    bool // surely
	owes      bool // it had a NOOP and has not grabbed since
	naps      int  // how many NOOPs it may be sent
	grabbed   int  // the batch of its last grab
	answered  int  // the batch of its last grab's answer

	submits  []submission // without answers
	grabs    []grab       // without answers
	attempts []*attempt   // all it was ever given
	strange  int          // reports before the first of them, which may be answered with ERROR
	late     map[string]bool
	told     map[string]bool // handles it was told with JOB_CREATED
	due      []due           // what it must be sent
}

// grab is a worker's wish for a job, with what it could do at that moment.
type grab struct {
	abilities map[string]time.Duration
	late      map[string]bool
}

// due is a packet that a peer must be sent, unless it is optional.
type due struct {
	packet
	seat     int // which of its submissions it answers
	optional bool
}

func newJudge(cfg queue.Config) *judge {
	return &judge{cfg: cfg, jobs: map[string]*job{}, keys: map[string]*job{}, dead: map[string]*job{},
		peers: map[queue.Peer]*peer{}, limits: map[string]int{}}
}

func (j *judge) blame(handle string, p queue.Peer, format string, args ...any) {
	if j.broken == nil {
		j.broken = &breach{handle, p, fmt.Sprintf(format, args...)}
	}
}

// batch judges what happened.
func (j *judge) batch(b *batch) {
	j.n++
	j.at, j.made, j.grabs, j.refusals = b.at, nil, nil, nil
	if b.tick {
		j.passTime()
	}
	for i := range b.in {
		j.input(&b.in[i])
	}
	for _, id := range b.gone {
		if p := j.peers[id]; !p.doomed {
			j.blame("", id, "the server hung up on a peer that did nothing wrong")
		}
		j.leave(j.peers[id])
	}
	for i := range b.out {
		j.inOrder(&b.out[i])
	}
	rest := slices.Clone(b.out)
	for _, judged := range []func(*peer, packet) bool{j.answer, j.handOut, j.deliver} {
		rest = slices.DeleteFunc(rest, func(out output) bool { return judged(j.peer(out.peer), out.packet) })
	}
	for _, b := range j.made {
		j.checkRoom(b)
	}
	for i := range j.refusals {
		j.checkRefusal(&j.refusals[i])
	}
	j.settle()
}

func (j *judge) peer(id queue.Peer) *peer {
	if p := j.peers[id]; p != nil {
		return p
	}
	j.blame("", id, "a packet for somebody who is not there")
	return &peer{}
}

func (j *judge) input(in *input) {
	switch in.op {
	case join:
		j.peers[in.peer] = &peer{id: in.peer, connected: true, abilities: map[string]time.Duration{},
			late: map[string]bool{}, told: map[string]bool{}}
	case say:
		for _, p := range in.packets {
			j.heard(j.peers[in.peer], p)
		}
	case leave, cut:
		j.leave(j.peers[in.peer])
	case stall:
		j.peers[in.peer].doomed = true
		j.read(j.peers[in.peer])
	case pause:
		j.peers[in.peer].slow = true
	case resume:
		j.read(j.peers[in.peer])
	default:
		j.operator(in)
	}
}

// operator is what the operator did. These inputs are batches of their own.
func (j *judge) operator(in *input) {
	switch in.op {
	case cancel:
		if job := j.jobs[in.name]; job != nil && job.lives() {
			if a := job.current(); a != nil {
				j.over(a, "cancelled", j.at)
				j.tellCancelled(a)
			}
			j.end(job, "cancelled", packet{typ: protocol.WorkFail})
		}
	case drop:
		for _, job := range slices.Clone(j.live) {
			if in.done && job.function == in.name {
				if job.current() != nil {
					j.blame(job.handle, 0, "%s was dropped although a job of it runs", in.name)
				}
				j.end(job, "dropped", packet{typ: protocol.WorkFail})
			}
		}
		if in.done {
			delete(j.limits, in.name)
		}
	case limit:
		j.limits[in.name] = in.max
	case retry:
		j.retry(in)
	}
}

// heard is one packet of a peer.
func (j *judge) heard(p *peer, pk packet) {
	switch pk.typ {
	case protocol.OptionReq:
		p.exceptions = p.exceptions || pk.args[0] == protocol.OptionExceptions
		p.cancels = p.cancels || pk.args[0] == protocol.OptionCancel
		p.numbers = p.numbers || pk.args[0] == protocol.OptionAttempts
	case protocol.CanDo:
		p.abilities[pk.args[0]] = 0
	case protocol.CanDoTimeout:
		p.abilities[pk.args[0]] = milliseconds(pk.args[1])
	case protocol.CantDo:
		delete(p.abilities, pk.args[0])
	case protocol.ResetAbilities:
		clear(p.abilities)
	case protocol.PreSleep:
		p.asleep, p.owes, p.naps = true, false, p.naps+1
	case protocol.GrabJob, protocol.GrabJobUniq, protocol.GrabJobAll:
		p.asleep, p.owes, p.grabbed = false, false, j.n
		p.grabs = append(p.grabs, grab{maps.Clone(p.abilities), maps.Clone(p.late)})
	case protocol.WorkData, protocol.WorkWarning, protocol.WorkStatus,
		protocol.WorkComplete, protocol.WorkFail, protocol.WorkException:
		if len(p.attempts) == 0 {
			p.strange++
		}
		j.report(p, pk)
	default:
		if s, ok := parseSubmission(pk); ok {
			p.submits = append(p.submits, s)
		}
	}
}

// leave is the end of a connection. What it waits for is nobody's any more, and what it had is lost.
func (j *judge) leave(p *peer) {
	if !p.connected {
		return
	}
	p.connected, p.asleep, p.owes, p.due, p.submits, p.grabs = false, false, false, nil, nil, nil
	for _, job := range slices.Clone(j.live) {
		had := len(job.seats)
		job.seats = slices.DeleteFunc(job.seats, func(s seat) bool { return s.client == p })
		if len(job.seats) < had && !job.wanted() && job.current() == nil {
			j.end(job, abandoned, packet{})
		}
	}
	for _, a := range p.attempts {
		if a.over == "" {
			j.over(a, "worker lost", j.at)
			j.lose(a.job)
		}
	}
}

// read is what holds when a slow peer reads again: it may have lost packets that can be left out.
func (j *judge) read(p *peer) {
	p.slow, p.woke = false, j.n
	for i := range p.due {
		p.due[i].optional = p.due[i].optional || droppable(p.due[i].typ)
	}
}

func droppable(t protocol.Type) bool {
	return t == protocol.WorkData || t == protocol.WorkWarning || t == protocol.WorkStatus
}

// inOrder judges what must be right in the order of one peer's packets.
func (j *judge) inOrder(out *output) {
	p := j.peer(out.peer)
	switch t := out.typ; {
	case t == protocol.JobCreated:
		p.told[out.handle()] = true
	case t == protocol.NoJob || assigns(t):
		p.answered = j.n
		if b := j.jobs[out.handle()]; b != nil {
			b.handed = j.n
		}
	case t == protocol.Noop:
		if p.naps == 0 || p.answered == j.n {
			j.blame("", p.id, "a NOOP for a worker that is not asleep")
		}
		p.asleep, p.owes, p.naps = false, p.grabbed != j.n, p.naps-1
	case strings.HasPrefix(t.String(), "WORK_") && !p.told[out.handle()]:
		j.blame(out.handle(), p.id, "%s of a job before JOB_CREATED", t)
	}
}

func assigns(t protocol.Type) bool {
	return t == protocol.JobAssign || t == protocol.JobAssignUniq || t == protocol.JobAssignAll
}
