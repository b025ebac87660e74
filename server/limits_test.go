package server_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/geartrain/geartrain/gearman/protocol"
	"github.com/geartrain/geartrain/server"
	"github.com/geartrain/geartrain/server/servertest"
)

// lineLog is a log that counts its lines.
type lineLog struct {
	mu   sync.Mutex // guards text
	text bytes.Buffer
}

func (l *lineLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *lineLog) lines() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Split(strings.TrimSuffix(l.text.String(), "\n"), "\n")
}

func (l *lineLog) logger() *slog.Logger { return slog.New(slog.NewTextHandler(l, nil)) }

// Hostile peers cause some lines, not one each, and none of their bytes is raw in it.
func TestLogLinesAboutPeersAreLimited(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var log lineLog
		s := servertest.Pipe(t, func(c *server.Config) { c.Logger = log.logger() })
		hostile := func() {
			p := dial(t, s)
			p.raw([]byte("\x00\x1b[31m\nlevel=ERROR msg=forged"))
			p.expect(protocol.Error, protocol.CodeInvalidMagic)
			p.Close()
		}
		for range 500 {
			hostile()
		}
		synctest.Wait()
		require.LessOrEqual(t, len(log.lines()), 25)
		time.Sleep(time.Minute)
		hostile()
		synctest.Wait()
		lines := log.lines()
		require.Regexp(t, `left_out=4[789]\d$`, lines[len(lines)-1])
		for _, line := range lines {
			require.NotContains(t, line, "\x1b")
			require.True(t, strings.HasPrefix(line, "time="), line)
		}
	})
}

// stuckHandler is a log that nobody reads until the gate is opened.
type stuckHandler struct {
	slog.Handler
	gate <-chan struct{}
}

func (h stuckHandler) Handle(ctx context.Context, r slog.Record) error {
	<-h.gate
	return h.Handler.Handle(ctx, r)
}

func TestNobodyWaitsForTheLog(t *testing.T) {
	t.Parallel()
	gate := make(chan struct{})
	s := servertest.Start(t, func(c *server.Config) { c.Logger = slog.New(stuckHandler{slog.DiscardHandler, gate}) })
	defer close(gate)
	bystander := dial(t, s)
	for range 30 {
		hostile := dial(t, s)
		hostile.raw([]byte("\x00BAD"))
		hostile.expect(protocol.Error)
		hostile.Close()
		bystander.echo()
	}
}

// What a log did not take is counted, and told when it takes lines again.
func TestStuckLogLosesNoCount(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var log lineLog
		gate := make(chan struct{})
		s := servertest.Pipe(t, func(c *server.Config) { c.Logger = slog.New(stuckHandler{log.logger().Handler(), gate}) })
		hostile := func() {
			p := dial(t, s)
			p.raw([]byte("\x00BAD"))
			p.expect(protocol.Error)
			p.Close()
			synctest.Wait()
		}
		for range 500 {
			time.Sleep(100 * time.Millisecond)
			hostile()
		}
		close(gate)
		time.Sleep(time.Minute)
		hostile()
		told := 0
		for _, line := range log.lines() {
			told++
			if _, n, ok := strings.Cut(line, "left_out="); ok {
				left, err := strconv.Atoi(n)
				require.NoError(t, err)
				told += left
			}
		}
		require.Less(t, len(log.lines()), 30)
		require.Equal(t, 501, told)
	})
}

// fussyListener fails with EMFILE for some times before each connection.
type fussyListener struct {
	net.Listener
	fails chan struct{}
}

func (l *fussyListener) Accept() (net.Conn, error) {
	select {
	case <-l.fails:
		return nil, &net.OpError{Op: "accept", Net: "tcp", Err: syscall.EMFILE}
	default:
		return l.Listener.Accept()
	}
}

func TestWithoutDescriptorsAcceptingPauses(t *testing.T) {
	t.Parallel()
	var log lineLog
	s, err := server.New(server.Config{Logger: log.logger()})
	require.NoError(t, err)
	lns, err := s.Listen(t.Context(), "127.0.0.1:0")
	require.NoError(t, err)
	fussy := &fussyListener{Listener: lns[0], fails: make(chan struct{}, 5)}
	for range cap(fussy.fails) {
		fussy.fails <- struct{}{}
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	start := time.Now()
	go func() { done <- s.Serve(ctx, fussy) }()
	c, err := net.Dial("tcp", lns[0].Addr().String())
	require.NoError(t, err)
	defer c.Close()
	p := &peer{Conn: c, t: t, reader: protocol.NewReader(c, protocol.Limits{MaxLine: -1})}
	p.echo()
	require.GreaterOrEqual(t, time.Since(start), (5+10+20+40+80)*time.Millisecond, "each pause is twice as long as the one before")
	require.EqualValues(t, 5, s.Snapshot().Counters.AcceptErrors)
	cancel()
	require.NoError(t, <-done)
	require.Contains(t, log.lines()[0], "trying again")
}

// brokenHandler panics when it is asked for a level.
type brokenHandler struct {
	slog.Handler
	level slog.Level
}

func (h brokenHandler) Enabled(_ context.Context, l slog.Level) bool {
	if l == h.level {
		panic("no level")
	}
	return true
}

// A mistake of ours costs the connection it happens on. Logging is where a test can make one.
func TestPanicCostsOneConnection(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		handler brokenHandler
		send    string
	}{
		"inside a turn":  {brokenHandler{slog.DiscardHandler, slog.LevelDebug}, "verbose\n"},
		"outside of one": {brokenHandler{slog.DiscardHandler, slog.LevelWarn}, "\x00BAD"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := servertest.Start(t, func(cfg *server.Config) { cfg.Logger = slog.New(c.handler) })
			p, bystander := dial(t, s), dial(t, s)
			p.raw([]byte(c.send))
			_, err := io.Copy(io.Discard, p) // maybe ERROR, then the end
			require.NoError(t, err)
			bystander.echo()
			require.Eventually(t, func() bool { return s.Snapshot().Connections == 1 }, patience, 1e6)
			require.EqualValues(t, 1, s.Snapshot().Counters.Panics)
		})
	}
}

// The queue's limits are tested where they are; here only that a peer hears of them.
func TestQueueLimitsReachThePeer(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t, func(c *server.Config) {
		c.Queue.MaxHandles, c.Queue.MaxFunctionName, c.Queue.MaxAbilities = 2, 8, 1
	})
	p := dial(t, s)
	p.submit("f", "", "1")
	p.submit("f", "", "2")
	for _, c := range []struct {
		send []byte
		code string
	}{
		{packet(protocol.SubmitJob, "f", "", "3"), protocol.CodeLimit},
		{packet(protocol.SubmitJobBg, "", "", "x"), protocol.CodeInvalidPacket},
		{packet(protocol.SubmitJobBg, "ninebytes", "", "x"), protocol.CodeArgumentTooLarge},
		{packet(protocol.CanDo, ""), protocol.CodeInvalidPacket},
	} {
		p.raw(c.send)
		p.expect(protocol.Error, c.code)
	}
	p.send(protocol.CanDo, "g")
	p.send(protocol.CanDo, "h")
	p.expect(protocol.Error, protocol.CodeLimit)
	p.send(protocol.SubmitJobBg, "f", "", "3")
	p.expect(protocol.JobCreated)
}

// Listings of many lines come in pages; while the peer does not read, others are served.
func TestLongListingsHoldNobodyUp(t *testing.T) {
	t.Parallel()
	const jobs = 20_000
	s := servertest.Start(t)
	flood, watch, bystander := dial(t, s), dial(t, s), dial(t, s)
	var all []byte
	for i := range jobs {
		all = append(all, packet(protocol.SubmitJobBg, fmt.Sprintf("f-%05d", i), strings.Repeat("u", 100)+fmt.Sprint(i), "x")...)
	}
	go flood.Write(all)
	for range jobs {
		flood.expect(protocol.JobCreated)
	}
	for _, command := range []string{"status", "prioritystatus", "show jobs", "show unique jobs"} {
		watch.raw([]byte(command + "\n"))
		for range 100 {
			bystander.echo()
		}
		seen := map[string]bool{}
		last := ""
		for line := range strings.Lines(watch.bulk()) {
			if command == "status" || command == "prioritystatus" {
				require.Less(t, last, line)
			}
			seen[line], last = true, line
		}
		require.Len(t, seen, jobs, command)
	}
	watch.raw([]byte("workers\n"))
	require.Equal(t, 3, strings.Count(watch.bulk(), "\n"))
}

// bulk reads a listing quickly, without its last line.
func (p *peer) bulk() string {
	p.t.Helper()
	require.NoError(p.t, p.SetReadDeadline(time.Now().Add(patience)))
	var b bytes.Buffer
	buf := make([]byte, 64<<10)
	for !bytes.HasSuffix(b.Bytes(), []byte("\n.\n")) && b.String() != ".\n" {
		n, err := p.Read(buf)
		require.NoError(p.t, err)
		b.Write(buf[:n])
	}
	return strings.TrimSuffix(b.String(), ".\n")
}

// A peer that asks for a long listing and does not read it loses its connection.
func TestUnreadListingEnds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := servertest.Pipe(t)
		p, watch := dial(t, s), dial(t, s)
		for i := range 3000 {
			p.send(protocol.SubmitJobBg, "f", strings.Repeat("u", 200)+fmt.Sprint(i), "x")
			p.expect(protocol.JobCreated)
		}
		watch.raw([]byte("show unique jobs\n"))
		time.Sleep(29 * time.Second)
		require.Equal(t, 2, s.Snapshot().Connections)
		p.echo()
		time.Sleep(10 * time.Second)
		require.Equal(t, 1, s.Snapshot().Connections)
		require.EqualValues(t, 1, s.Snapshot().Counters.SlowPeers)
	})
}

// printf 'show jobs\n' | nc
func TestHalfClosedPeersGetLongListings(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t)
	p := dial(t, s)
	for range 5000 {
		p.send(protocol.SubmitJobBg, "f", "", "x")
		p.expect(protocol.JobCreated)
	}
	nc := dial(t, s)
	nc.raw([]byte("show jobs\nstatus\n"))
	require.NoError(t, nc.Conn.(*net.TCPConn).CloseWrite())
	text, err := io.ReadAll(nc)
	require.NoError(t, err)
	require.Equal(t, 5000, strings.Count(string(text), "H:test:"))
	require.True(t, strings.HasSuffix(string(text), "\n.\nf\t5000\t0\t0\n.\n"))
}
