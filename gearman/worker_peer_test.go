package gearman

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/geartrain/geartrain/gearman/protocol"
)

// scripted is a job server that says what a test tells it to, over net.Pipe, for use in a bubble.
type scripted struct {
	t     *testing.T
	conns chan *scriptedConn
	mu    sync.Mutex // guards the fields below
	down  bool       // refuses connections
	all   []net.Conn
}

// scriptedConn is the server's end of one connection.
type scriptedConn struct {
	t      *testing.T
	conn   net.Conn
	writes chan []string // one element per write of the worker: its packets as text
	rest   []string      // of the current write
	owed   atomic.Int32  // grabs that are not answered
}

func newScripted(t *testing.T) *scripted {
	return &scripted{t: t, conns: make(chan *scriptedConn, 16)}
}

func (s *scripted) dial(context.Context, string, string) (net.Conn, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.down {
		return nil, errors.New("connection refused")
	}
	ours, theirs := net.Pipe()
	c := &scriptedConn{t: s.t, conn: ours, writes: make(chan []string, 1000)}
	go c.read()
	s.all = append(s.all, ours)
	s.conns <- c
	return theirs, nil
}

// end closes all connections and refuses new ones.
func (s *scripted) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.down = true
	for _, conn := range s.all {
		conn.Close()
	}
}

func (s *scripted) setDown(down bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.down = down
}

// read decodes each write by itself: the worker never cuts a packet in two.
func (c *scriptedConn) read() {
	defer close(c.writes)
	buf := make([]byte, 1<<20)
	for {
		n, err := c.conn.Read(buf)
		if err != nil {
			return
		}
		var packets []string
		for in := protocol.NewReader(bytes.NewReader(buf[:n]), protocol.Limits{}); ; {
			p, err := in.Read()
			if err != nil {
				break
			}
			packets = append(packets, text(p.Type, p.Args...))
			if p.Type == protocol.GrabJobUniq {
				c.owed.Add(1)
			}
		}
		c.writes <- packets
	}
}

// text is a packet as "TYPE a|b".
func text(t protocol.Type, args ...[]byte) string {
	return strings.TrimSpace(t.String() + " " + string(bytes.Join(args, []byte("|"))))
}

// send sends a packet given as its type and arguments.
func (c *scriptedConn) send(t protocol.Type, args ...string) {
	c.t.Helper()
	list := make([][]byte, len(args))
	for i, a := range args {
		list[i] = []byte(a)
	}
	if t == protocol.NoJob || t == protocol.JobAssign || t == protocol.JobAssignUniq {
		c.owed.Add(-1)
	}
	_, err := c.conn.Write(protocol.AppendPacket(nil, protocol.Response, t, list...))
	require.NoError(c.t, err)
}

// write is the next write of the worker, or what is left of the current one.
func (c *scriptedConn) write() []string {
	c.t.Helper()
	if rest := c.rest; len(rest) > 0 {
		c.rest = nil
		return rest
	}
	w, ok := <-c.writes
	require.True(c.t, ok, "the worker has closed the connection")
	return w
}

// expect takes as many packets as it is given and compares them.
func (c *scriptedConn) expect(want ...string) {
	c.t.Helper()
	var got []string
	for len(got) < len(want) {
		got = append(got, c.write()...)
	}
	got, c.rest = got[:len(want):len(want)], got[len(want):]
	require.Equal(c.t, want, got)
}

// until takes packets until all of want have come, and returns them all.
func (c *scriptedConn) until(want ...string) []string {
	c.t.Helper()
	var got []string
	for !contains(got, want) {
		got = append(got, c.write()...)
	}
	return got
}

func contains(got, want []string) bool {
	for _, w := range want {
		if !slices.Contains(got, w) {
			return false
		}
	}
	return true
}

// soFar takes all that the worker has said and not been asked for.
func (c *scriptedConn) soFar() []string {
	got := c.rest
	for c.rest = nil; len(c.writes) > 0; {
		got = append(got, <-c.writes...)
	}
	return got
}

// silent checks that the worker has nothing more to say.
func (c *scriptedConn) silent() {
	c.t.Helper()
	synctest.Wait()
	require.Empty(c.t, c.rest)
	require.Empty(c.t, c.writes)
}

// closed waits for the worker to close the connection and returns what it said before.
func (c *scriptedConn) closed() []string {
	all := c.rest
	for w := range c.writes {
		all = append(all, w...)
	}
	return all
}

// hello takes the greeting for one function and answers the options.
func (c *scriptedConn) hello(numbered bool, functions ...string) {
	c.t.Helper()
	c.expect("OPTION_REQ "+protocol.OptionCancel, "OPTION_REQ "+protocol.OptionAttempts, "SET_CLIENT_ID test")
	for _, f := range functions {
		c.expect("CAN_DO " + f)
	}
	c.expect("GRAB_JOB_UNIQ")
	for _, option := range []string{protocol.OptionCancel, protocol.OptionAttempts} {
		if numbered {
			c.send(protocol.OptionRes, option)
		} else {
			c.send(protocol.Error, protocol.CodeUnknownOption, "no such option")
		}
	}
}

func (c *scriptedConn) assign(handle, function, payload string) {
	c.t.Helper()
	c.send(protocol.JobAssignUniq, handle, function, "key", payload)
}

// testWorker is a worker with a scripted server, and its Run.
type testWorker struct {
	*Worker
	server *scripted
	stop   context.CancelCauseFunc
	ended  chan struct{} // closed when Run has returned err
	err    error
}

// newTestWorker makes a worker of "test"; change may alter its configuration.
func newTestWorker(t *testing.T, concurrency int, change ...func(*WorkerConfig)) *testWorker {
	s := newScripted(t)
	cfg := WorkerConfig{Servers: []string{"scripted"}, ID: "test", Concurrency: concurrency, Dial: s.dial,
		Logger: slog.New(slog.DiscardHandler)}
	for _, c := range change {
		c(&cfg)
	}
	w, err := NewWorker(cfg)
	require.NoError(t, err)
	return &testWorker{Worker: w, server: s, ended: make(chan struct{})}
}

// run starts the worker and gives the first connection.
func (w *testWorker) run(t *testing.T) *scriptedConn {
	w.launch(t)
	return <-w.server.conns
}

// launch starts the worker without waiting for a connection.
func (w *testWorker) launch(t *testing.T) {
	ctx, stop := context.WithCancelCause(t.Context())
	w.stop = stop
	go func() {
		defer close(w.ended)
		w.err = w.Run(ctx)
	}()
	t.Cleanup(func() { // of a test that has failed
		w.server.end()
		stop(nil)
		<-w.ended
	})
}

// finish drains an idle worker whose connections are given.
func (w *testWorker) finish(t *testing.T, conns ...*scriptedConn) {
	t.Helper()
	w.stop(nil)
	for _, c := range conns {
		c.goodbye()
	}
	<-w.ended
	require.NoError(t, w.err)
}

// goodbye answers what is owed, takes whatever comes before the farewell, and answers that.
func (c *scriptedConn) goodbye() {
	c.t.Helper()
	synctest.Wait()
	for c.owed.Load() > 0 {
		c.send(protocol.NoJob)
	}
	for {
		for _, p := range c.write() {
			if p == "ECHO_REQ "+farewell {
				c.send(protocol.EchoRes, farewell)
				require.Empty(c.t, c.closed())
				return
			}
		}
	}
}

func echo(_ context.Context, job *Job) ([]byte, error) { return job.Payload(), nil }

// held is a handler that waits for the test or the end of its context.
func held(release <-chan struct{}) HandlerFunc {
	return func(ctx context.Context, job *Job) ([]byte, error) {
		select {
		case <-release:
			return job.Payload(), nil
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

// bubble runs a test on fake time; it fails when a goroutine is left.
func bubble(t *testing.T, f func(t *testing.T)) {
	t.Helper()
	t.Parallel()
	synctest.Test(t, f)
}
