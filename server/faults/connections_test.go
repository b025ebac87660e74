//go:build linux

package faults_test

import (
	"os"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/geartrain/geartrain/gearman/protocol"
)

// Ten thousand workers asleep: a connection costs little, one job wakes one of them, and all is given
// back when they go.
func TestManyConnections(t *testing.T) {
	t.Parallel()
	var limit syscall.Rlimit
	require.NoError(t, syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit))
	n := size(300, 10_000)
	if most := max(int(min(limit.Cur, 1<<20))-1000, 10); n > most {
		t.Logf("%d connections instead of %d: this process may have %d files open", most, n, limit.Cur)
		n = most
	}
	p := start(t)
	by := watch(t, p)
	files, base := p.descriptors(t), p.memory(t)
	sleepers := make([]*peer, n)
	for i := range sleepers {
		c := dial(t, p)
		c.raw(slices.Concat(packet(protocol.CanDo, "rare"), packet(protocol.PreSleep), packet(protocol.EchoReq, "asleep")))
		sleepers[i] = c
	}
	for _, c := range sleepers {
		c.expect(protocol.EchoRes)
	}
	t.Logf("%d bytes a connection", (p.memory(t)-base)/n)
	require.Less(t, p.memory(t)-base, 16<<20+n*20<<10)

	client := dial(t, p)
	client.send(protocol.SubmitJobBg, "rare", "", "x")
	client.expect(protocol.JobCreated)
	for _, c := range sleepers {
		c.send(protocol.EchoReq, "?")
	}
	awake := 0
	for _, c := range sleepers {
		got, err := c.in.Read()
		require.NoError(t, err)
		if got.Type == protocol.Noop {
			awake++
		}
	}
	require.Equal(t, 1, awake)
	by.unimpressed(t)
	for _, c := range sleepers {
		c.Close()
	}
	client.Close()
	await(t, "their descriptors are back", func() bool { return p.descriptors(t) <= files })
	await(t, "the workers are forgotten", func() bool { return p.status(t, "rare") == "1\t0\t0" })
	p.unharmed(t)
	p.quit(t)
}

// Connections that come and go as fast as they can leave nothing behind.
func TestComingAndGoing(t *testing.T) {
	t.Parallel()
	p := start(t)
	by := watch(t, p)
	files, base := p.descriptors(t), p.memory(t)
	inSteps(size(500, 30_000), 8, func(i int) {
		c := reach(t, p)
		if c == nil {
			return
		}
		switch i % 4 {
		case 0: // says nothing
		case 1:
			_, _ = c.Write(packet(protocol.CanDo, "f")) // the server sees it, or not
		case 2:
			_, _ = c.Write(packet(protocol.SubmitJob, "nobody", "", "x"))
		case 3:
			_, _ = c.Write([]byte("status\n"))
		}
		c.abort()
	})
	by.unimpressed(t)
	await(t, "their descriptors are back", func() bool { return p.descriptors(t) <= files })
	await(t, "no job is left that nobody waits for", func() bool { return p.status(t, "nobody") == "" }) // the last one may still be in the backlog
	require.Less(t, p.memory(t)-base, 32<<20)
	p.unharmed(t)
}

// Without descriptors accepting pauses: who is connected is served, nothing spins, and the others get
// their turn when some have gone.
func TestOutOfDescriptors(t *testing.T) {
	t.Parallel()
	p := start(t, "--file-descriptors", "64")
	by := watch(t, p)
	peers := make([]*peer, 120)
	for i := range peers {
		peers[i] = dial(t, p) // the system takes it, the server may not yet
	}
	await(t, "the server has all that it may have", func() bool { return p.descriptors(t) >= 60 })
	by.unimpressed(t)
	before, began := p.processor(t), time.Now()
	client := peers[len(peers)-1]
	client.send(protocol.EchoReq, "at last")
	require.NoError(t, client.SetReadDeadline(time.Now().Add(time.Second)))
	_, err := client.in.Read()
	require.ErrorIs(t, err, os.ErrDeadlineExceeded, "it cannot be connected")
	require.Less(t, p.processor(t)-before, time.Since(began)/2, "it spins, and has nothing to do")
	for _, c := range peers[:100] {
		c.Close()
	}
	require.NoError(t, client.SetReadDeadline(time.Now().Add(patience)))
	client.expect(protocol.EchoRes)
	watch(t, p).unimpressed(t)
	p.unharmed(t)
}
