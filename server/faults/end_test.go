//go:build linux

package faults_test

import (
	"fmt"
	"net"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/geartrain/geartrain/gearman/protocol"
)

// running is a client with jobs, and the worker that has them.
func running(t *testing.T, p *process, n int) (client, worker *peer, handles []string) {
	t.Helper()
	client, worker = dial(t, p), dial(t, p)
	worker.send(protocol.CanDo, "long")
	for i := range n {
		client.send(protocol.SubmitJob, "long", "", fmt.Sprint(i))
		client.expect(protocol.JobCreated)
		worker.send(protocol.GrabJob)
		handles = append(handles, worker.expect(protocol.JobAssign)[0])
	}
	return client, worker, handles
}

// drain begins the graceful end of a server that logs it: when it does, it takes no jobs any more.
func drain(t *testing.T, p *process) {
	t.Helper()
	p.signal(t, syscall.SIGTERM)
	await(t, "the server drains", func() bool { return strings.Contains(p.logged(t), "draining") })
	await(t, "it takes no more connections", func() bool { // nor has somebody else got its port in the meantime
		c, err := net.Dial("tcp", p.addr)
		if err == nil {
			c.Close()
		}
		return err != nil
	})
}

// After SIGTERM what runs is delivered, new work is refused in so many words, and the end is a good one.
func TestDrain(t *testing.T) {
	t.Parallel()
	p := start(t, "--log-level", "info")
	client, worker, handles := running(t, p, 5)
	other := dial(t, p)
	other.send(protocol.SubmitJobBg, "queued", "", "x")
	other.expect(protocol.JobCreated)
	drain(t, p)
	other.send(protocol.SubmitJobBg, "queued", "", "y")
	require.Equal(t, "SHUTTING_DOWN", other.expect(protocol.Error)[0])
	other.send(protocol.CanDo, "queued")
	other.send(protocol.GrabJob)
	other.expect(protocol.NoJob)
	for i, h := range handles {
		require.False(t, p.ended())
		worker.send(protocol.WorkComplete, h, fmt.Sprint("result ", i))
		require.Equal(t, []string{h, fmt.Sprint("result ", i)}, client.expect(protocol.WorkComplete))
	}
	require.Zero(t, p.wait(t), p.logged(t))
}

// A second signal does not wait for anything.
func TestSecondSignal(t *testing.T) {
	t.Parallel()
	p := start(t, "--drain-timeout", "10m", "--log-level", "info")
	running(t, p, 1)
	drain(t, p)
	require.False(t, p.ended())
	p.signal(t, syscall.SIGTERM)
	p.wait(t)
}

// The drain has an end, whatever the workers do.
func TestDrainEnds(t *testing.T) {
	t.Parallel()
	p := start(t, "--drain-timeout", "300ms")
	client, _, _ := running(t, p, 3)
	p.signal(t, syscall.SIGTERM)
	require.Zero(t, p.wait(t), p.logged(t))
	_, err := client.in.Read()
	require.Error(t, err)
}

// Two lives of a server in memory, at one address: a worker that comes over from the first with a result
// does not end a job of the second.
func TestSecondLife(t *testing.T) {
	t.Parallel()
	const alone = "127.0.0.2" // where nobody is given the port in the meantime
	first := start(t, "-L", alone)
	_, _, before := running(t, first, 1)
	require.NoError(t, first.cmd.Process.Kill())
	first.wait(t)

	_, port, err := net.SplitHostPort(first.addr)
	require.NoError(t, err)
	second := start(t, "-L", alone, "-p", port)
	client, worker, now := running(t, second, 1)
	require.NotEqual(t, before, now)
	worker.send(protocol.WorkComplete, before[0], "of another life")
	worker.send(protocol.WorkComplete, now[0], "right")
	require.Equal(t, []string{now[0], "right"}, client.expect(protocol.WorkComplete))
}
