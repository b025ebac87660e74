package server_test

import (
	"bytes"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/geartrain/geartrain/gearman/protocol"
	"github.com/geartrain/geartrain/server"
	"github.com/geartrain/geartrain/server/servertest"
)

// budgeted is a server with so much memory.
func budgeted(t *testing.T, bytes int64) *servertest.Server {
	return servertest.Start(t, func(c *server.Config) { c.MaxMemory = bytes })
}

// used is what counts against the budget.
func used(s *servertest.Server) int64 {
	n := s.Snapshot()
	return n.Memory + n.Levels.Bytes
}

// A flood of background jobs ends in errors, after which work goes on, and new jobs are taken as
// soon as others have ended.
func TestBudgetRefusesNewJobs(t *testing.T) {
	t.Parallel()
	const budget = 4 << 20
	s := budgeted(t, budget)
	client, worker := dial(t, s), dial(t, s)
	h := client.submit("f", "key", "first")
	payload := strings.Repeat("p", 8<<10)
	accepted := 0
	for range 1000 {
		client.send(protocol.SubmitJobBg, "f", "", payload)
		typ, args := client.receive()
		if typ == protocol.Error {
			require.Equal(t, []string{protocol.CodeLimit, "Server is out of memory for new jobs"}, args)
			break
		}
		accepted++
	}
	require.InDelta(t, budget*7/8/(8<<10), accepted, 32)
	require.EqualValues(t, 1, s.Snapshot().Queue.Refused.Memory)
	require.LessOrEqual(t, used(s), int64(budget))

	other := dial(t, s)
	require.Equal(t, h, other.submit("f", "key", "first"), "joining takes no memory")
	worker.send(protocol.CanDo, "f")
	for i := range 10 {
		worker.send(protocol.GrabJob)
		assigned := worker.expect(protocol.JobAssign)
		worker.send(protocol.WorkComplete, assigned[0], strings.Repeat("r", 500<<10))
		if i == 0 { // who did not read it could lose the connection now
			require.Len(t, client.expect(protocol.WorkComplete, h)[1], 500<<10)
			other.expect(protocol.WorkComplete, h)
		}
	}
	worker.echo()
	client.send(protocol.SubmitJobBg, "f", "", payload)
	client.expect(protocol.JobCreated)
}

// A large submission that finds no memory is answered, and its connection stays.
func TestBudgetRefusesALargeJob(t *testing.T) {
	t.Parallel()
	s := budgeted(t, 4<<20)
	client := dial(t, s)
	for range 6 {
		client.send(protocol.SubmitJobBg, "f", "", strings.Repeat("p", 512<<10))
		client.expect(protocol.JobCreated)
	}
	client.send(protocol.SubmitJobBg, "f", "", strings.Repeat("p", 600<<10))
	client.expect(protocol.Error, protocol.CodeLimit)
	client.echo()
}

func TestBudgetHoldsForHalfSentPackets(t *testing.T) {
	t.Parallel()
	const budget = 8 << 20
	s := budgeted(t, budget)
	head := protocol.AppendHeader(nil, protocol.Request, protocol.SubmitJob, 4<<20)
	half := append(head, bytes.Repeat([]byte("x"), 2<<20)...)
	for range 16 {
		go dial(t, s).Write(half) // the server may close it on the way
	}
	require.Eventually(t, func() bool { return s.Snapshot().Counters.RefusedMemory >= 8 }, patience, 1e6)
	require.LessOrEqual(t, used(s), int64(budget+budget/4))
	bystander := dial(t, s)
	bystander.echo()
}

// Workers get rid of their results while others' half-sent packets fill the memory.
func TestBudgetLetsResultsThrough(t *testing.T) {
	t.Parallel()
	const budget = 8 << 20
	s := budgeted(t, budget)
	worker, client := dial(t, s), dial(t, s)
	worker.send(protocol.CanDo, "f")
	worker.echo()
	h := client.submit("f", "", "x")
	worker.send(protocol.GrabJob)
	worker.expect(protocol.JobAssign, h)

	head := protocol.AppendHeader(nil, protocol.Request, protocol.SubmitJob, 4<<20)
	half := append(head, bytes.Repeat([]byte("x"), 1<<20)...)
	for range 8 {
		go dial(t, s).Write(half)
	}
	require.Eventually(t, func() bool { return s.Snapshot().Counters.RefusedMemory > 0 }, patience, 1e6)
	go worker.Write(packet(protocol.WorkComplete, h, strings.Repeat("r", 1<<20)))
	require.Len(t, client.expect(protocol.WorkComplete, h)[1], 1<<20)
}

// Each client is given a single large result that it does not read. The worker is not held up, and
// the clients that hold most lose their connections.
func TestBudgetShedsSlowReaders(t *testing.T) {
	t.Parallel()
	const budget = 16 << 20
	s := budgeted(t, budget)
	worker := dial(t, s)
	worker.send(protocol.CanDo, "f")
	worker.echo()
	for range 8 {
		slow := dial(t, s)
		require.NoError(t, slow.Conn.(*net.TCPConn).SetReadBuffer(16<<10)) // the less the system takes the better
		slow.submit("f", "", "x")
	}
	result := strings.Repeat("r", 6<<20)
	for range 8 {
		worker.send(protocol.GrabJob)
		h := worker.expect(protocol.JobAssign)[0]
		worker.send(protocol.WorkComplete, h, result)
		worker.echo()
		require.LessOrEqual(t, used(s), int64(budget*10/8+len(result)))
	}
	require.EqualValues(t, 8, s.Snapshot().Queue.Completed)
	require.Eventually(t, func() bool { return used(s) <= budget*7/8 }, patience, 1e6)
	require.Eventually(t, func() bool { return s.Snapshot().Counters.SlowPeers > 0 }, patience, 1e6)

	reader := dial(t, s)
	h := reader.submit("f", "", "x")
	worker.send(protocol.GrabJob)
	worker.expect(protocol.JobAssign, h)
	go worker.Write(packet(protocol.WorkComplete, h, result[:1<<20]))
	reader.expect(protocol.WorkComplete, h)
}

// Names that are never forgotten are no way round the budget.
func TestBudgetHoldsForNames(t *testing.T) {
	t.Parallel()
	const budget = 1 << 20
	s := budgeted(t, budget)
	p, worker := dial(t, s), dial(t, s)
	for i := range 5000 {
		if answer := p.admin(fmt.Sprint("create function f", i)); answer != "OK\r\n" {
			require.Equal(t, "ERR QUEUE_ERROR Server+is+out+of+memory\r\n", answer)
			break
		}
	}
	require.EqualValues(t, 1, s.Snapshot().Counters.RefusedNames)
	require.Equal(t, "ERR QUEUE_ERROR Server+is+out+of+memory\r\n", p.admin("maxqueue one 5"))
	worker.send(protocol.CanDo, "f1")
	worker.echo()
	for i := range 5000 {
		worker.send(protocol.CanDo, fmt.Sprint("g", i))
		worker.send(protocol.EchoReq, "?")
		if typ, args := worker.receive(); typ == protocol.Error {
			require.Equal(t, protocol.CodeLimit, args[0])
			break
		}
	}
	require.LessOrEqual(t, used(s), int64(budget*10/8+4096))
}

// What was taken for a flood is given back when the flood is over.
func TestBudgetIsGivenBack(t *testing.T) {
	t.Parallel()
	s := budgeted(t, 64<<20)
	before := used(s)
	var peers []*peer
	for range 4 {
		p := dial(t, s)
		peers = append(peers, p)
		p.submit("f", "", strings.Repeat("p", 1<<20))
		p.raw(packet(protocol.EchoReq, strings.Repeat("e", 1<<20))[:700<<10])
	}
	require.Eventually(t, func() bool { return used(s) > 6<<20 }, patience, 1e6)
	for _, p := range peers {
		p.Close()
	}
	require.Eventually(t, func() bool { return used(s) == before }, patience, time.Millisecond)
}
