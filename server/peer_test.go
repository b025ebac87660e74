package server_test

import (
	"bufio"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/geartrain/geartrain/gearman/protocol"
	"github.com/geartrain/geartrain/server/servertest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience is how long a test waits for what should come at once, a limit for what hangs. Inside a bubble it costs
// nothing.
const patience = time.Minute

// peer is a client or worker that speaks the bare wire.
type peer struct {
	net.Conn
	t      *testing.T
	reader *protocol.Reader
}

func dial(t *testing.T, s *servertest.Server) *peer {
	t.Helper()
	c, err := s.Dial(t.Context(), "", "")
	require.NoError(t, err)
	t.Cleanup(func() { c.Close() })
	return &peer{Conn: c, t: t, reader: protocol.NewReader(c, protocol.Limits{MaxLine: -1})}
}

// packet encodes a request.
func packet(typ protocol.Type, args ...string) []byte {
	list := make([][]byte, len(args))
	for i, a := range args {
		list[i] = []byte(a)
	}
	return protocol.AppendPacket(nil, protocol.Request, typ, list...)
}

func (p *peer) send(typ protocol.Type, args ...string) { p.raw(packet(typ, args...)) }

func (p *peer) raw(b []byte) {
	p.t.Helper()
	_, err := p.Write(b)
	require.NoError(p.t, err)
}

// receive is the next packet's type and arguments.
func (p *peer) receive() (protocol.Type, []string) {
	p.t.Helper()
	require.NoError(p.t, p.SetReadDeadline(time.Now().Add(patience)))
	packet, err := p.reader.Read()
	require.NoError(p.t, err)
	require.Equal(p.t, protocol.Response, packet.Magic)
	args := make([]string, len(packet.Args))
	for i, a := range packet.Args {
		args[i] = string(a)
	}
	return packet.Type, args
}

// expect receives a packet of type typ, whose first arguments are as given, and returns all of them.
func (p *peer) expect(typ protocol.Type, args ...string) []string {
	p.t.Helper()
	got, have := p.receive()
	require.Equal(p.t, typ.String(), got.String(), "%q", have)
	require.GreaterOrEqual(p.t, len(have), len(args))
	if len(args) > 0 {
		require.Equal(p.t, args, have[:len(args)])
	}
	return have
}

// echo waits until the server has handled everything sent before.
func (p *peer) echo() {
	p.t.Helper()
	p.send(protocol.EchoReq, "?")
	p.expect(protocol.EchoRes, "?")
}

// quiet checks that nothing is on its way to the peer.
func (p *peer) quiet() {
	p.t.Helper()
	p.send(protocol.EchoReq, "quiet")
	p.expect(protocol.EchoRes, "quiet")
}

// closed waits for the server's end of the connection.
func (p *peer) closed() {
	p.t.Helper()
	_ = p.SetReadDeadline(time.Now().Add(patience)) // a closed pipe has no deadlines any more
	_, err := p.reader.Read()
	require.Error(p.t, err)
	require.NotErrorIs(p.t, err, os.ErrDeadlineExceeded, "the connection is still open")
}

// submit sends SUBMIT_JOB and returns the handle.
func (p *peer) submit(function, unique, payload string) string {
	p.t.Helper()
	p.send(protocol.SubmitJob, function, unique, payload)
	return p.expect(protocol.JobCreated)[0]
}

// admin sends one line and returns the answer: one line, or all up to the period.
func (p *peer) admin(line string) string {
	p.t.Helper()
	p.raw([]byte(line + "\n"))
	list := map[string]bool{"status": true, "workers": true, "prioritystatus": true, "show": true, "guarantees": true}
	return p.answer(list[strings.ToLower(strings.Fields(line + " .")[0])])
}

func (p *peer) answer(list bool) string {
	p.t.Helper()
	require.NoError(p.t, p.SetReadDeadline(time.Now().Add(patience)))
	r := bufio.NewReader(oneByte{p})
	var b strings.Builder
	for {
		line, err := r.ReadString('\n')
		require.NoError(p.t, err)
		b.WriteString(line)
		if !list || line == ".\n" || strings.HasPrefix(line, "ERR") {
			return b.String()
		}
	}
}

// oneByte keeps a bufio.Reader from taking more than it needs.
type oneByte struct{ r io.Reader }

func (o oneByte) Read(b []byte) (int, error) { return o.r.Read(b[:1]) }
