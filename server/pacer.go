package server

import (
	"runtime"
	"sync/atomic"
)

// pacer decides whether a turn lets other readers go first before it flushes. When several have
// packets for the same peer, the first flush then carries them all, and the others find nothing left
// to do: a system call saved for each. When nobody else is ready, giving way only costs time. What
// will happen is not known, so the pacer learns from what did: one saved write pays for some turns
// that gave way for nothing, and when none is saved it tries again only now and then. It is safe for
// concurrent use; a lost update does no harm.
type pacer struct {
	credit atomic.Int32
	turns  atomic.Uint32
}

const (
	reward   = 4  // turns that one saved write pays for
	maxTrust = 64 // and how many can be saved up
	probe    = 16 // without credit, one turn in so many gives way
)

// giveWay yields the processor if that is likely to save a write, and reports whether it did.
func (p *pacer) giveWay() bool {
	if p.credit.Load() <= 0 && p.turns.Add(1)%probe != 0 {
		return false
	}
	runtime.Gosched()
	return true
}

// learn takes in how many writes were saved by giving way.
func (p *pacer) learn(saved int) {
	credit := p.credit.Load() - 1 + int32(saved)*reward
	p.credit.Store(min(max(credit, 0), maxTrust))
}
