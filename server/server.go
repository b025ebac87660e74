package server

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"math/rand/v2"
	"net"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/geartrain/geartrain/server/poll"
	"github.com/geartrain/geartrain/server/queue"
)

// ErrClosed is returned when the server has been closed or is ending.
var ErrClosed = errors.New("server: closed")

// Server is a Gearman job server. Its methods are safe for concurrent use.
type Server struct {
	cfg     Config
	started time.Time
	core    *core
	limits  *limits
	peers   *peerLog
	group   sync.WaitGroup // every goroutine of the server but the committer's and the log's
	closed  chan struct{}  // closed by Close
	asked   chan struct{}  // closed by the admin command "shutdown"
	failed  chan error     // a listener that cannot go on
	poller  *poll.Poller   // nil: every connection has a goroutine

	mu        sync.Mutex // guards the following
	phase     phase
	listeners []net.Listener
	conns     map[*conn]struct{}
	stopOnce  struct{ closed, asked bool }
}

// phase is where a server is in its life; it only grows.
type phase uint8

const (
	ready    phase = iota // made, and not served yet
	serving               // takes connections
	draining              // takes no connections, finishes what runs
	ended
)

// New makes a server. It opens nothing; see [Server.Listen] and [Server.Serve].
func New(cfg Config) (*Server, error) {
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	cfg = cfg.withDefaults()
	if cfg.Queue.HandlePrefix == "" {
		cfg.Queue.HandlePrefix = handlePrefix()
	}
	cfg.Queue.Durable = cfg.Store != nil
	cfg.Queue.KeepBody = cmp.Or(cfg.Queue.KeepBody, defaultKeepBody)
	cfg.Queue.FirstSerial = cmp.Or(cfg.Queue.FirstSerial, uint64(time.Now().UnixMicro()))
	cfg.Queue.Seed = cmp.Or(cfg.Queue.Seed, rand.Uint64())
	s := &Server{
		cfg:     cfg,
		started: time.Now(),
		core:    newCore(&cfg),
		peers:   newPeerLog(cfg.Logger),
		closed:  make(chan struct{}),
		asked:   make(chan struct{}),
		failed:  make(chan error, 1),
		conns:   make(map[*conn]struct{}),
	}
	s.limits = newLimits(&s.cfg, &s.core.held)
	return s, nil
}

// handlePrefix is gearmand's: handles of several servers are told apart by their hosts' names.
func handlePrefix() string {
	host, err := os.Hostname()
	if err != nil || host == "" {
		host = "geartrain"
	}
	return "H:" + host + ":"
}

// Serve takes connections from the listeners until ctx ends, then drains: no new connections, no new
// jobs, running foreground jobs are delivered for up to [Config].DrainTimeout. It closes the listeners
// and all connections and returns nil when every goroutine of the server is gone. After [Server.Close]
// it returns ErrClosed, and when a listener breaks or the store cannot be loaded, that error. It can be called once. Without
// listeners it serves the connections of [Server.ServeConn].
func (s *Server) Serve(ctx context.Context, lns ...net.Listener) error {
	if err := s.start(lns); err != nil {
		closeAll(lns)
		return err
	}
	timerCtx, stopTimer := context.WithCancel(context.WithoutCancel(ctx))
	s.group.Go(func() { s.core.runTimer(timerCtx) })
	s.group.Go(func() { s.shed(timerCtx) })
	s.group.Go(func() { s.load(timerCtx) })
	stopCommitter, stopLog := s.startCommitter(), s.peers.start()
	s.startPoller()
	for _, ln := range lns {
		s.group.Go(func() { s.accept(ln) })
	}
	var err error
	select {
	case <-ctx.Done():
		s.drain(ctx)
	case <-s.asked:
		s.drain(ctx)
	case <-s.closed:
		err = ErrClosed
	case err = <-s.failed:
	case err = <-s.storeFailure():
	}
	s.stop()
	stopTimer()
	s.stopPoller()
	s.group.Wait()
	stopCommitter()
	stopLog()
	return err
}

// ServeConn serves one connection, a [net.Pipe]'s end or one accepted elsewhere, until it ends or ctx
// does, and closes it. Serve must be running: it lets time pass.
func (s *Server) ServeConn(ctx context.Context, nc net.Conn) error {
	c, err := s.admit(nc, nil)
	if err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, func() { nc.Close() })
	defer stop()
	defer s.group.Done()
	c.serve()
	return nil
}

// Close ends the server at once: what runs is lost to its clients. [Server.Serve] returns when all
// is gone. It may be called at any time and more than once.
func (s *Server) Close() error {
	s.mu.Lock()
	if !s.stopOnce.closed {
		s.stopOnce.closed = true
		close(s.closed)
	}
	s.mu.Unlock()
	s.stop()
	return nil
}

// Shutdown asks for the graceful end, as the end of Serve's context does. It does not wait for it.
func (s *Server) Shutdown() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.stopOnce.asked {
		s.stopOnce.asked = true
		close(s.asked)
	}
}

func (s *Server) start(lns []net.Listener) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.phase != ready {
		return ErrClosed
	}
	s.phase = serving
	s.listeners = lns
	return nil
}

// stop closes everything that is open.
func (s *Server) stop() {
	s.mu.Lock()
	s.phase = ended
	lns := s.listeners
	s.listeners = nil
	s.mu.Unlock()
	closeAll(lns)
	for _, c := range s.open() {
		c.conn.Close()
		c.out.close()
	}
}

// open are the connections of this moment.
func (s *Server) open() []*conn {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Collect(maps.Keys(s.conns))
}

// admit makes a connection known to the server and its queue, or closes it with ERROR. The caller
// serves it, and ends with group.Done. adopt, if it is not nil, may replace it by another.
func (s *Server) admit(nc net.Conn, adopt func(net.Conn) net.Conn) (*conn, error) {
	address := addressOf(nc)
	if err := s.limits.admit(address); err != nil {
		s.refuse(nc, err)
		return nil, err
	}
	if adopt != nil {
		nc = adopt(nc)
	}
	c := newConn(s, nc, address)
	s.mu.Lock()
	if s.phase != serving {
		s.mu.Unlock()
		s.limits.dismiss(address)
		c.close()
		return nil, ErrClosed
	}
	s.conns[c] = struct{}{}
	s.group.Add(1)
	s.mu.Unlock()

	t := &c.turn
	t.begin()
	t.last++
	c.id = t.last
	t.peers[c.id] = c
	t.counts.Connections++
	t.apply(&queue.Join{Peer: c.id, Address: hostOf(nc)})
	t.end()
	return c, nil
}

// refuse tells a peer why it is not served.
func (s *Server) refuse(nc net.Conn, reason error) {
	s.core.mu.Lock()
	s.core.counts.RefusedLimit++
	s.core.mu.Unlock()
	s.peers.warn("connection refused", "peer", nc.RemoteAddr().String(), "reason", reason)
	if nc.SetWriteDeadline(time.Now().Add(lingerTime)) == nil {
		_, _ = nc.Write(tooMany(reason)) // a peer that does not hear it sees the end of the connection
	}
	nc.Close()
}

// forget is the end of admit.
func (s *Server) forget(c *conn) {
	s.mu.Lock()
	delete(s.conns, c)
	s.mu.Unlock()
	s.limits.dismiss(c.address)
}

// spawn starts a goroutine that Serve waits for.
func (s *Server) spawn(f func()) { s.group.Go(f) }

func closeAll(lns []net.Listener) {
	for _, ln := range lns {
		ln.Close()
	}
}

// hostOf is the peer's address as gearmand lists it: without the port.
func hostOf(nc net.Conn) string {
	if a := addressOf(nc); a.IsValid() {
		return a.String()
	}
	return nc.RemoteAddr().Network()
}
