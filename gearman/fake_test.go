package gearman

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/geartrain/geartrain/gearman/protocol"
)

var errRefused = errors.New("connection refused")

// fakeServer is a job server that the test plays itself: packet by packet, over pipes.
type fakeServer struct {
	t     testing.TB
	conns chan *fakeConn

	mu   sync.Mutex // guards down
	down bool       // dials are refused

	extended bool // accept grants protocol.OptionTasks
}

func newFakeServer(t testing.TB) *fakeServer {
	return &fakeServer{t: t, conns: make(chan *fakeConn, 100)}
}

func (f *fakeServer) setDown(down bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.down = down
}

func (f *fakeServer) dial(context.Context, string, string) (net.Conn, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.down {
		return nil, errRefused
	}
	near, far := net.Pipe()
	f.conns <- &fakeConn{t: f.t, conn: far, in: protocol.NewReader(far, protocol.Limits{})}
	return near, nil
}

// client is one that dials the fake server only.
func (f *fakeServer) client(change ...func(*ClientConfig)) *Client {
	cfg := ClientConfig{Servers: []string{"fake"}, Dial: f.dial, Logger: slog.New(slog.DiscardHandler)}
	for _, c := range change {
		c(&cfg)
	}
	c, err := NewClient(cfg)
	require.NoError(f.t, err)
	f.t.Cleanup(func() { c.Close() })
	return c
}

// accept waits for the client's next connection and answers its OPTION_REQs.
func (f *fakeServer) accept() *fakeConn {
	f.t.Helper()
	c := f.connected()
	c.send(protocol.OptionRes, protocol.OptionExceptions)
	if f.extended {
		c.send(protocol.OptionRes, protocol.OptionTasks)
	} else {
		c.send(protocol.Error, protocol.CodeUnknownOption, "")
	}
	return c
}

// connected waits for the client's next connection and reads its OPTION_REQs.
func (f *fakeServer) connected() *fakeConn {
	f.t.Helper()
	c := <-f.conns
	f.t.Cleanup(func() { c.conn.Close() })
	for _, option := range []string{protocol.OptionExceptions, protocol.OptionTasks} {
		require.Equal(f.t, option, string(c.expect(protocol.OptionReq)[0]))
	}
	return c
}

// fakeConn is the server's side of one connection.
type fakeConn struct {
	t    testing.TB
	conn net.Conn
	in   *protocol.Reader
}

// expect reads the next packet, which must be of type want, and returns its arguments.
func (c *fakeConn) expect(want protocol.Type) [][]byte {
	c.t.Helper()
	p, err := c.in.Read()
	require.NoError(c.t, err)
	require.Equal(c.t, want.String(), p.Type.String())
	args := make([][]byte, len(p.Args))
	for i, a := range p.Args {
		args[i] = bytes.Clone(a)
	}
	return args
}

func (c *fakeConn) send(t protocol.Type, args ...string) {
	c.t.Helper()
	list := make([][]byte, len(args))
	for i, a := range args {
		list[i] = []byte(a)
	}
	_, err := c.conn.Write(protocol.AppendPacket(nil, protocol.Response, t, list...))
	require.NoError(c.t, err)
}

// take expects a submission and accepts it under the handle.
func (c *fakeConn) take(handle string) (function, key, payload string) {
	c.t.Helper()
	args := c.expect(protocol.SubmitJob)
	c.send(protocol.JobCreated, handle)
	return string(args[0]), string(args[1]), string(args[2])
}
