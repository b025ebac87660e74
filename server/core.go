package server

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/geartrain/geartrain/gearman/protocol"
	"github.com/geartrain/geartrain/server/queue"
)

// core owns the queue. Everything that happens to it happens in a [turn].
type core struct {
	kick   chan struct{} // wakes the timer goroutine: an earlier deadline than it waits for
	pacer  pacer
	held   atomic.Int64 // bytes in the queue, as of the last turn
	bodies *bodies

	mu       sync.Mutex // guards the following; never held over I/O
	state    *queue.State
	peers    map[queue.Peer]*conn
	last     queue.Peer // the last number given
	effects  []queue.Effect
	event    events
	counts   Counters
	wake     time.Time // for which the timer goroutine waits; zero: for nothing
	draining *drain    // nil until the graceful end
}

// events are the memory for one event of each kind that packets cause; [queue.State.Apply] keeps none.
type events struct {
	submit       queue.Submit
	canDo        queue.CanDo
	cantDo       queue.CantDo
	reset        queue.ResetAbilities
	preSleep     queue.PreSleep
	grab         queue.Grab
	report       queue.Report
	status       queue.GetStatus
	statusUnique queue.GetStatusUnique
	clientID     queue.SetClientID
	option       queue.SetOption
}

func newCore(cfg queue.Config) *core {
	b := newBodies()
	return &core{
		kick:   make(chan struct{}, 1),
		bodies: b,
		state:  queue.New(cfg),
		peers:  make(map[queue.Peer]*conn),
	}
}

// turn is one hold of the core's lock: events go in, answers go to the outboxes of peers, and these
// are flushed when the lock has been given back. Its memory is used again for the next turn.
type turn struct {
	*core
	own     *conn // whose packets are handled; nil: nobody's
	now     time.Time
	open    bool
	touched []*conn
}

func (t *turn) begin() {
	t.mu.Lock()
	t.open = true
	t.now = time.Now()
}

// apply moves the queue and encodes what it answers. Byte slices of ev are not needed afterwards.
func (t *turn) apply(ev queue.Event) {
	t.effects = t.state.Apply(t.now, ev, t.effects[:0])
	for i := range t.effects {
		e := &t.effects[i]
		if to := t.peers[e.To]; to != nil {
			t.send(to, e.Type, e.Arguments(), e.Shared)
		}
	}
}

// send encodes a packet for a peer. shared is as in [queue.Effect].
func (t *turn) send(to *conn, typ protocol.Type, args [][]byte, shared bool) {
	if !to.out.append(typ, args, shared) {
		t.counts.DroppedPackets++
	}
	t.counts.PacketsOut.add(typ)
	t.touch(to)
}

func (t *turn) touch(c *conn) {
	if !c.touched {
		c.touched = true
		t.touched = append(t.touched, c)
	}
}

// end gives the lock back and flushes.
func (t *turn) end() {
	for _, c := range t.touched {
		c.touched = false
	}
	late := t.schedule()
	t.draining.check(t.state)
	t.held.Store(t.state.Bytes())
	t.open = false
	t.mu.Unlock()
	if late {
		select {
		case t.kick <- struct{}{}:
		default: // it is awake already
		}
	}
	t.flush()
}

// flush sends what the turn has put into outboxes. The peer whose packets these were comes last: the
// others do not know yet that there is something for them to do.
func (t *turn) flush() {
	if len(t.touched) == 0 {
		return
	}
	gaveWay, saved := t.pacer.giveWay(), 0
	own := false
	for _, c := range t.touched {
		if c == t.own {
			own = true
		} else if !c.out.flush() {
			saved++
		}
	}
	if own && !t.own.out.flush() {
		saved++
	}
	if gaveWay {
		t.pacer.learn(saved)
	}
	clear(t.touched)
	t.touched = t.touched[:0]
}

// schedule reports whether the timer goroutine waits for a later moment than the queue asks for.
func (t *turn) schedule() bool {
	next, ok := t.state.NextDeadline()
	if !ok || !t.wake.IsZero() && !next.Before(t.wake) {
		return false
	}
	t.wake = next
	return true
}

// runTimer lets time pass for the queue until ctx ends.
func (c *core) runTimer(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	t := turn{core: c}
	for {
		select {
		case <-ctx.Done():
			return
		case <-c.kick:
		case <-timer.C:
			t.begin()
			t.wake = time.Time{}
			t.apply(&queue.Tick{})
			t.end() // sets wake again, and kicks
			continue
		}
		c.mu.Lock()
		wait := time.Until(c.wake)
		c.mu.Unlock()
		timer.Reset(wait)
	}
}
