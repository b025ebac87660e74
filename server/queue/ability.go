package queue

import (
	"time"

	"github.com/geartrain/geartrain/gearman/protocol"
)

// ability is the edge between a worker and a function it can do. It is always in five lists, one of
// each kind. Two of these pairs are kept lazily, so that neither a job nor a worker ever has to tell
// all of its counterparts that something changed:
//
//   - for each priority, either the worker's ready list (the function may have jobs) or the
//     function's idle list (it has none, and must say so to the worker when that changes). A ready
//     entry whose function turns out to be empty is moved when a grab comes across it.
//   - either the function's sleepers (the worker may be asleep) or the worker's unlisted (it is
//     awake, and must list itself before it sleeps). A sleeper that turns out to be awake is moved
//     when a wake-up comes across it.
//
// So each step through a list is paid for by an event that put the entry there.
type ability struct {
	worker   *peer
	function *function
	timeout  time.Duration
	links    [linkKinds]link
	ready    [priorities]bool // in the worker's list, not in the function's
	listed   bool             // among the function's sleepers
}

const (
	priorities = 3

	sleepLink = priorities // the ones before are those of the ready lists, by priority
	ownerLink = priorities + 1
	linkKinds = priorities + 2
)

type link struct{ next, prev *ability }

// abilities is a list through one kind of link.
type abilities struct {
	first, last *ability
	n           int
}

func (l *abilities) push(kind int, a *ability) {
	a.links[kind] = link{prev: l.last}
	if l.last == nil {
		l.first = a
	} else {
		l.last.links[kind].next = a
	}
	l.last = a
	l.n++
}

func (l *abilities) remove(kind int, a *ability) {
	at := a.links[kind]
	if at.prev == nil {
		l.first = at.next
	} else {
		at.prev.links[kind].next = at.next
	}
	if at.next == nil {
		l.last = at.prev
	} else {
		at.next.links[kind].prev = at.prev
	}
	a.links[kind] = link{}
	l.n--
}

// setReady moves a to the worker's ready list, or to the function's idle one.
func (a *ability) setReady(p Priority, ready bool) {
	from, to := &a.function.idle[p], &a.worker.ready[p]
	if !ready {
		from, to = to, from
	}
	from.remove(int(p), a)
	to.push(int(p), a)
	a.ready[p] = ready
}

// setListed moves a to the function's sleepers, or to the worker's unlisted.
func (a *ability) setListed(listed bool) {
	from, to := &a.worker.unlisted, &a.function.sleepers
	if !listed {
		from, to = to, from
	}
	from.remove(sleepLink, a)
	to.push(sleepLink, a)
	a.listed = listed
}

// edge names an ability.
type edge struct{ worker, function uint32 }

func (s *State) canDo(ev *CanDo) {
	p := s.peer(ev.Peer)
	if p == nil {
		return
	}
	if f := s.functions[string(ev.Function)]; f != nil {
		if a := s.abilities[edge{p.slot, f.id}]; a != nil {
			a.timeout = ev.Timeout
			return
		}
	}
	if s.cfg.MaxAbilities > 0 && p.abilities.n >= s.cfg.MaxAbilities {
		s.refuse(p, protocol.CodeLimit, "Too many functions for one worker", &s.counters.Refused.Abilities)
		return
	}
	f := s.functionFor(p, ev.Function)
	if f == nil {
		return
	}
	a := &ability{worker: p, function: f, timeout: ev.Timeout}
	s.abilities[edge{p.slot, f.id}] = a
	f.workers++
	p.abilities.push(ownerLink, a)
	p.unlisted.push(sleepLink, a)
	for prio := range Priority(priorities) {
		f.idle[prio].push(int(prio), a)
		if f.queues[prio].n > 0 {
			a.setReady(prio, true)
		}
	}
	if p.asleep {
		a.setListed(true)
		s.rouse(p)
	}
}

func (s *State) cantDo(ev *CantDo) {
	p, f := s.peer(ev.Peer), s.functions[string(ev.Function)]
	if p == nil || f == nil {
		return
	}
	if a := s.abilities[edge{p.slot, f.id}]; a != nil {
		s.forgetAbility(a)
	}
}

func (s *State) resetAbilities(p *peer) {
	for p.abilities.first != nil {
		s.forgetAbility(p.abilities.first)
	}
}

// forgetAbility takes an ability out of all lists. Jobs that the worker has of it stay with it.
func (s *State) forgetAbility(a *ability) {
	p, f := a.worker, a.function
	for prio := range Priority(priorities) {
		if a.ready[prio] {
			a.setReady(prio, false)
		}
		f.idle[prio].remove(int(prio), a)
	}
	if a.listed {
		a.setListed(false)
	}
	p.unlisted.remove(sleepLink, a)
	p.abilities.remove(ownerLink, a)
	delete(s.abilities, edge{p.slot, f.id})
	f.workers--
	if p.owes == f {
		s.passOn(s.settle(p))
	}
	s.release(f)
}
