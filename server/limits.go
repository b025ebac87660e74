package server

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"

	"github.com/geartrain/geartrain/gearman/protocol"
)

// chargeStep is the grain of the memory budget: what a connection at rest needs is not counted, and
// neither is what comes and goes within one turn.
const chargeStep = 8 << 10

// limits are the bounds that connections share.
type limits struct {
	cfg    *Config
	memory atomic.Int64  // bytes in readers' buffers and outboxes
	jobs   *atomic.Int64 // bytes in the queue
	short  chan struct{} // the budget is used up
	pool   sync.Pool     // chunks of smallChunk bytes

	mu        sync.Mutex         // guards the following
	open      int                // connections
	addresses map[netip.Addr]int // connections of each; kept only if there is a limit
}

func newLimits(cfg *Config, jobs *atomic.Int64) *limits {
	l := &limits{cfg: cfg, jobs: jobs, short: make(chan struct{}, 1), addresses: make(map[netip.Addr]int)}
	l.pool.New = func() any { return new([smallChunk]byte) }
	return l
}

// outbox is the bound of one peer's outbox now.
func (l *limits) outbox() int {
	if l.over(budgetPackets, 0) {
		return l.cfg.MaxOutbox / 64
	}
	return l.cfg.MaxOutbox
}

// chunk is memory for the packets of one turn; [limits.release] takes it back.
func (l *limits) chunk() []byte { return l.pool.Get().(*[smallChunk]byte)[:0] }

// release is for chunks that nobody refers to any more, whatever their size now.
func (l *limits) release(b []byte) {
	if cap(b) == smallChunk {
		l.pool.Put((*[smallChunk]byte)(b[:smallChunk]))
	}
}

// admit counts a connection, or says which limit is in its way.
func (l *limits) admit(addr netip.Addr) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if m := l.cfg.MaxConnections; m > 0 && l.open >= m {
		return fmt.Errorf("server: %d connections are open, which is the limit", l.open)
	}
	if m := l.cfg.MaxConnectionsPerAddress; m > 0 && addr.IsValid() {
		if l.addresses[addr] >= m {
			return fmt.Errorf("server: %d connections of this address are open, which is the limit", m)
		}
		l.addresses[addr]++
	}
	l.open++
	return nil
}

// dismiss undoes admit.
func (l *limits) dismiss(addr netip.Addr) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.open--
	if l.addresses[addr]--; l.addresses[addr] <= 0 {
		delete(l.addresses, addr)
	}
}

// addressOf is the peer's IP address, invalid if it has none.
func addressOf(c net.Conn) netip.Addr {
	if a, ok := c.RemoteAddr().(*net.TCPAddr); ok {
		return a.AddrPort().Addr().Unmap()
	}
	return netip.Addr{}
}

// peerLog writes lines that peers cause, at most some in a second, so that a hostile one cannot
// flood the log. The number of lines left out is told with the next one. They are written by a goroutine
// of their own: who serves peers does not wait for a log that nobody reads.
type peerLog struct {
	log   *slog.Logger
	rate  *rate.Limiter
	left  atomic.Int64
	lines chan peerLine
}

// peerLine is a line to be written.
type peerLine struct {
	msg  string
	args []any
}

const logBurst = 20 // lines

func newPeerLog(l *slog.Logger) *peerLog {
	return &peerLog{log: l, rate: rate.NewLimiter(5, logBurst), lines: make(chan peerLine, logBurst)}
}

func (p *peerLog) warn(msg string, args ...any) {
	if !p.log.Enabled(context.Background(), slog.LevelWarn) {
		return
	}
	if !p.rate.Allow() {
		p.left.Add(1)
		return
	}
	n := p.left.Swap(0)
	if n > 0 {
		args = append(args, "left_out", n)
	}
	select {
	case p.lines <- peerLine{msg, args}:
	default: // the log takes nothing
		p.left.Add(n + 1)
	}
}

// start begins to write, and returns what ends it, with the last line written if the log takes it.
func (p *peerLog) start() (stop func()) {
	ended, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		p.write(ended)
	}()
	return func() {
		close(ended)
		t := time.NewTimer(lastWords)
		defer t.Stop()
		select {
		case <-done:
		case <-t.C:
		}
	}
}

// write writes until the end, and then what is there.
func (p *peerLog) write(ended <-chan struct{}) {
	for {
		select {
		case l := <-p.lines:
			p.log.Warn(l.msg, l.args...)
		case <-ended:
			for len(p.lines) > 0 {
				l := <-p.lines
				p.log.Warn(l.msg, l.args...)
			}
			return
		}
	}
}

// tooMany is what a peer is told that is over a limit of connections.
func tooMany(err error) []byte {
	return protocol.AppendPacket(nil, protocol.Response, protocol.Error,
		[]byte(protocol.CodeLimit), []byte(err.Error()))
}
