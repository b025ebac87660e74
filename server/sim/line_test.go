package sim

import (
	"fmt"
	"time"

	"github.com/geartrain/geartrain/gearman/protocol"
	"github.com/geartrain/geartrain/server/queue"
)

// actor is a client or a worker.
type actor interface {
	hear(p packet) // from the server
	heal()         // the second phase has begun
}

// line is an actor's connection. What goes over it arrives in order, each packet after a random time.
type line struct {
	*world
	id       queue.Peer
	actor    actor
	up, down lane
	dead     bool // the actor has hung up
	severed  bool // what is still on its way to the server is lost
}

// lane is one direction.
type lane struct{ last moment }

// next is when something sent now arrives: not before what was sent earlier.
func (l *lane) next(w *world, delay time.Duration) moment {
	m := w.soon(delay)
	if !m.at.After(l.last.at) {
		m = moment{l.last.at, l.last.tie + 1}
	}
	l.last = m
	return m
}

// connect makes a line for an actor.
func (w *world) connect(role string, a actor) *line {
	w.last++
	l := &line{world: w, id: w.last, actor: a}
	w.history.names[l.id] = fmt.Sprint(role, " ", l.id)
	w.lines = append(w.lines, l)
	l.input(input{op: join})
	return l
}

func (l *line) input(in input) {
	in.peer = l.id
	l.push(l.up.next(l.world, l.delay()), event{line: l, in: &in})
}

func (l *line) send(t protocol.Type, args ...string) { l.report(0, t, args...) }

// report sends a packet about one of a worker's assignments.
func (l *line) report(about int, t protocol.Type, args ...string) {
	if !l.dead {
		l.input(input{op: say, packets: []packet{{typ: t, args: args, about: about}}})
	}
}

// later does something after some time, unless the actor is dead then.
func (l *line) later(d time.Duration, do func()) {
	l.after(d, func() {
		if !l.dead {
			do()
		}
	})
}

// hangUp ends the actor: what it has sent may still arrive, or not.
func (l *line) hangUp() {
	if l.dead {
		return
	}
	l.dead = true
	switch l.IntN(4) {
	case 0:
		l.input(input{op: leave})
	case 1:
		l.input(input{op: cut})
	default:
		l.after(l.some(2), func() { l.sever(pick(l.Rand, leave, cut, stall)) })
	}
}

// sever ends the connection before what is still on its way.
func (l *line) sever(how op) {
	if l.severed {
		return
	}
	l.severed = true
	if l.judge.peers[l.id] != nil { // it has been connected at all
		l.push(moment{at: l.now}, event{in: &input{op: how, peer: l.id}})
	}
}
