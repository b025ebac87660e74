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
	sooner chan struct{} // wakes the timer goroutine: an earlier deadline than it waits for
	pacer  pacer
	held   atomic.Int64 // bytes in the queue, as of the last turn
	bodies *bodies
	committer

	mu       sync.Mutex // guards the following; never held over I/O
	state    *queue.State
	peers    map[queue.Peer]*conn
	last     queue.Peer // the last number given
	effects  []queue.Effect
	event    events
	counts   Counters
	alarm    time.Time // for which the timer goroutine waits; zero: for nothing
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

func newCore(cfg *Config) *core {
	c := &core{
		sooner: make(chan struct{}, 1),
		bodies: newBodies(),
		peers:  make(map[queue.Peer]*conn),
	}
	of := cfg.Queue
	of.Payloads = c.bodies
	c.state = queue.New(of)
	c.committer.init(cfg)
	return c
}

// turn is one hold of the core's lock: events go in, answers go to the outboxes of peers, and these
// are flushed when the lock has been given back. Its memory is used again for the next turn.
type turn struct {
	*core
	own       *conn // whose packets are handled; nil: nobody's
	now       time.Time
	open      bool
	refusable bool   // it has left something to be stored that can be refused
	writer    bool   // its goroutine is the committer's writer, and tells what became of a batch
	round     *round // does what is left to do when a turn is over; nil: the turn does
	touched   []*conn
	conflict  *conflict // the last one that is to be told; nil: none
}

func (t *turn) begin() {
	t.mu.Lock()
	t.open = true
	t.now = time.Now()
}

// apply moves the queue and encodes what it answers. Byte slices of ev are not needed afterwards.
func (t *turn) apply(ev queue.Event) {
	t.effects = t.state.Apply(t.now, ev, t.effects[:0])
	if ops := t.state.Ops(); len(ops) > 0 {
		t.gather(ops)
	}
	for i := range t.effects {
		e := &t.effects[i]
		switch to := t.peers[e.To]; {
		case to == nil:
		case e.After > t.settled || e.Body != 0 || to.held.any():
			t.hold(to, e)
		case e.Type != 0:
			t.sendNow(to, e.Type, e.Arguments(), e.Shared)
		}
	}
}

// send encodes a packet for a peer, or lets it wait behind others. shared is as in [queue.Effect].
func (t *turn) send(to *conn, typ protocol.Type, args [][]byte, shared bool) {
	if !to.held.any() {
		t.sendNow(to, typ, args, shared)
		return
	}
	e := queue.Effect{Type: typ, N: len(args), Shared: shared}
	copy(e.Args[:], args)
	t.hold(to, &e)
}

func (t *turn) sendNow(to *conn, typ protocol.Type, args [][]byte, shared bool) {
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

// end gives the lock back and flushes, and writes to the store if nobody else does.
func (t *turn) end() {
	if t.close() {
		t.commit()
	}
}

// close is end without the store. It reports whether the caller is the writer after it.
func (t *turn) close() (write bool) {
	for _, c := range t.touched {
		c.touched = false
	}
	late := t.schedule()
	t.draining.check(t.state)
	t.held.Store(t.state.Bytes())
	if t.store != nil {
		write = t.becomeWriter()
		t.writer = false
	}
	t.open = false
	conflict := t.conflict
	t.conflict = nil
	t.mu.Unlock()
	conflict.tell()
	if late {
		select {
		case t.sooner <- struct{}{}:
		default: // it is awake already
		}
	}
	if t.round != nil {
		t.round.take(t, write)
		return false
	}
	t.flush()
	return write
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
	if !ok || !t.alarm.IsZero() && !next.Before(t.alarm) {
		return false
	}
	t.alarm = next
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
		case <-c.sooner:
		case <-timer.C:
			t.begin()
			t.alarm = time.Time{}
			t.apply(&queue.Tick{})
			t.end() // sets alarm again, and makes it known
			continue
		}
		c.mu.Lock()
		wait := time.Until(c.alarm)
		c.mu.Unlock()
		timer.Reset(wait)
	}
}
