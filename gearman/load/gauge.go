package load

import (
	"context"
	"sync/atomic"
)

// gauge is a number that many goroutines change by one at a time and one may wait for.
type gauge struct {
	value   atomic.Int64
	mark    atomic.Int64  // what is waited for
	reached chan struct{} // of capacity 1: the value was at the mark
}

func newGauge() *gauge { return &gauge{reached: make(chan struct{}, 1)} }

func (g *gauge) up()   { g.change(1) }
func (g *gauge) down() { g.change(-1) }

func (g *gauge) get() int { return int(g.value.Load()) }

func (g *gauge) change(by int64) {
	if g.value.Add(by) != g.mark.Load() {
		return
	}
	select {
	case g.reached <- struct{}{}:
	default: // the one who waits has not yet looked, and will
	}
}

// await blocks until the value is at least mark, or ctx ends, whose cause it returns then.
func (g *gauge) await(ctx context.Context, mark int) error {
	g.mark.Store(int64(mark))
	for g.get() < mark {
		select {
		case <-g.reached:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return nil
}
