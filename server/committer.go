package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/geartrain/geartrain/gearman/protocol"
	"github.com/geartrain/geartrain/server/queue"
	"github.com/geartrain/geartrain/server/store"
)

// committer puts the queue's operations on stable storage, those of all connections together, one batch
// at a time and in order. Whoever ends a turn that leaves operations, while nobody writes, becomes the
// writer; the others leave theirs and go on.
//
//	turns ──operations──► waiting ──take──► Commit, without the lock ──► turn: settled = last
//	                        │                   │                              │
//	  over the limit those  │                   ├ ErrFull: what may be refused ├ Committed or NotCommitted
//	  who submit stop       │                   │ is, the rest is kept and     │ to the queue
//	  reading               │                   │ tried again                  └ packets that waited for
//	                        ▼                   └ ErrFailed: the same for          it go to their peers
//	                                              good, nothing is tried again
//
// The memory server has one without a store: nothing ever waits.
type committer struct {
	store  store.Store // nil: in memory
	log    *slog.Logger
	limit  int64         // of size: beyond it submissions are not read
	kick   chan struct{} // wakes the goroutine
	handed atomic.Bool   // the goroutine is the writer
	broken chan error    // gets the error that ends the store, once
	loaded chan struct{} // closed when everything stored is back in the queue, or the server ends
	size   atomic.Int64  // bytes of operations that wait or are being written
	ops    []store.Op    // memory of the batch; this and the next belong to the writer
	trouble

	// Guarded by the core's lock:
	waiting       []queue.Op
	spare         []queue.Op // memory for the next waiting
	loading       bool       // not everything is back yet
	skipped       int        // records that the queue could not read
	writing       bool       // somebody is the writer
	stuck         bool       // and it waits with what the store has no room for
	full          bool       // what the writer knows about the store
	failure       error
	lastOp        uint64        // the last operation that was ever handed over
	lastRefusable bool          // and whether it can be refused
	settled       uint64        // what became of all up to it is known
	room          chan struct{} // not nil: closed when size has fallen
	holding       []*conn       // peers from whom something is held back
}

// trouble is the writer's memory of a store that does not take everything.
type trouble struct {
	kept    []queue.Op // not stored yet, and never refused
	pause   time.Duration
	retryAt time.Time // zero: the store takes everything
	failed  error     // it will never take anything again
}

func (c *committer) init(cfg *Config) {
	c.store, c.log, c.limit = cfg.Store, cfg.Logger, maxWaiting
	if cfg.MaxMemory > 0 {
		c.limit = min(c.limit, cfg.MaxMemory/8)
	}
	c.kick, c.broken, c.loaded = make(chan struct{}, 1), make(chan error, 1), make(chan struct{})
	c.loading = c.store != nil
	c.writing = c.loading // so nobody else writes before that is over
}

const (
	maxWaiting = 64 << 20 // bytes of operations beyond which submissions are not read, if memory has no limit
	opSize     = 64       // bytes that an operation costs besides its own
	ownBatch   = 8 << 10  // bytes of them that a connection's goroutine commits by itself
	fullPause  = 100 * time.Millisecond
	fullLimit  = 500 * time.Millisecond // so that space that came back is found within a second
)

// outcome says what became of the operations of one batch.
type outcome struct {
	first, last uint64
	err         error // of the refusable ones; the others are stored, or kept
}

// refuses reports whether the packet that waited for an operation becomes ERROR.
func (o *outcome) refuses(after uint64) bool {
	return o.err != nil && after >= o.first && after <= o.last
}

// refusal is that ERROR.
func (o *outcome) refusal() []byte {
	code, text := protocol.CodeStoreFailed, "The server's storage has failed, the job was not taken"
	if errors.Is(o.err, store.ErrFull) {
		code, text = protocol.CodeDiskFull, "The server has no space left to store the job, it was not taken"
	}
	return protocol.AppendPacket(nil, protocol.Response, protocol.Error, []byte(code), []byte(text))
}

// gather takes over what an event leaves to be stored.
func (t *turn) gather(ops []queue.Op) {
	var size int64
	for i := range ops {
		size += sizeOf(&ops[i])
		t.refusable = t.refusable || ops[i].Refusable
	}
	t.size.Add(size)
	last := &ops[len(ops)-1]
	t.lastOp, t.lastRefusable = last.Seq, last.Refusable
	t.waiting = append(t.waiting, ops...)
}

// becomeWriter reports whether the turn's goroutine has to write when the turn is over.
func (t *turn) becomeWriter() bool {
	left := len(t.waiting) > 0
	switch {
	case t.writer:
		t.stuck = !left && len(t.kept) > 0
		t.writing = left || t.stuck
		t.full, t.failure = !t.retryAt.IsZero(), t.failed
		return t.writing
	case left && !t.writing:
		t.writing = true
		return true
	case left && t.stuck:
		t.wake()
	}
	return false
}

func sizeOf(op *queue.Op) int64 { return opSize + int64(len(op.Head)+len(op.Body)) }

// commit is called after a turn whose goroutine has become the writer. A connection's goroutine writes a
// small batch itself, which saves the way to another goroutine and back, and leaves the rest to the
// committer's.
func (t *turn) commit() {
	if t.own == nil || !t.isSmall() || t.commitBatch() {
		t.handOn()
	}
}

// isSmall reports whether what waits is worth committing at once.
func (t *turn) isSmall() bool { return t.size.Load() < ownBatch }

// handOn makes the committer's goroutine the writer.
func (t *turn) handOn() {
	t.handed.Store(true)
	t.wake()
}

// wake lets the committer's goroutine look whether it has become the writer, or has something to write.
func (c *committer) wake() {
	select {
	case c.kick <- struct{}{}:
	default: // it is awake already
	}
}

// commitBatch writes all that waits, and tells. It reports whether its caller is still the writer.
func (t *turn) commitBatch() bool {
	t.writer = true
	t.mu.Lock()
	batch := t.waiting
	t.waiting, t.spare = t.spare[:0], nil
	t.mu.Unlock()

	o, size := t.write(batch)

	t.begin()
	t.settle(o)
	clear(batch)
	if cap(batch) <= maxSpare {
		t.spare = batch[:0]
	}
	if t.size.Add(-size) < t.limit/2 && t.room != nil {
		close(t.room)
		t.room = nil
	}
	return t.close()
}

// startCommitter returns what ends it, when all connections have.
func (s *Server) startCommitter() (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { s.core.runCommitter(ctx) })
	return func() {
		cancel()
		running.Wait()
	}
}

// storeFailure gets the failure of the store if the server has to end with it.
func (s *Server) storeFailure() <-chan error {
	if !s.cfg.EndOnStoreFailure {
		return nil
	}
	return s.core.broken
}

// runCommitter is the committer's goroutine. When ctx ends there are no turns but its own any more, and
// it writes what is left.
func (c *core) runCommitter(ctx context.Context) {
	t := turn{core: c}
	for {
		select {
		case <-ctx.Done():
			t.finish()
			return
		case <-c.kick:
		}
		for c.handed.Swap(false) {
			t.writeOn(ctx)
		}
	}
}

// writeOn writes as long as there is something. What the store has no room for is tried again.
func (t *turn) writeOn(ctx context.Context) {
	for t.commitBatch() && ctx.Err() == nil {
		if len(t.kept) == 0 {
			continue
		}
		retry := time.NewTimer(time.Until(t.retryAt))
		select {
		case <-ctx.Done():
		case <-t.kick:
		case <-retry.C:
		}
		retry.Stop()
	}
}

// finish is the last batch.
func (t *turn) finish() {
	if t.store == nil || t.loading {
		return
	}
	t.retryAt = time.Time{}
	t.commitBatch()
	if n := len(t.kept); n > 0 {
		t.log.Error("the store has no room for what has ended lately: those jobs run again, or their results are lost", "operations", n)
	}
}

// maxSpare is for how many operations memory is kept.
const maxSpare = 1 << 14

// waitRoom keeps a connection that submits from reading on while too much waits to be written.
func (c *conn) waitRoom() {
	core := c.server.core
	for core.size.Load() > core.limit {
		core.mu.Lock()
		if core.room == nil {
			core.room = make(chan struct{})
		}
		room := core.room
		enough := core.size.Load() <= core.limit // it may have fallen before room was there
		core.mu.Unlock()
		if enough {
			return
		}
		c.mayWait()
		select {
		case <-room:
		case <-c.server.closed:
			return
		}
	}
}

// settle tells queue and peers what became of a batch.
func (t *turn) settle(o outcome) {
	if o.last == 0 {
		return
	}
	t.settled = max(t.settled, o.last)
	if o.err != nil {
		t.apply(&queue.NotCommitted{First: o.first, Last: o.last, Full: errors.Is(o.err, store.ErrFull)})
	}
	t.releaseAll(o)
	if o.err == nil {
		t.apply(&queue.Committed{Seq: o.last})
	}
}

// write brings a batch, and what was kept of earlier ones, to the store. It returns what became of it,
// and the bytes that wait no longer.
func (c *committer) write(batch []queue.Op) (o outcome, size int64) {
	for i := range batch {
		size += sizeOf(&batch[i])
	}
	all := batch
	if len(c.kept) > 0 {
		all = append(c.kept, batch...)
	}
	if len(all) == 0 {
		return o, size
	}
	o.first, o.last = all[0].Seq, all[len(all)-1].Seq
	switch {
	case c.failed != nil:
		o.err = c.failed
	case time.Now().Before(c.retryAt):
		o.err = c.writeNeeded(all, len(c.kept) == 0)
	default:
		o.err = c.writeAll(all)
	}
	return o, size
}

// writeAll tries everything, and if there is no room for it, at least what cannot be refused.
func (c *committer) writeAll(all []queue.Op) error {
	err := c.put(all)
	refusable := slices.ContainsFunc(all, func(op queue.Op) bool { return op.Refusable })
	switch {
	case err == nil && !refusable && c.pause > 0: // the store keeps some room back for these
		c.kept = nil
		return nil
	case err == nil:
		if c.pause > 0 {
			c.log.Info("the store has room again, submissions are taken")
		}
		c.trouble = trouble{}
		return nil
	case !errors.Is(err, store.ErrFull):
		return c.fail(err)
	}
	if c.pause == 0 {
		c.log.Error("no space left for the store: background submissions are refused until there is; "+
			"workers, results and foreground jobs go on", "reason", err)
	}
	c.pause = min(max(2*c.pause, fullPause), fullLimit)
	c.retryAt = time.Now().Add(c.pause)
	return c.writeNeeded(all, refusable)
}

// writeNeeded refuses what can be refused without asking the store, and keeps the rest if it cannot
// be stored.
func (c *committer) writeNeeded(all []queue.Op, try bool) error {
	needed := make([]queue.Op, 0, len(all))
	for _, op := range all {
		if !op.Refusable {
			needed = append(needed, op)
		}
	}
	c.kept = needed
	if !try || len(needed) == 0 {
		return store.ErrFull
	}
	switch err := c.put(needed); {
	case err == nil:
		c.kept = nil
	case !errors.Is(err, store.ErrFull):
		return c.fail(err)
	}
	return store.ErrFull
}

// fail ends the store for good.
func (c *committer) fail(err error) error {
	c.failed, c.kept = err, nil
	c.log.Error("the storage has failed: what is stored by now stays as it is, nothing more is stored, and background submissions "+
		"are refused; foreground jobs go on; restart the server when the storage is sound", "reason", err)
	c.broken <- err
	return err
}

// put is one commit. A mistake of the store is its failure, and not that of the connection that happens to
// be the writer.
func (c *committer) put(batch []queue.Op) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("%w: panic: %v\n%s", store.ErrFailed, v, debug.Stack())
		}
	}()
	c.ops = c.ops[:0]
	for i := range batch {
		op := &batch[i]
		op.Must = !op.Refusable
		c.ops = append(c.ops, op.Op)
	}
	err = c.store.Commit(c.ops)
	clear(c.ops)
	if cap(c.ops) > maxSpare {
		c.ops = nil
	}
	return err
}
