//go:build unix

package server_test

import (
	"fmt"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/geartrain/geartrain/gearman/protocol"
	"github.com/geartrain/geartrain/server/servertest"
)

func TestManyConnections(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t)
	n := sockets(t, 1000)
	var peers []*peer
	for i := range n {
		p := dial(t, s)
		p.raw(append(packet(protocol.CanDo, fmt.Sprint("f", i%10)), packet(protocol.PreSleep)...))
		peers = append(peers, p)
	}
	for _, p := range peers {
		p.echo()
	}
	require.Equal(t, n, s.Snapshot().Levels.Asleep)
	client := dial(t, s)
	client.submit("f3", "", "x")
	require.EqualValues(t, 1, s.Snapshot().Queue.Wakeups)
}

// sockets is how many connections of a number there can be, both ends of them here, beside those of other tests.
func sockets(t *testing.T, n int) int {
	var limit syscall.Rlimit
	require.NoError(t, syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit))
	return min(n, max(10, (int(min(limit.Cur, 1<<20))-500)/3))
}
