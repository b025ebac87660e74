package queue

import (
	"slices"
	"time"

	"github.com/geartrain/geartrain/gearman/protocol"
)

// The life of a worker, as far as waking goes:
//
//	        PRE_SLEEP, nothing to do            a job comes: NOOP
//	awake ────────────────────────────► asleep ────────────────► owing ──► awake
//	  │ ▲                                 │ ▲                      │  GRAB_JOB
//	  │ └─────────── GRAB_JOB ────────────┘ └──────────────────────┤
//	  └── PRE_SLEEP, a job is there: NOOP ──────────────► owing    │ PRE_SLEEP
//
// A job wakes as many sleepers as the configuration says. A worker that had a NOOP owes a grab to
// the function it had it for. When it grabs, leaves, sleeps again or gives the function up, the debt
// is settled; if the function then has more ready jobs than workers that owe it a grab, another
// sleeper is woken. So no job stays queued beside a worker that sleeps and could do it.
//
// A worker that does not grab in patience may be stopped, or busy with a job of another server: its
// debt lapses, and the next sleeper is woken. It may still grab.
//
// A worker that is awake and about to grab is as good as a sleeper that was woken, and costs no NOOP:
// with Grab.Later set, a grab in vain makes the worker one that is coming, and a job that comes makes
// it owe the grab.

func (s *State) preSleep(ev *PreSleep) {
	p := s.peer(ev.Peer)
	if p == nil {
		return
	}
	s.arrive(p)
	owed := s.settle(p)
	p.asleep = true
	if !s.rouse(p) {
		for p.unlisted.first != nil {
			p.unlisted.first.setListed(true)
		}
	}
	s.passOn(owed)
}

// rouse wakes p if it is asleep and there is a job for it.
func (s *State) rouse(p *peer) bool {
	if !p.asleep {
		return false
	}
	a, slot := s.findWork(p)
	if slot == 0 {
		return false
	}
	s.notify(p, a.function)
	return true
}

// notify sends p, which is asleep, its NOOP because of f.
func (s *State) notify(p *peer, f *function) {
	p.asleep = false
	s.owe(p, f)
	s.counters.Wakeups++
	s.send(p, protocol.Noop)
}

// patience is how long a worker that was woken may take to grab, before another one is woken too.
const patience = 20 * time.Millisecond

// owe says that p is expected to grab because of f.
func (s *State) owe(p *peer, f *function) {
	p.owes = f
	f.owed++
	s.debts.add(p.slot, uint64(p.id), later(s.elapsed(), patience))
}

// settle says that the worker is no longer expected to grab, and for which function it was.
func (s *State) settle(p *peer) *function {
	f := p.owes
	if f != nil {
		f.owed--
		p.owes = nil
		s.debts.remove(p.slot)
	}
	return f
}

// lapse wakes others in the place of workers that were woken and do not come.
func (s *State) lapse() {
	for t, ok := s.debts.first(); ok && t.at <= s.elapsed(); t, ok = s.debts.first() {
		s.passOn(s.settle(s.peerSlab.at(t.slot)))
	}
}

// wake wakes up to n sleepers of f that may have one of its jobs, those first that have slept
// longest.
func (s *State) wake(f *function, n int) {
	n -= s.awaitComing(f, n)
	for a := f.sleepers.first; a != nil && n > 0; {
		next := a.links[sleepLink].next
		p := a.worker
		if p.asleep && s.suits(p, f) {
			s.notify(p, f)
			n--
		}
		if !p.asleep {
			a.setListed(false)
		}
		a = next
	}
}

// suits says that f has a ready job that p may have.
func (s *State) suits(p *peer, f *function) bool {
	if f.paused {
		return false
	}
	for i := range f.queues {
		if q := &f.queues[i]; q.n > 0 && s.firstFor(p, q) != 0 {
			return true
		}
	}
	return false
}

// passOn wakes another sleeper after a debt to f was settled, unless as many workers owe it a grab
// as it has jobs. f may be nil.
func (s *State) passOn(f *function) {
	if f != nil && !f.paused && f.ready() > f.owed {
		s.wake(f, 1)
	}
}

// expect notes that p will grab in a moment.
func (s *State) expect(p *peer) {
	p.coming = true
	s.coming = append(s.coming, p)
}

// arrive undoes expect.
func (s *State) arrive(p *peer) {
	if !p.coming {
		return
	}
	p.coming = false
	if i := slices.Index(s.coming, p); i >= 0 {
		s.coming = slices.Delete(s.coming, i, i+1)
	}
}

// Coming reports whether a grab of the peer is to be applied again.
func (s *State) Coming(id Peer) bool {
	p := s.peers[id]
	return p != nil && p.coming
}

// maxComing is at how many workers that are coming one wake-up looks.
const maxComing = 16

// awaitComing leaves up to n jobs of f to workers that are coming, and returns to how many. They are
// still coming, but not for another job.
func (s *State) awaitComing(f *function, n int) (left int) {
	for i := 0; i < min(len(s.coming), maxComing) && left < n; {
		p := s.coming[i]
		if s.abilities[edge{p.slot, f.id}] == nil || !s.suits(p, f) {
			i++
			continue
		}
		s.owe(p, f)
		s.coming = slices.Delete(s.coming, i, i+1)
		left++
	}
	return left
}
