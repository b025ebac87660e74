package server

import (
	"encoding/binary"
	"time"

	"github.com/geartrain/geartrain/gearman/protocol"
	"github.com/geartrain/geartrain/server/queue"
	"github.com/geartrain/geartrain/server/store"
)

// held is what one peer is told later: packets that wait for the store, and all that came after them,
// so that a peer hears everything in the order in which it happened. It is guarded by the core's lock.
// What it holds counts as unread by the peer.
//
//	turn ──effect──► [After 7][no wait][body of 3][After 9] ──► outbox
//	                  │                 │
//	                  │ the committer   │ the connection's own goroutine reads it
//	                  └ settles 7       └ when its turn is over
type held struct {
	items []heldItem // from next on
	next  int
	bytes []byte // of the items, encoded, the oldest first; from start on
	start int
	empty chan struct{} // not nil: closed when nothing is held
}

// heldItem is one packet, or only a wait.
type heldItem struct {
	after uint64        // the operation it waits for; 0: none
	typ   protocol.Type // of a packet
	size  int           // its part of bytes: all of it, or all but body
	body  []byte        // the last argument, if it is not in bytes
	lent  bool          // body may be memory that goes round, see [bodies]
	id    store.ID      // body is still to be read; 0: it is there
	admin bool          // it is an admin answer, and another one if the operation is refused
}

func (h *held) any() bool { return h.next < len(h.items) }

// push adds an item whose encoded bytes are appended by encode.
func (h *held) push(item heldItem, encode func(dst []byte) []byte) {
	if encode != nil {
		before := len(h.bytes)
		h.bytes = encode(h.bytes)
		item.size = len(h.bytes) - before
	}
	h.items = append(h.items, item)
}

// pop takes the first item away. Its bytes are good until the next push.
func (h *held) pop() (heldItem, []byte) {
	item := h.items[h.next]
	encoded := h.bytes[h.start : h.start+item.size]
	h.items[h.next] = heldItem{}
	h.next++
	h.start += item.size
	switch {
	case !h.any():
		h.reset()
	case h.next >= heldSlack && h.next > len(h.items)/2:
		h.items = h.items[:copy(h.items, h.items[h.next:])]
		clear(h.items[len(h.items):cap(h.items)][:h.next])
		h.bytes = append([]byte(nil), h.bytes[h.start:]...)
		h.next, h.start = 0, 0
	}
	return item, encoded
}

// heldSlack is how many items that are gone are worth moving the others.
const heldSlack = 1024

// reset makes it empty. A little memory is kept for the next time.
func (h *held) reset() {
	h.next, h.start = 0, 0
	h.items, h.bytes = h.items[:0], h.bytes[:0]
	if cap(h.items) > heldSlack {
		h.items = nil
	}
	if cap(h.bytes) > chunkSize {
		h.bytes = nil
	}
	if h.empty != nil {
		close(h.empty)
		h.empty = nil
	}
}

// fill gives the i-th item from next on, whose bytes begin at offset, the body that it lacks.
func (h *held) fill(i, offset int, body []byte) {
	item := &h.items[h.next+i]
	size := h.bytes[offset+protocol.HeaderSize-4:]
	binary.BigEndian.PutUint32(size, uint32(item.size-protocol.HeaderSize+len(body)))
	item.id, item.body = 0, body
}

// cut takes the i-th item from next on away, and all behind it, which it returns. The bytes of the i-th
// begin at offset.
func (h *held) cut(i, offset int) held {
	at := h.next + i
	var rest held
	rest.items = append(rest.items, h.items[at+1:]...)
	rest.bytes = append(rest.bytes, h.bytes[offset+h.items[at].size:]...)
	clear(h.items[at:])
	h.items, h.bytes = h.items[:at], h.bytes[:offset]
	return rest
}

// join appends what cut returned.
func (h *held) join(rest held) {
	h.items = append(h.items, rest.items...)
	h.bytes = append(h.bytes, rest.bytes...)
}

// hold keeps a packet back: it waits for operation after, and for all that is held already.
func (t *turn) hold(to *conn, e *queue.Effect) {
	t.keepBack(to)
	if e.Type == 0 {
		to.held.push(heldItem{after: e.After}, nil)
		return
	}
	t.counts.PacketsOut.add(e.Type)
	args := e.Arguments()
	item := heldItem{after: e.After, typ: e.Type, id: e.Body}
	last := len(args) - 1
	byRef := e.Body == 0 && e.Shared && len(args[last]) >= byReference
	if byRef {
		args = args[:last]
	}
	size := 0
	for _, a := range args {
		size += len(a) + 1
	}
	if byRef {
		item.body, item.lent = e.Args[last], true
		size += len(item.body)
	}
	if !to.out.reserve(e.Type, protocol.HeaderSize+size) {
		t.counts.DroppedPackets++
		to.held.push(heldItem{after: e.After}, nil)
		return
	}
	if byRef {
		t.bodies.hold(item.body)
	}
	if e.Body != 0 {
		to.reads = append(to.reads, e.Body)
	}
	to.held.push(item, func(dst []byte) []byte {
		if e.Body == 0 && !byRef {
			return protocol.AppendPacket(dst, protocol.Response, e.Type, args...)
		}
		dst = protocol.AppendHeader(dst, protocol.Response, e.Type, size)
		for _, a := range args {
			dst = append(append(dst, a...), 0)
		}
		return dst
	})
}

// holdText is hold for an admin answer.
func (t *turn) holdText(to *conn, after uint64, text string) {
	t.keepBack(to)
	if !to.out.reserve(protocol.Text, len(text)) {
		text = ""
	}
	item := heldItem{after: after, admin: after == t.lastOp && t.lastRefusable}
	to.held.push(item, func(dst []byte) []byte { return append(dst, text...) })
}

// keepBack makes the committer look at a peer.
func (t *turn) keepBack(to *conn) {
	if !to.holding {
		to.holding = true
		t.holding = append(t.holding, to)
	}
	t.touch(to) // an outbox that is full closes its connection when it is flushed
}

// releaseAll sends what needs to wait no longer. failure says what became of the refusable ones among
// the operations first to last, if they are not stored.
func (t *turn) releaseAll(o outcome) {
	rest := t.holding[:0]
	for _, c := range t.holding {
		t.release(c, o)
		if c.held.any() {
			rest = append(rest, c)
		} else {
			c.holding = false
		}
	}
	clear(t.holding[len(rest):])
	t.holding = rest
}

// release is releaseAll for one peer.
func (t *turn) release(c *conn, o outcome) {
	h, out := &c.held, &c.out
	out.mu.Lock()
	defer out.mu.Unlock()
	for h.any() {
		first := &h.items[h.next]
		if first.after > t.settled || first.id != 0 {
			break
		}
		refused := o.refuses(first.after)
		item, encoded := h.pop()
		switch {
		case refused && item.typ == protocol.JobCreated:
			encoded = o.refusal()
			t.counts.PacketsOut.add(protocol.Error)
		case refused && item.admin:
			encoded = []byte(notStored)
		}
		out.appendReleased(item, encoded)
	}
	t.touch(c)
}

// dropHeld forgets what is held for a peer that is gone.
func (t *turn) dropHeld(c *conn) {
	for c.held.any() {
		if item, _ := c.held.pop(); item.lent {
			t.bodies.drop(item.body)
		}
	}
	c.reads = nil
}

// fetch reads the bodies that the turn which has just ended wants, and sends what waited for them. A
// body that cannot be read is told to the queue, whose answer takes the packet's place.
func (c *conn) fetch() {
	for len(c.reads) > 0 {
		bodies, errs, read := [][]byte(nil), []error(nil), 0
		for _, id := range c.reads {
			body, err := c.server.core.store.Body(id)
			bodies, errs = append(bodies, body), append(errs, err)
			if read += len(body); read > fetchSize {
				break
			}
		}
		ids := append([]store.ID(nil), c.reads[:len(bodies)]...)
		c.reads = c.reads[:copy(c.reads, c.reads[len(bodies):])]
		c.turn.begin()
		for i, id := range ids {
			c.fetched(id, bodies[i], errs[i])
		}
		c.turn.release(c, outcome{})
		c.turn.end()
	}
}

// fetchSize is how many bytes are read before they are sent.
const fetchSize = 4 << 20

// fetched puts a body into the first item that lacks one.
func (c *conn) fetched(id store.ID, body []byte, err error) {
	h := &c.held
	offset := h.start
	for i := range h.items[h.next:] {
		item := &h.items[h.next+i]
		if item.id == 0 {
			offset += item.size
			continue
		}
		if err == nil && c.out.reserve(item.typ, len(body)) {
			h.fill(i, offset, body)
			return
		}
		result := item.typ == protocol.WorkComplete
		rest := h.cut(i, offset)
		if err != nil {
			c.server.cfg.Logger.Error("the body of a job cannot be read; what it is of is set aside", "record", uint64(id), "reason", err)
			c.turn.counts.BodiesLost++
			c.turn.apply(&queue.BodyLost{Peer: c.id, ID: id, Result: result})
		}
		h.join(rest)
		return
	}
}

// waitHeld returns when nothing is held back from the peer, at the latest after d.
func (c *conn) waitHeld(d time.Duration) {
	core := c.server.core
	core.mu.Lock()
	if !c.held.any() || c.out.failure() != nil {
		core.mu.Unlock()
		return
	}
	if c.held.empty == nil {
		c.held.empty = make(chan struct{})
	}
	empty := c.held.empty
	core.mu.Unlock()
	c.mayWait()
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-empty:
	case <-t.C:
	}
}
