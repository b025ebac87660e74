package server

import (
	"errors"
	"io"
	"net"
	"net/netip"
	"runtime/debug"
	"time"

	"github.com/geartrain/geartrain/gearman/protocol"
	"github.com/geartrain/geartrain/server/poll"
	"github.com/geartrain/geartrain/server/queue"
	"github.com/geartrain/geartrain/server/store"
)

const (
	bulk       = 2 << 20         // bytes whose copying takes so long that the others do not wait for it
	progress   = 64 << 10        // bytes of a packet that give a peer another ReadTimeout
	lastWords  = 5 * time.Second // in which a connection that ends must take what is left for it
	lingerTime = time.Second     // for which a broken stream is read and thrown away
	lingerSize = 1 << 20         // and how much of it
)

// errMemory: a packet is so large that reading it would exceed MaxMemory.
var errMemory = errors.New("server: the memory limit is reached")

// conn is one connection. doc.go has the picture of its life.
type conn struct {
	id      queue.Peer
	server  *Server
	conn    net.Conn
	socket  *poll.Socket // conn, if it is served in rounds; nil: it has a goroutine
	address netip.Addr   // counted against the limit per address
	out     outbox

	// Guarded by the core's lock:
	touched bool // by the turn that is going on
	holding bool // the committer looks at held
	held    held

	// The rest belongs to the goroutine that serves the connection.
	turn    turn
	reader  *protocol.Reader
	body    []byte // memory of the large packet that the reader is at
	read    int64  // bytes so far
	told    int64  // the part of read that is in the counters
	charged int    // bytes of reader's buffer in the memory budget
	known   bool   // has asked for or offered work
	half    bool   // part of a packet is there, and a deadline is set for the rest
	halfAt  int64  // read at that moment
	timed   bool   // any deadline is set
	tasks   bool   // has asked for protocol.OptionTasks
	grabs   bool   // a grab for detail was not answered yet, see [round]
	detail  queue.Detail
	reads   []store.ID // bodies to be read after the turn
}

func newConn(s *Server, nc net.Conn, address netip.Addr) *conn {
	c := &conn{server: s, conn: nc, address: address, turn: turn{core: s.core}}
	c.turn.own = c
	if socket, ok := nc.(*poll.Socket); ok {
		c.socket = socket
		socket.Owner = c
	}
	c.reader = protocol.NewReader(c, protocol.Limits{MaxPacket: s.cfg.MaxPacket, MaxLine: s.cfg.MaxLine})
	c.reader.SetMemory(c)
	c.out.init(nc, s.limits, s.core.bodies, s.spawn)
	if c.socket != nil {
		c.out.awaitRoom = c.socket.AwaitRoom
	}
	return c
}

// Read counts what the connection brings; it is the reader's source.
func (c *conn) Read(b []byte) (int, error) {
	n, err := c.conn.Read(b)
	c.read += int64(n)
	return n, err
}

// Get is memory for a large packet; see [protocol.Memory].
func (c *conn) Get(n, size int) []byte {
	b := c.server.core.bodies
	if c.body = b.spare(size); c.body == nil {
		c.body = b.get(n)
	}
	return c.body
}

// Put takes it back; see [protocol.Memory].
func (c *conn) Put(b []byte) { c.server.core.bodies.put(b) }

// serve reads until the connection ends, and ends it.
func (c *conn) serve() {
	defer c.end()
	for c.step() {
	}
}

// step reads once and handles what is complete. It reports false at the end of the connection.
func (c *conn) step() (more bool) {
	defer c.guard()
	if c.reader.Missing() >= bulk {
		c.mayWait() // for the copying; memory is there already, so that the budget is kept by one at a time
	}
	if err := c.fill(); err == poll.ErrAgain {
		return true
	} else if err != nil {
		c.stopped(err)
		return false
	}
	if err := c.dispatch(); err != nil {
		c.server.peers.warn("connection is not in step, closing", "peer", c.name(), "reason", err)
		c.linger()
		return false
	}
	return true
}

// guard is the last resort against a mistake of ours: it costs this connection and not the server.
func (c *conn) guard() {
	v := recover()
	if v == nil {
		return
	}
	if !c.turn.open {
		c.turn.begin()
	}
	c.turn.counts.Panics++
	c.turn.end()
	c.server.cfg.Logger.Error("panic while serving a connection, closing it",
		"peer", c.name(), "panic", v, "stack", string(debug.Stack()))
	c.conn.Close()
}

// fill waits for bytes, for as long as it is right to wait.
func (c *conn) fill() error {
	if c.socket == nil { // else it is set already, and has passed if it has
		if err := c.setDeadline(); err != nil {
			return err
		}
	}
	if err := c.reader.Fill(); err != nil {
		return err
	}
	c.charge()
	return nil
}

// charge tells the memory budget of a buffer whose size has changed much.
func (c *conn) charge() {
	held := c.reader.Buffered()
	if d := held - c.charged; d >= chargeStep || d <= -chargeStep {
		c.server.limits.charge(d)
		c.charged = held
	}
}

// setDeadline touches the connection's timer only where one is needed: for the rest of a packet, and
// for peers nobody knows yet.
func (c *conn) setDeadline() error {
	cfg := &c.server.cfg
	var wait time.Duration
	switch {
	case c.reader.Pending() && cfg.ReadTimeout > 0:
		if c.half && c.read-c.halfAt < progress {
			return nil
		}
		c.half, c.halfAt = true, c.read
		wait = cfg.ReadTimeout
	case !c.known:
		c.half = false
		wait = cfg.IdleTimeout
	default:
		c.half = false
	}
	if wait == 0 && !c.timed {
		return nil
	}
	c.timed = wait > 0
	if !c.timed {
		return c.conn.SetReadDeadline(time.Time{})
	}
	return c.conn.SetReadDeadline(time.Now().Add(wait))
}

// dispatch handles every packet that is complete in one turn. An error is the end of the stream; the
// peer has been told.
func (c *conn) dispatch() error {
	p, ok, err := c.reader.Next()
	if !ok && err == nil {
		return c.checkMemory()
	}
	c.half = false
	c.turn.refusable = false
	c.turn.begin()
	c.answerGrab()
	for {
		if c.turn.loading && ok && !answersEarly(p.Type) {
			c.waitLoaded()
		}
		if ok && p.Owned {
			c.handleLarge(&p)
		} else if ok {
			c.handle(&p)
		} else if err == nil || !c.invalid(err) {
			break
		}
		p, ok, err = c.reader.Next()
	}
	c.turn.counts.BytesIn += uint64(c.read - c.told)
	c.told = c.read
	c.turn.end()
	if len(c.reads) > 0 {
		c.mayWait()
		c.fetch()
	}
	if c.turn.refusable {
		c.waitRoom()
	}
	return err
}

// checkMemory refuses to read on in a large packet when memory is short.
func (c *conn) checkMemory() error {
	c.charge()
	if c.charged == 0 || c.mayReadOn() {
		return nil
	}
	c.server.limits.charge(-c.charged)
	c.charged, c.reader, c.body = 0, nil, nil
	c.turn.begin()
	c.turn.counts.RefusedMemory++
	c.sendError(protocol.CodeLimit, "Server is out of memory for packets of this size")
	c.turn.end()
	return errMemory
}

// stopped notes why no more bytes come.
func (c *conn) stopped(err error) {
	if failure := c.out.failure(); errors.Is(failure, errOverflow) {
		c.count(func(n *Counters) { n.SlowPeers++ })
		c.server.peers.warn("peer does not read, closing", "peer", c.name())
		return
	}
	var timeout net.Error
	switch {
	case errors.Is(err, io.EOF), errors.Is(err, net.ErrClosed), errors.Is(err, io.ErrClosedPipe):
		return
	case errors.As(err, &timeout) && timeout.Timeout():
		c.count(func(n *Counters) { n.Timeouts++ })
		c.server.peers.warn("peer is silent for too long, closing", "peer", c.name(), "half_packet", c.half)
	default:
		c.server.cfg.Logger.Debug("connection lost", "peer", c.name(), "reason", err)
	}
}

// linger makes the last ERROR arrive: closing a socket with unread bytes would take it back.
func (c *conn) linger() {
	c.mayWait()
	c.waitHeld(lastWords)
	c.out.wait(lastWords)
	waits := c.conn
	if c.socket != nil {
		var err error
		if waits, err = c.socket.Plain(); err != nil {
			return // for want of a descriptor, perhaps
		}
	}
	if half, ok := waits.(interface{ CloseWrite() error }); ok {
		if half.CloseWrite() != nil {
			return // the peer is gone, there is nobody to linger for
		}
	} else {
		return
	}
	if waits.SetReadDeadline(time.Now().Add(lingerTime)) == nil {
		_, _ = io.CopyN(io.Discard, waits, lingerSize) // whatever ends it, the connection is closed next
	}
}

// end takes the peer out of the queue, gives it what is still in its outbox, and closes.
func (c *conn) end() {
	c.waitHeld(lastWords)
	c.turn.begin()
	if c.grabs { // it may have closed its side only, and read on
		c.grabs = false
		c.turn.send(c, protocol.NoJob, nil, false)
	}
	c.turn.apply(&queue.Leave{Peer: c.id})
	delete(c.turn.peers, c.id)
	c.turn.dropHeld(c)
	c.turn.end()
	c.server.limits.memory.Add(-int64(c.charged))
	c.out.flush()
	if c.out.unsent() {
		c.mayWait()
		c.out.wait(lastWords)
	}
	c.close()
	c.out.close()
	c.server.forget(c)
}

// close closes the connection. Others than who serves it close conn, which makes it end.
func (c *conn) close() {
	if c.socket != nil {
		c.socket.Release()
		return
	}
	c.conn.Close()
}

// count changes the counters from outside a turn.
func (c *conn) count(f func(*Counters)) {
	c.server.core.mu.Lock()
	defer c.server.core.mu.Unlock()
	f(&c.server.core.counts)
}

// name is the peer as it stands in the log.
func (c *conn) name() string { return c.conn.RemoteAddr().String() }
