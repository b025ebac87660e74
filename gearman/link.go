package gearman

import (
	"context"
	"fmt"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/geartrain/geartrain/gearman/protocol"
)

const (
	defaultPort        = "4730"
	defaultServer      = "localhost:" + defaultPort
	defaultDialTimeout = 5 * time.Second

	maxUnsent = 1 << 20   // bytes that may wait in a link before its senders wait too
	maxSpare  = 256 << 10 // bytes of write buffer that a link keeps for the next packets
)

// dialFunc opens a connection, as [net.Dialer.DialContext] does.
type dialFunc = func(ctx context.Context, network, address string) (net.Conn, error)

// dialing is how links are opened; the same for a client's and a worker's.
type dialing struct {
	dial      dialFunc      // nil: net.Dialer
	timeout   time.Duration // 0: defaultDialTimeout
	maxPacket int           // 0: protocol.DefaultMaxPacket
}

// open connects to server, in any form that serverAddress reads. The error names the server.
func (d dialing) open(ctx context.Context, server string) (*link, error) {
	network, address, err := serverAddress(server)
	if err != nil {
		return nil, err
	}
	timeout := d.timeout
	if timeout <= 0 {
		timeout = defaultDialTimeout
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	dial := d.dial
	if dial == nil {
		dial = new(net.Dialer).DialContext
	}
	conn, err := dial(ctx, network, address)
	if err != nil {
		return nil, fmt.Errorf("connect to %s: %w", server, err)
	}
	return newLink(conn, d.maxPacket), nil
}

// serverAddress splits what a user writes for a server: host, host:port, [v6], [v6]:port, a bare v6
// address, or unix:/path. Without a host it is localhost, without a port 4730.
func serverAddress(server string) (network, address string, err error) {
	if path, ok := strings.CutPrefix(server, "unix:"); ok {
		if path == "" {
			return "", "", fmt.Errorf("gearman: server %q: no path follows unix: in it", server)
		}
		return "unix", path, nil
	}
	host, port, err := net.SplitHostPort(server)
	if err != nil {
		bare := strings.TrimSuffix(strings.TrimPrefix(server, "["), "]")
		if strings.Contains(bare, ":") && net.ParseIP(bare) == nil || strings.ContainsAny(bare, "[]") {
			return "", "", fmt.Errorf("gearman: server %q: want host, host:port, [v6]:port or unix:/path", server)
		}
		host, port = bare, defaultPort
	}
	if strings.ContainsAny(host+port, "/ ") {
		return "", "", fmt.Errorf("gearman: server %q: want host, host:port, [v6]:port or unix:/path", server)
	}
	if host == "" {
		host = "localhost"
	}
	if port == "" {
		port = defaultPort
	}
	return "tcp", net.JoinHostPort(host, port), nil
}

// link is one connection to a job server. Any goroutine may send; one reads. What is sent while a
// write is going on leaves together in the next one.
//
//	post ──► out ──► writer goroutine ──► conn          conn ──► in ──► its one reader
//
// The link ends with the first error of either side, or with close; the other side then ends too.
type link struct {
	conn net.Conn
	in   *protocol.Reader // for the one goroutine that reads

	wake    chan struct{} // tells the writer that there is something in out, or that the link ended
	stopped chan struct{} // closed when the writer is gone

	mu      sync.Mutex    // guards the fields below; not held over I/O
	out     []byte        // posted and not yet taken by the writer
	writing bool          // the writer has taken bytes that are not written yet
	turn    chan struct{} // closed when the writer took or wrote something; nil: nobody waits for that
	err     error         // why the link ended; nil while it lives
	grabs   grabbing      // of a worker
}

// newLink takes conn over and starts its writer, which close waits for.
func newLink(conn net.Conn, maxPacket int) *link {
	l := &link{
		conn:    conn,
		in:      protocol.NewReader(conn, protocol.Limits{MaxPacket: maxPacket, MaxLine: -1}),
		wake:    make(chan struct{}, 1),
		stopped: make(chan struct{}),
	}
	go l.write()
	return l
}

// send waits until less than about 1 MiB is unsent and then posts. The one goroutine that reads must
// not call it: the server may be waiting for it to read.
func (l *link) send(ctx context.Context, appendTo func(dst []byte) []byte) error {
	if err := l.room(ctx); err != nil {
		return err
	}
	return l.post(appendTo)
}

// post hands packets to the writer and does not wait. appendTo appends them to dst and returns the
// result; it is called once, under the link's lock. The error says why the link has ended; nil does
// not mean that the server got the packets.
func (l *link) post(appendTo func(dst []byte) []byte) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err != nil {
		return l.err
	}
	l.out = appendTo(l.out)
	select {
	case l.wake <- struct{}{}:
	default:
	}
	return nil
}

// room waits until less than about 1 MiB is unsent.
func (l *link) room(ctx context.Context) error {
	return l.await(ctx, func() bool { return len(l.out) <= maxUnsent })
}

// flush waits until all that was posted before is written.
func (l *link) flush(ctx context.Context) error {
	return l.await(ctx, func() bool { return len(l.out) == 0 && !l.writing })
}

// await waits until ok, which is called under the lock, or until ctx or the link ends.
func (l *link) await(ctx context.Context, ok func() bool) error {
	for {
		l.mu.Lock()
		if l.err != nil || ok() {
			defer l.mu.Unlock()
			return l.err
		}
		if l.turn == nil {
			l.turn = make(chan struct{})
		}
		turn := l.turn
		l.mu.Unlock()
		select {
		case <-turn:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// close ends the link with err as the reason, unless it has one already, waits for the writer and
// returns the reason. What was not written is lost.
func (l *link) close(err error) error {
	l.end(err)
	<-l.stopped
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.err
}

func (l *link) end(err error) {
	l.mu.Lock()
	if l.err == nil {
		l.err = err
		l.out = nil
		l.tookTurn()
	}
	l.mu.Unlock()
	l.conn.Close() // its error says nothing that the link's own does not
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// write is the writer: it takes all that is posted, writes it in one call, and begins anew.
func (l *link) write() {
	defer close(l.stopped)
	var taken []byte
	for range l.wake {
		for {
			var err error
			if taken, err = l.take(taken); err != nil {
				return
			}
			if len(taken) == 0 {
				break
			}
			if _, err := l.conn.Write(taken); err != nil {
				l.end(err)
				return
			}
		}
	}
}

// take swaps what is posted for the buffer that the writer has done with.
func (l *link) take(spare []byte) ([]byte, error) {
	if cap(spare) > maxSpare {
		spare = nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	taken := l.out
	l.out = spare[:0]
	l.writing = len(taken) > 0
	l.tookTurn()
	return taken, l.err
}

// tookTurn wakes who waits for the writer. The caller holds the lock.
func (l *link) tookTurn() {
	if l.turn != nil {
		close(l.turn)
		l.turn = nil
	}
}
