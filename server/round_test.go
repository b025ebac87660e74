package server_test

import (
	"bytes"
	"io"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/geartrain/geartrain/gearman/protocol"
	"github.com/geartrain/geartrain/server"
	"github.com/geartrain/geartrain/server/servertest"
)

// One goroutine serves all sockets, so whatever one of them waits for must not hold up the others.

func TestNobodyWaitsForTheStore(t *testing.T) {
	t.Parallel()
	w := &ward{gate: make(chan struct{}), loading: make(chan struct{})}
	s := servertest.Start(t, with(w), func(c *server.Config) { c.MaxMemory = 8 << 20 })
	early, bystander := dial(t, s), dial(t, s)
	early.send(protocol.SubmitJobBg, "f", "", "before all is loaded")
	bystander.echo()
	close(w.loading)

	// The first one commits, the second submits more than may wait, the third goes on.
	first, second := dial(t, s), dial(t, s)
	first.send(protocol.SubmitJobBg, "f", "", "occupies the store")
	written := make(chan error, 1)
	go func() {
		big := packet(protocol.SubmitJobBg, "f", "", strings.Repeat("x", 100_000))
		_, err := second.Write(bytes.Repeat(big, 40))
		written <- err
	}()
	wk := worker(t, s, "g")
	for range 20 {
		h := bystander.submit("g", "", "x")
		got, _ := wk.work()
		require.Equal(t, h, got)
		wk.send(protocol.WorkComplete, h, "y")
		bystander.expect(protocol.WorkComplete, h, "y")
	}
	close(w.gate)
	for range 40 {
		second.expect(protocol.JobCreated)
	}
	require.NoError(t, <-written)
	early.expect(protocol.JobCreated)
	first.expect(protocol.JobCreated)
	early.echo()
}

// A result that a peer does not read is sent when it does, and meanwhile nobody else waits.
func TestNobodyWaitsForASlowReader(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t)
	slow, wk, bystander := dial(t, s), worker(t, s, "f"), dial(t, s)
	const jobs, size = 8, 4 << 20
	for range jobs {
		slow.submit("f", "", "x")
	}
	for range jobs {
		h, _ := wk.work()
		wk.send(protocol.WorkComplete, h, strings.Repeat("r", size))
		bystander.echo()
	}
	wk.echo()
	for range jobs {
		require.Len(t, slow.expect(protocol.WorkComplete)[1], size)
	}
	slow.echo()
}

// A stream that is out of step lingers, and one whose peer falls silent in the middle of a packet ends.
func TestBrokenStreamsHoldNobodyUp(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t, func(c *server.Config) { c.ReadTimeout = 50 * time.Millisecond })
	bystander := dial(t, s)
	for range 20 {
		broken := dial(t, s)
		broken.raw([]byte("\x00BAD and what follows"))
		broken.expect(protocol.Error)
		bystander.echo()
	}
	half := dial(t, s)
	half.raw(packet(protocol.EchoReq, "half a packet")[:15])
	_, err := io.ReadAll(half)
	require.NoError(t, err)
	bystander.echo()
}

// Many sockets with work for the same few peers: all of it arrives, in order.
func TestRoundsKeepTheOrder(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t)
	const clients, jobs = 20, 50
	for range 4 {
		go worker(t, s, "f").repeat()
	}
	var all []*peer
	for range clients {
		c := dial(t, s)
		c.raw(bytes.Repeat(packet(protocol.SubmitJob, "f", "", "p"), jobs))
		all = append(all, c)
	}
	for _, c := range all {
		state := map[string]protocol.Type{}
		for range 3 * jobs {
			typ, args := c.receive()
			switch typ {
			case protocol.JobCreated:
				require.Zero(t, state[args[0]])
			case protocol.WorkData:
				require.Equal(t, protocol.JobCreated, state[args[0]])
			case protocol.WorkComplete:
				require.Equal(t, protocol.WorkData, state[args[0]])
			default:
				t.Fatal(typ)
			}
			state[args[0]] = typ
		}
	}
}

// repeat works until the connection ends: every job's result is its payload, and so is its data.
func (p *peer) repeat() {
	next := packet(protocol.GrabJob)
	for {
		if _, err := p.Write(next); err != nil {
			return
		}
		got, err := p.reader.Read()
		if err != nil {
			return
		}
		switch got.Type {
		case protocol.JobAssign:
			handle, payload := string(got.Args[0]), string(got.Args[2])
			next = slices.Concat(packet(protocol.WorkData, handle, payload), packet(protocol.WorkComplete, handle, payload),
				packet(protocol.GrabJob))
		case protocol.NoJob:
			next = packet(protocol.PreSleep)
		default:
			next = packet(protocol.GrabJob)
		}
	}
}

// A grab for which there is no job may be answered a little later, but before all that follows it.
func TestGrabIsAnsweredInItsTurn(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t)
	wk, client := worker(t, s, "f"), dial(t, s)
	for range 200 {
		wk.send(protocol.GrabJob)
		wk.send(protocol.EchoReq, "behind")
		wk.expect(protocol.NoJob)
		wk.expect(protocol.EchoRes, "behind")
	}
	for range 200 {
		wk.send(protocol.GrabJob)
		h := client.submit("f", "", "x")
		typ, _ := wk.receive()
		if typ == protocol.NoJob {
			wk.send(protocol.PreSleep)
			wk.expect(protocol.Noop)
			wk.send(protocol.GrabJob)
			typ, _ = wk.receive()
		}
		require.Equal(t, protocol.JobAssign, typ)
		wk.send(protocol.WorkComplete, h, "y")
		client.expect(protocol.WorkComplete, h)
	}
}

// A worker that has closed its side still hears that there is no job for it.
func TestGrabOfAWorkerThatHasClosedItsSide(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t)
	for range 50 {
		wk := dial(t, s)
		wk.raw(packet(protocol.GrabJob))
		require.NoError(t, wk.Conn.(*net.TCPConn).CloseWrite())
		wk.expect(protocol.NoJob)
		_, err := wk.Read(make([]byte, 1))
		require.ErrorIs(t, err, io.EOF)
	}
}

// A worker that leaves before its grab is answered takes nothing with it. It may be given the job before the server
// notices; then the other one is woken twice.
func TestGrabOfAWorkerThatLeaves(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t)
	other, client := worker(t, s, "f"), dial(t, s)
	other.send(protocol.PreSleep)
	other.echo()
	for range 50 {
		wk := worker(t, s, "f")
		wk.send(protocol.GrabJob)
		require.NoError(t, wk.Close())
		h := client.submit("f", "", "x")
		require.Equal(t, h, other.awaken())
		other.send(protocol.WorkComplete, h, "y")
		client.expect(protocol.WorkComplete, h)
		other.send(protocol.PreSleep)
		other.echo()
	}
}

// awaken waits for a NOOP and returns the handle of the job that it was for. A job that somebody else was quicker to take
// comes back with another NOOP.
func (p *peer) awaken() string {
	p.t.Helper()
	for {
		p.expect(protocol.Noop)
		p.send(protocol.GrabJob)
		if typ, args := p.receive(); typ != protocol.NoJob {
			require.Equal(p.t, protocol.JobAssign, typ)
			return args[0]
		}
		p.send(protocol.PreSleep)
	}
}
