package server_test

import (
	"bytes"
	"context"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/geartrain/geartrain/gearman/protocol"
	"github.com/geartrain/geartrain/server"
	"github.com/geartrain/geartrain/server/servertest"
)

func TestForegroundJob(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t)
	worker, client := dial(t, s), dial(t, s)
	worker.send(protocol.CanDo, "reverse")
	worker.send(protocol.PreSleep)
	worker.echo()

	h := client.submit("reverse", "key", "abc")
	worker.expect(protocol.Noop)
	worker.send(protocol.GrabJobUniq)
	worker.expect(protocol.JobAssignUniq, h, "reverse", "key", "abc")
	worker.send(protocol.WorkData, h, "part")
	worker.send(protocol.WorkStatus, h, "1", "2")
	worker.send(protocol.WorkComplete, h, "cba")
	client.expect(protocol.WorkData, h, "part")
	client.expect(protocol.WorkStatus, h, "1", "2")
	client.expect(protocol.WorkComplete, h, "cba")
	worker.send(protocol.GrabJob)
	worker.expect(protocol.NoJob)

	n := s.Snapshot()
	require.EqualValues(t, 1, n.Queue.Completed)
	require.EqualValues(t, 1, n.Counters.PacketsIn.Of(protocol.SubmitJob))
	require.EqualValues(t, 1, n.Counters.PacketsOut.Of(protocol.WorkComplete))
	require.Equal(t, 2, n.Connections)
}

func TestSubmissions(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		typ        protocol.Type
		args       []string
		background bool
		line       string // of prioritystatus
	}{
		{protocol.SubmitJob, []string{"f", "", "x"}, false, "f\t0\t1\t0\t0\n"},
		{protocol.SubmitJobHigh, []string{"f", "", "x"}, false, "f\t1\t0\t0\t0\n"},
		{protocol.SubmitJobLow, []string{"f", "", "x"}, false, "f\t0\t0\t1\t0\n"},
		{protocol.SubmitJobBg, []string{"f", "", "x"}, true, "f\t0\t1\t0\t0\n"},
		{protocol.SubmitJobHighBg, []string{"f", "", "x"}, true, "f\t1\t0\t0\t0\n"},
		{protocol.SubmitJobLowBg, []string{"f", "", "x"}, true, "f\t0\t0\t1\t0\n"},
		{protocol.SubmitJobEpoch, []string{"f", "", "1", "x"}, true, "f\t0\t1\t0\t0\n"},
		{protocol.SubmitReduceJob, []string{"f", "", "r", "", "x"}, false, "f\t0\t1\t0\t0\n"},
		{protocol.SubmitReduceJob, []string{"f", "", "r", "x"}, false, "f\t0\t1\t0\t0\n"},
		{protocol.SubmitReduceJobBg, []string{"f", "", "r", "", "x"}, true, "f\t0\t1\t0\t0\n"},
	} {
		t.Run(c.typ.String(), func(t *testing.T) {
			t.Parallel()
			s := servertest.Start(t)
			client, watch := dial(t, s), dial(t, s)
			client.send(c.typ, c.args...)
			client.expect(protocol.JobCreated)
			require.Equal(t, c.line+".\n", watch.admin("prioritystatus"))

			client.Close()
			want := ".\n"
			if c.background {
				want = "f\t1\t0\t0\n.\n"
			}
			require.Eventually(t, func() bool { return s.Snapshot().Connections == 1 }, patience, 1e6)
			got := watch.admin("status")
			require.Equal(t, want, strings.Replace(got, "f\t0\t0\t0\n", "", 1))
		})
	}
}

func TestReducerReachesWorker(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t)
	worker, client := dial(t, s), dial(t, s)
	worker.send(protocol.CanDo, "f")
	worker.echo()
	client.send(protocol.SubmitReduceJob, "f", "u", "reduce", "data")
	h := client.expect(protocol.JobCreated)[0]
	worker.send(protocol.GrabJobAll)
	worker.expect(protocol.JobAssignAll, h, "f", "u", "reduce", "data")
}

func TestErrorsLeaveTheConnectionOpen(t *testing.T) {
	t.Parallel()
	response := packet(protocol.EchoReq, "x")
	copy(response, protocol.AppendHeader(nil, protocol.Response, 0, 0)[:4])
	for name, c := range map[string]struct {
		send []byte
		code string
	}{
		"unknown type":           {packet(99, "x"), protocol.CodeInvalidCommand},
		"reserved type":          {packet(5), protocol.CodeInvalidCommand},
		"packet of the server":   {packet(protocol.JobCreated, "x"), protocol.CodeInvalidCommand},
		"cancel from a peer":     {packet(protocol.JobCancel, "x", "y"), protocol.CodeInvalidCommand},
		"schedule":               {packet(protocol.SubmitJobSched, "1", "2", "3", "4", "5", "6", "7", "8"), protocol.CodeInvalidCommand},
		"too few arguments":      {packet(protocol.SubmitJob, "f"), protocol.CodeInvalidPacket},
		"timeout is no number":   {packet(protocol.CanDoTimeout, "f", "soon"), protocol.CodeInvalidPacket},
		"time is no number":      {packet(protocol.SubmitJobEpoch, "f", "", "soon", "x"), protocol.CodeInvalidPacket},
		"unknown option":         {packet(protocol.OptionReq, "speed"), protocol.CodeUnknownOption},
		"magic of the responses": {response, protocol.CodeInvalidMagic},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := dial(t, servertest.Start(t))
			p.raw(append(bytes.Clone(c.send), packet(protocol.EchoReq, "still here")...))
			p.expect(protocol.Error, c.code)
			p.expect(protocol.EchoRes, "still here")
		})
	}
}

func TestBrokenStreamsEnd(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		send []byte
		code string
	}{
		"bad magic":          {[]byte("\x00BAD12345678"), protocol.CodeInvalidMagic},
		"bad magic, early":   {[]byte("\x00X"), protocol.CodeInvalidMagic},
		"claim of 4 GiB":     {protocol.AppendHeader(nil, protocol.Request, protocol.EchoReq, 1<<32-1), protocol.CodePacketTooLarge},
		"more than is left":  {append(protocol.AppendHeader(nil, protocol.Request, protocol.EchoReq, 1<<30), make([]byte, 1<<20)...), protocol.CodePacketTooLarge},
		"magic after a good": {append(packet(protocol.AllYours), "\x00BAD"...), protocol.CodeInvalidMagic},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := servertest.Start(t)
			p := dial(t, s)
			p.raw(c.send)
			p.expect(protocol.Error, c.code)
			p.closed()
			require.Eventually(t, func() bool { return s.Snapshot().Connections == 0 }, patience, 1e6)
		})
	}
}

func TestLongLineEnds(t *testing.T) {
	t.Parallel()
	p := dial(t, servertest.Start(t))
	p.raw(bytes.Repeat([]byte("x"), 10_000))
	require.Equal(t, "ERR INVALID_ARGUMENTS Line+is+too+long\r\n", p.answer(false))
	p.closed()
}

func TestQuietPackets(t *testing.T) {
	t.Parallel()
	p := dial(t, servertest.Start(t))
	p.send(protocol.AllYours)
	p.send(protocol.SetClientID, "me")
	p.send(protocol.ResetAbilities)
	p.send(protocol.CantDo, "nothing")
	p.quiet()
	p.send(protocol.WorkComplete, "H:none:1", "x") // as gearmand, to one that never had a job
	p.expect(protocol.Error, protocol.CodeJobNotFound)
	p.send(protocol.CanDo, "f")
	p.send(protocol.SubmitJobBg, "f", "", "")
	p.expect(protocol.JobCreated)
	p.send(protocol.GrabJob)
	p.expect(protocol.JobAssign)
	p.send(protocol.WorkComplete, "H:none:1", "x") // not even ERROR: stock Perl workers die of it
	p.quiet()
}

func TestLargePayloadsPassByReference(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t)
	worker, client := dial(t, s), dial(t, s)
	worker.send(protocol.CanDo, "echo")
	worker.echo()
	for _, size := range []int{0, 1, 1 << 10, 32<<10 - 20, 32 << 10, 1 << 20, 9 << 20} {
		payload := strings.Repeat("0123456789abcdef", size/16+1)[:size]
		go client.Write(packet(protocol.SubmitJob, "echo", "", payload))
		h := client.expect(protocol.JobCreated)[0]
		worker.send(protocol.GrabJob)
		got := worker.expect(protocol.JobAssign, h, "echo")
		require.True(t, payload == got[2], "%d bytes", size)
		go worker.Write(packet(protocol.WorkComplete, h, payload))
		got = client.expect(protocol.WorkComplete, h)
		require.True(t, payload == got[1], "%d bytes", size)
	}
}

// A client that reads nothing must cost neither the worker time nor the server memory.
func TestSlowReaderLosesDataThenItsConnection(t *testing.T) {
	t.Parallel()
	const bound = 1 << 20
	s := servertest.Start(t, func(c *server.Config) { c.MaxOutbox = bound })
	worker, slow := dial(t, s), dial(t, s)
	worker.send(protocol.CanDo, "f")
	worker.echo()
	h := slow.submit("f", "", "x")
	worker.send(protocol.GrabJob)
	worker.expect(protocol.JobAssign)

	data := packet(protocol.WorkData, h, strings.Repeat("d", 8<<10))
	for s.Snapshot().Counters.DroppedPackets == 0 {
		worker.raw(bytes.Repeat(data, 64))
		worker.echo()
	}
	require.Less(t, s.Snapshot().Memory, int64(bound))
	require.Equal(t, 2, s.Snapshot().Connections)

	warn := packet(protocol.EchoReq, strings.Repeat("e", 16<<10)) // answers cannot be dropped
	for range 8 * bound / len(warn) {
		if _, err := slow.Write(warn); err != nil {
			break
		}
	}
	require.Eventually(t, func() bool { return s.Snapshot().Connections == 1 }, patience, 1e6)
	require.EqualValues(t, 1, s.Snapshot().Counters.SlowPeers)
	worker.echo()
	require.Eventually(t, func() bool { return s.Snapshot().Memory <= 64<<10 }, patience, 1e6, "what is left is the busy worker's read buffer")
}

func TestHalfClosedPeersGetTheirAnswers(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t)
	for range 20 {
		p := dial(t, s)
		p.raw([]byte("version\r\nSTATUS\n"))
		require.NoError(t, p.Conn.(*net.TCPConn).CloseWrite())
		var b bytes.Buffer
		_, err := b.ReadFrom(p)
		require.NoError(t, err)
		require.Equal(t, "OK geartrain\n.\n", b.String())
	}
}

// Whatever 200 hostile peers send, a bystander is served.
func TestGarbage(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t)
	var group sync.WaitGroup
	for seed := range 200 {
		c, err := s.Dial(t.Context(), "", "")
		require.NoError(t, err)
		group.Go(func() {
			defer c.Close()
			_, _ = c.Write(garbage(uint64(seed))) // the server may be quicker with closing
		})
	}
	bystander := dial(t, s)
	for range 100 {
		bystander.echo()
	}
	group.Wait()
	bystander.Close()
	require.Eventually(t, func() bool { return s.Snapshot().Connections == 0 }, patience, 1e6)
	require.Zero(t, s.Snapshot().Counters.Panics)
}

func TestConnectionLimits(t *testing.T) {
	t.Parallel()
	for name, set := range map[string]func(*server.Config){
		"in all":      func(c *server.Config) { c.MaxConnections = 2 },
		"per address": func(c *server.Config) { c.MaxConnectionsPerAddress = 2 },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := servertest.Start(t, set)
			one, two := dial(t, s), dial(t, s)
			one.echo()
			two.echo()
			third := dial(t, s)
			third.expect(protocol.Error, protocol.CodeLimit)
			third.closed()
			require.EqualValues(t, 1, s.Snapshot().Counters.RefusedLimit)
			one.Close()
			require.Eventually(t, func() bool { return s.Snapshot().Connections == 1 }, patience, 1e6)
			require.Eventually(t, func() bool {
				c, err := s.Dial(t.Context(), "", "")
				if err != nil {
					return false
				}
				defer c.Close()
				_, _ = c.Write(packet(protocol.EchoReq, "x")) // while it is refused, it may be reset
				answer, err := protocol.NewReader(c, protocol.Limits{MaxLine: -1}).Read()
				return err == nil && answer.Type == protocol.EchoRes
			}, patience, 1e6)
		})
	}
}

// A claim costs nothing until its bytes come, and then only up to the budget.
func TestMemoryBudget(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t, func(c *server.Config) { c.MaxMemory = 4 << 20 })
	var claims []*peer
	for range 100 {
		p := dial(t, s)
		p.raw(append(protocol.AppendHeader(nil, protocol.Request, protocol.EchoReq, 60<<20), 'x'))
		claims = append(claims, p)
	}
	watch := dial(t, s)
	watch.echo()
	require.Less(t, s.Snapshot().Memory, int64(16<<20))
	big := dial(t, s)
	big.raw(protocol.AppendHeader(nil, protocol.Request, protocol.EchoReq, 60<<20))
	_, _ = big.Write(make([]byte, 30<<20)) // it is cut off on the way
	require.Eventually(t, func() bool { return s.Snapshot().Counters.RefusedMemory > 0 }, patience, 1e6)
	for _, p := range claims {
		p.Close()
	}
	require.Eventually(t, func() bool { return s.Snapshot().Memory == 0 }, patience, 1e6)
	watch.echo()
}

func TestListenIsForThisMachineOnly(t *testing.T) {
	t.Parallel()
	s, err := server.New(server.Config{})
	require.NoError(t, err)
	for _, addr := range []string{
		"0.0.0.0:0", ":0", "[::]:0", "[::ffff:0.0.0.0]:0", "192.0.2.1:0", "[2001:db8::1]:0", "[fe80::1]:0", "255.255.255.255:0",
	} {
		_, err := s.Listen(t.Context(), "127.0.0.1:0", addr)
		require.ErrorIs(t, err, server.ErrPublic, addr)
		require.ErrorContains(t, err, addr)
		require.ErrorContains(t, err, "--insecure")
	}
	for _, addr := range []string{"no port", "127.0.0.1:70000", "no such host:0", "unix:", "unix:/no/such/folder/socket"} {
		_, err = s.Listen(t.Context(), addr)
		require.Error(t, err, addr)
		require.NotErrorIs(t, err, server.ErrPublic, addr)
	}
	for _, addr := range []string{"127.0.0.1:0", "127.0.0.2:0", "localhost:0", "[::1]:0", "[::ffff:127.0.0.1]:0"} {
		lns, err := s.Listen(t.Context(), addr)
		require.NotErrorIs(t, err, server.ErrPublic, addr)
		if err == nil { // there are machines without IPv6, and with one loopback address
			require.NoError(t, lns[0].Close())
		}
	}

	open, err := server.New(server.Config{Insecure: true})
	require.NoError(t, err)
	lns, err := open.Listen(t.Context(), "0.0.0.0:0", "localhost:0", ":0")
	require.NoError(t, err)
	require.Len(t, lns, 3)
	for _, ln := range lns {
		require.NoError(t, ln.Close())
	}
}

// socketPath is where there is no socket yet. The system wants it short.
func socketPath(t *testing.T) string {
	dir, err := os.MkdirTemp("", "")
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, os.RemoveAll(dir)) })
	path := filepath.Join(dir, "s")
	if len(path) > 100 {
		t.Skip("the folder for temporary files is too long for sockets: ", dir)
	}
	return path
}

// What a server leaves behind that was killed is replaced; what is no socket is not touched.
func TestListenUnixReplacesDeadSockets(t *testing.T) {
	t.Parallel()
	s, err := server.New(server.Config{})
	require.NoError(t, err)
	path := socketPath(t)
	dead, err := net.ListenUnix("unix", &net.UnixAddr{Net: "unix", Name: path})
	require.NoError(t, err)
	dead.SetUnlinkOnClose(false)
	require.NoError(t, dead.Close())
	lns, err := s.Listen(t.Context(), "unix:"+path)
	require.NoError(t, err)
	info, err := os.Stat(path)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode().Perm())
	require.NoError(t, lns[0].Close())
	require.NoFileExists(t, path)

	require.NoError(t, os.WriteFile(path, []byte("mine"), 0o600))
	_, err = s.Listen(t.Context(), "unix:"+path)
	require.ErrorContains(t, err, "not a socket")
	require.FileExists(t, path)
}

func TestListenUnix(t *testing.T) {
	t.Parallel()
	path := socketPath(t)
	s, err := server.New(server.Config{Logger: slog.New(slog.DiscardHandler)})
	require.NoError(t, err)
	lns, err := s.Listen(t.Context(), "unix:"+path)
	require.NoError(t, err)
	_, err = s.Listen(t.Context(), "unix:"+path)
	require.ErrorContains(t, err, "another server listens there")

	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- s.Serve(ctx, lns...) }()
	c, err := net.Dial("unix", path)
	require.NoError(t, err)
	p := &peer{Conn: c, t: t, reader: protocol.NewReader(c, protocol.Limits{MaxLine: -1})}
	p.echo()
	c.Close()
	cancel()
	require.NoError(t, <-done)
}

func TestServeOnce(t *testing.T) {
	t.Parallel()
	s, err := server.New(server.Config{DrainTimeout: -1, Logger: slog.New(slog.DiscardHandler)})
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.NoError(t, s.Serve(ctx))
	require.ErrorIs(t, s.Serve(ctx), server.ErrClosed)
	near, far := net.Pipe()
	defer near.Close()
	require.ErrorIs(t, s.ServeConn(ctx, far), server.ErrClosed)

	_, err = server.New(server.Config{MaxPacket: -1, MaxLine: -1})
	require.ErrorContains(t, err, "MaxPacket")
	require.ErrorContains(t, err, "MaxLine")
}

func TestLostListenerEndsTheServer(t *testing.T) {
	t.Parallel()
	s, err := server.New(server.Config{})
	require.NoError(t, err)
	lns, err := s.Listen(t.Context(), "127.0.0.1:0")
	require.NoError(t, err)
	done := make(chan error)
	go func() { done <- s.Serve(t.Context(), lns...) }()
	require.NoError(t, lns[0].Close())
	require.ErrorIs(t, <-done, net.ErrClosed)
}
