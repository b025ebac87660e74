// Package servertest gives tests a real job server: over TCP with [Start], and over [net.Pipe] with
// [Pipe], so that testing/synctest controls its time.
package servertest

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"sync"
	"testing"

	"github.com/geartrain/geartrain/server"
)

// Server is a running server. It ends, without a drain, with the test that started it.
type Server struct {
	*server.Server
	Addr string // host:port; of a Pipe a name that only its Dial knows

	dial func(ctx context.Context) (net.Conn, error)
	end  context.CancelFunc
	done chan struct{}
	err  error // of Serve; read it after done
}

// Option changes the configuration of a server before it is made.
type Option func(*server.Config)

// Start runs a server on a free port of the loopback interface.
func Start(t testing.TB, options ...Option) *Server {
	t.Helper()
	s := newServer(t, options)
	lns, err := s.Listen(t.Context(), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.Addr = lns[0].Addr().String()
	s.dial = func(ctx context.Context) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "tcp", s.Addr)
	}
	s.serve(t, lns[0])
	return s
}

// Pipe runs a server without a network. Inside a bubble of testing/synctest all its time is the
// bubble's.
func Pipe(t testing.TB, options ...Option) *Server {
	t.Helper()
	s := newServer(t, options)
	ln := &pipeListener{conns: make(chan net.Conn), closed: make(chan struct{})}
	s.Addr = ln.Addr().String()
	s.dial = ln.dial
	s.serve(t, ln)
	return s
}

// Dial connects to the server, whatever network and address say; it fits where a client's
// configuration asks for a dial function. The caller closes the connection.
func (s *Server) Dial(ctx context.Context, network, addr string) (net.Conn, error) {
	return s.dial(ctx)
}

// Drain begins the graceful end and waits for it. It returns the error of Serve.
func (s *Server) Drain() error {
	s.end()
	<-s.done
	return s.err
}

func newServer(t testing.TB, options []Option) *Server {
	t.Helper()
	cfg := server.Config{Logger: slog.New(slog.DiscardHandler)}
	cfg.Queue.HandlePrefix = "H:test:"
	for _, o := range options {
		o(&cfg)
	}
	s, err := server.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return &Server{Server: s, done: make(chan struct{})}
}

// serve runs the server until the test is over.
func (s *Server) serve(t testing.TB, ln net.Listener) {
	ctx, cancel := context.WithCancel(context.Background())
	s.end = cancel
	go func() {
		defer close(s.done)
		s.err = s.Serve(ctx, ln)
	}()
	t.Cleanup(func() {
		s.Close()
		cancel()
		<-s.done
		if s.err != nil && !errors.Is(s.err, server.ErrClosed) {
			t.Errorf("serve: %v", s.err)
		}
	})
}

// pipeListener hands out the far ends of pipes.
type pipeListener struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func (l *pipeListener) dial(ctx context.Context) (net.Conn, error) {
	near, far := net.Pipe()
	select {
	case l.conns <- far:
		return near, nil
	case <-l.closed:
		return nil, &net.OpError{Op: "dial", Net: "pipe", Addr: l.Addr(), Err: net.ErrClosed}
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

func (l *pipeListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *pipeListener) Close() error {
	l.once.Do(func() { close(l.closed) })
	return nil
}

func (l *pipeListener) Addr() net.Addr { return pipeAddr{} }

// pipeAddr is the address of every pipe.
type pipeAddr struct{}

func (pipeAddr) Network() string { return "pipe" }
func (pipeAddr) String() string  { return "pipe" }
