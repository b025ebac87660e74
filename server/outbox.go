package server

import (
	"errors"
	"net"
	"sync"
	"syscall"
	"time"

	"github.com/geartrain/geartrain/gearman/protocol"
)

// Sizes of an outbox, in bytes.
const (
	byReference = 16 << 10 // an immutable argument of this size or more is sent without copying it
	chunkSize   = 64 << 10 // encoded packets are gathered up to this size
	smallChunk  = 4 << 10  // with which the gathering begins
	maxVector   = 64       // chunks in one system call
)

// errOverflow: the peer reads too slowly or not at all.
var errOverflow = errors.New("server: outbox is full")

// outbox holds what is to be sent to one peer. Packets are encoded into it under the core's lock and
// written by [outbox.flush] after that. Its memory is zero when it is empty.
type outbox struct {
	conn      net.Conn
	raw       syscall.RawConn        // nil: every write may wait, so the writer goroutine does it
	once      func(fd uintptr) bool  // [outbox.writeOnce] as raw wants it
	spawn     func(func())           // starts the writer goroutine under the server's wait group
	awaitRoom func(otherwise func()) // has resume called when the socket takes more; nil: the writer goroutine waits
	limits    *limits
	bodies    *bodies
	single    [1][]byte // sending's memory in the usual case
	sent      int       // by once; it, sending and lent belong to whoever has set writing
	sendErr   error
	lent      [][]byte // the bodies in sending

	mu      sync.Mutex // guards the following; held for work in memory only
	chunks  [][]byte   // full, oldest first
	tail    []byte     // being filled
	held    [][]byte   // the chunks that are bodies, see [bodies]
	size    int        // bytes in chunks, tail and sending
	kept    int        // bytes that wait for the store before they come here, see [held]
	charged int        // the part of size and kept that the memory budget knows of
	writing bool       // somebody writes; others only append
	sending net.Buffers
	err     error         // nothing more will be sent
	empty   chan struct{} // not nil: closed when there is nothing left to send
}

func (o *outbox) init(conn net.Conn, l *limits, b *bodies, spawn func(func())) {
	o.conn, o.limits, o.bodies, o.spawn = conn, l, b, spawn
	if c, ok := conn.(syscall.Conn); ok && canWriteOnce {
		if raw, err := c.SyscallConn(); err == nil {
			o.raw, o.once = raw, o.writeOnce
		}
	}
}

// droppable reports whether a packet of type t can be left out without breaking the conversation.
func droppable(t protocol.Type) bool {
	return t == protocol.WorkData || t == protocol.WorkStatus || t == protocol.WorkWarning
}

// append encodes a packet. shared says that the last argument never changes and may be referred to.
// It reports false when the packet was dropped because the peer is slow.
func (o *outbox) append(t protocol.Type, args [][]byte, shared bool) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if !o.accepts(t) {
		return false
	}
	last := len(args) - 1
	if shared && len(args[last]) >= byReference {
		o.appendReference(t, args[:last], args[last])
	} else {
		before := len(o.room())
		o.tail = protocol.AppendPacket(o.tail, protocol.Response, t, args...)
		o.size += len(o.tail) - before
	}
	o.charge()
	return true
}

// appendText adds an admin answer.
func (o *outbox) appendText(text []byte) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.accepts(protocol.Text) {
		o.tail = append(o.room(), text...)
		o.size += len(text)
		o.charge()
	}
}

// reserve is append for a packet that must wait: only its size is known, and that it will come by
// [outbox.appendReleased].
func (o *outbox) reserve(t protocol.Type, n int) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if !o.accepts(t) {
		return false
	}
	o.kept += n
	o.charge()
	return true
}

// appendReleased adds what reserve has announced. The caller holds the lock.
func (o *outbox) appendReleased(item heldItem, encoded []byte) {
	if o.err != nil {
		if item.lent {
			o.bodies.drop(item.body)
		}
		return
	}
	o.kept -= item.size + len(item.body)
	o.size += len(encoded) + len(item.body)
	o.tail = append(o.room(), encoded...)
	switch {
	case len(item.body) >= byReference:
		o.chunks = append(o.chunks, o.tail, item.body)
		o.tail = nil
		if item.lent { // it was held when it began to wait
			o.held = append(o.held, item.body)
		}
	default:
		o.tail = append(o.tail, item.body...)
	}
	o.charge()
}

// accepts applies the bounds. Over the harder one the outbox fails, and the next flush closes the
// connection.
func (o *outbox) accepts(t protocol.Type) bool {
	if o.err != nil {
		return false
	}
	unread := o.size + o.kept
	if unread < smallChunk {
		return true
	}
	bound := o.limits.outbox()
	if unread > bound {
		o.fail(errOverflow)
		return false
	}
	return unread <= bound/4 || !droppable(t)
}

// room is the tail with a place for one more packet.
func (o *outbox) room() []byte {
	if len(o.tail) >= chunkSize {
		o.chunks = append(o.chunks, o.tail)
		o.tail = nil
	}
	if o.tail == nil {
		o.tail = o.limits.chunk()
	}
	return o.tail
}

// appendReference encodes all of a packet but its last argument, which follows as a chunk of its own.
func (o *outbox) appendReference(t protocol.Type, args [][]byte, body []byte) {
	size := len(body)
	for _, a := range args {
		size += len(a) + 1
	}
	tail := protocol.AppendHeader(o.room(), protocol.Response, t, size)
	for _, a := range args {
		tail = append(append(tail, a...), 0)
	}
	o.chunks = append(o.chunks, tail, body)
	o.tail = nil
	o.bodies.hold(body)
	o.held = append(o.held, body)
	o.size += protocol.HeaderSize + size
}

// flush tries one write that does not wait. Only one goroutine writes at a time; if another one does,
// it will find what was appended. It closes the connection of an outbox that has failed. It reports
// false when there was nothing to send any more.
func (o *outbox) flush() bool {
	o.mu.Lock()
	tried := o.writing || o.err != nil
	if !o.writing && o.take() {
		o.writing, tried = true, true
		if o.raw == nil || !o.writeMost() {
			o.mu.Unlock()
			o.goOn()
			return true
		}
	}
	o.endFlush()
	return tried
}

// resume is flush when there is room for what the last one could not write.
func (o *outbox) resume() {
	o.mu.Lock()
	switch {
	case o.err != nil:
		o.giveBack()
	case !o.writeMost():
		o.mu.Unlock()
		o.goOn()
		return
	}
	o.endFlush()
}

// writeMost writes until nothing is left, or the socket is full, and then reports false. The caller
// holds the lock, and has set writing.
func (o *outbox) writeMost() bool {
	for {
		o.mu.Unlock()
		err := o.tryWrite()
		o.mu.Lock()
		o.wrote(o.sent)
		if err != nil {
			o.giveBack()
			o.fail(err)
			return true
		}
		if len(o.sending) > 0 {
			o.charge()
			return false
		}
		if !o.take() {
			o.writing = false
			return true
		}
	}
}

// wrote notes that n bytes are sent. Of an outbox that has failed meanwhile nothing counts any more.
func (o *outbox) wrote(n int) {
	if o.err == nil {
		o.size -= n
	}
}

// goOn has the rest written as soon as there is room for it: by the leader, unless it is so much that
// the others had better not wait for the copying.
func (o *outbox) goOn() {
	wait := func() { o.spawn(o.write) }
	if o.awaitRoom == nil || size(o.sending) >= bulk {
		wait()
		return
	}
	o.awaitRoom(wait)
}

func size(chunks net.Buffers) int {
	n := 0
	for _, b := range chunks {
		n += len(b)
	}
	return n
}

// endFlush gives back the lock, and closes the connection of an outbox that has failed.
func (o *outbox) endFlush() {
	failed := o.err != nil
	o.settle()
	o.mu.Unlock()
	if failed {
		o.conn.Close() // the reader finds out and ends the connection
	}
}

// take moves everything into sending; false when there is nothing.
func (o *outbox) take() bool {
	if o.err != nil || o.size == 0 {
		return false
	}
	if len(o.chunks) == 0 {
		o.single[0] = o.tail
		o.sending = o.single[:]
	} else {
		o.sending = o.chunks
		if len(o.tail) > 0 {
			o.sending = append(o.sending, o.tail)
		}
	}
	o.chunks, o.tail = nil, nil
	o.lent, o.held = o.held, o.lent
	return true
}

// tryWrite writes as much of sending as the socket takes at once. The caller has set writing.
func (o *outbox) tryWrite() error {
	o.sent, o.sendErr = 0, nil
	if err := o.raw.Write(o.once); err != nil {
		return err
	}
	if o.sendErr == nil && len(o.sending) == 0 {
		o.giveBack()
		if o.single[0] != nil {
			o.limits.release(o.single[0])
			o.single[0] = nil
		}
	}
	return o.sendErr
}

// writeOnce is tryWrite's callback: it never asks to be called again.
func (o *outbox) writeOnce(fd uintptr) bool {
	for len(o.sending) > 0 {
		some := o.sending[:min(len(o.sending), maxVector)]
		n, err := writeNow(fd, some)
		o.sent += n
		if err != nil {
			o.sendErr = err
			return true
		}
		for _, b := range some {
			if n < len(b) {
				o.sending[0] = b[n:]
				return true
			}
			n -= len(b)
			o.sending = o.sending[1:]
		}
	}
	return true
}

// giveBack ends the loan of the bodies in sending, which is written or given up.
func (o *outbox) giveBack() {
	for _, body := range o.lent {
		o.bodies.drop(body)
	}
	clear(o.lent)
	o.lent = o.lent[:0]
}

// write is the writer goroutine: it waits for the peer and ends when the outbox is empty or the
// connection is closed.
func (o *outbox) write() {
	for {
		n, err := o.sending.WriteTo(o.conn)
		o.giveBack()
		o.mu.Lock()
		o.wrote(int(n))
		o.single[0] = nil
		if err != nil {
			o.fail(err)
		}
		more := o.take()
		if !more {
			o.writing = false
			err = o.err
			o.settle()
		} else {
			o.charge()
		}
		o.mu.Unlock()
		if !more {
			if err != nil {
				o.conn.Close()
			}
			return
		}
	}
}

// fail drops everything for good.
func (o *outbox) fail(err error) {
	if o.err == nil {
		o.err = err
	}
	for _, body := range o.held {
		o.bodies.drop(body)
	}
	o.chunks, o.tail, o.held, o.size, o.kept = nil, nil, nil, 0, 0
}

// close fails the outbox, so that a writer goroutine whose connection is closed ends.
func (o *outbox) close() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.fail(net.ErrClosed)
	o.settle()
}

// wait returns when everything has been sent or cannot be, at the latest after d.
func (o *outbox) wait(d time.Duration) {
	o.mu.Lock()
	if o.size == 0 || o.err != nil {
		o.mu.Unlock()
		return
	}
	if o.empty == nil {
		o.empty = make(chan struct{})
	}
	empty := o.empty
	o.mu.Unlock()
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-empty:
	case <-t.C:
	}
}

// unsent reports whether there is something that can still be sent.
func (o *outbox) unsent() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.size > 0 && o.err == nil
}

// failure is why nothing more is sent, or nil.
func (o *outbox) failure() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.err
}

// charge tells the memory budget of a size that has changed much.
func (o *outbox) charge() {
	if d := o.size + o.kept - o.charged; d >= chargeStep || d <= -chargeStep {
		o.limits.charge(d)
		o.charged += d
	}
}

// settle ends a write: the budget is told, and whoever waits for an empty outbox is woken.
func (o *outbox) settle() {
	if o.size > 0 {
		o.charge()
		return
	}
	if o.kept > 0 {
		o.charge()
	} else if o.charged > 0 {
		o.limits.memory.Add(-int64(o.charged))
		o.charged = 0
	}
	if o.empty != nil {
		close(o.empty)
		o.empty = nil
	}
}
