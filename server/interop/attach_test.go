//go:build unix

package interop_test

import (
	"os/exec"
	"testing"

	"github.com/stretchr/testify/require"
)

// slowWorker is "gearman -w -f slow ./slow.sh".
func slowWorker(t *testing.T, s jobServer, held *gate) *process {
	t.Helper()
	return start(t, setenv(s.command("gearman", "-w", "-f", "slow", program("sh/slow.sh")), "GATE="+held.path))
}

// slowClient is "gearman -f slow -u alpha -s".
func slowClient(t *testing.T, s jobServer) *process {
	t.Helper()
	return start(t, s.command("gearman", "-f", "slow", "-u", "alpha", "-s"))
}

// said is what a client printed in the end.
func said(t *testing.T, client *process) string {
	t.Helper()
	require.Zero(t, client.wait(t), client.err.String())
	require.Regexp(t, `^done \d+\n$`, client.out.String())
	return client.out.String()
}

// Two clients with one key get one answer; the second comes when the job is under way.
func TestAttachHalfWay(t *testing.T) {
	t.Parallel()
	needs(t, "gearman")
	onServers(t, func(t *testing.T, s jobServer) {
		held := newGate(t)
		slowWorker(t, s, held)
		first := slowClient(t, s)
		s.awaitStatus(t, "slow", counts{1, 1, 1})
		second := slowClient(t, s)
		s.awaitClients(t, "slow", "alpha", 2)
		held.open(t)
		require.Equal(t, said(t, first), said(t, second))
		s.awaitStatus(t, "slow", counts{0, 0, 1})
	})
}

// The worker is stopped, both clients start, then the worker.
func TestAttachBeforeThereIsAWorker(t *testing.T) {
	t.Parallel()
	needs(t, "gearman")
	onServers(t, func(t *testing.T, s jobServer) {
		held := newGate(t)
		worker := slowWorker(t, s, held)
		s.awaitStatus(t, "slow", counts{workers: 1})
		worker.kill()
		s.awaitStatus(t, "slow", counts{})
		first, second := slowClient(t, s), slowClient(t, s)
		s.awaitClients(t, "slow", "alpha", 2)
		s.awaitStatus(t, "slow", counts{jobs: 1})
		held.open(t)
		slowWorker(t, s, held)
		require.Equal(t, said(t, first), said(t, second))
	})
}

// The client that began it is killed while the job runs: the other one gets the answer.
func TestAttachAndTheFirstClientDies(t *testing.T) {
	t.Parallel()
	needs(t, "gearman")
	onServers(t, func(t *testing.T, s jobServer) {
		held := newGate(t)
		slowWorker(t, s, held)
		first := slowClient(t, s)
		s.awaitStatus(t, "slow", counts{1, 1, 1})
		second := slowClient(t, s)
		s.awaitClients(t, "slow", "alpha", 2)
		first.kill()
		s.awaitClients(t, "slow", "alpha", 1)
		held.open(t)
		said(t, second)
	})
}

// The only client is killed while the job runs: the worker goes on to the end.
func TestForegroundJobOutlivesItsClient(t *testing.T) {
	t.Parallel()
	needs(t, "gearman")
	onServers(t, func(t *testing.T, s jobServer) {
		held := newGate(t)
		slowWorker(t, s, held)
		client := slowClient(t, s)
		s.awaitStatus(t, "slow", counts{1, 1, 1})
		client.kill()
		s.awaitClients(t, "slow", "alpha", 0)
		held.open(t)
		s.awaitStatus(t, "slow", counts{0, 0, 1})
		require.FileExists(t, held.path+".done")
	})
}

// The only client is killed before a worker takes the job: it never runs. Here it leaves the queue
// as well; at the reference server it is counted until a worker comes.
func TestForegroundJobWithoutAWorkerGoesWithItsClient(t *testing.T) {
	t.Parallel()
	needs(t, "gearman")
	onServers(t, func(t *testing.T, s jobServer) {
		held := newGate(t)
		held.open(t)
		client := slowClient(t, s)
		s.awaitStatus(t, "slow", counts{jobs: 1})
		client.kill()
		if s.ours != nil {
			s.awaitStatus(t, "slow", counts{})
		} else {
			s.awaitClients(t, "slow", "alpha", 0)
		}
		slowWorker(t, s, held)
		s.awaitStatus(t, "slow", counts{0, 0, 1})
		require.NoFileExists(t, held.path+".done")
	})
}

// A background job runs without anybody, and a client can join it.
func TestAttachToABackgroundJob(t *testing.T) {
	t.Parallel()
	needs(t, "gearman")
	onServers(t, func(t *testing.T, s jobServer) {
		held := newGate(t)
		run(t, s.command("gearman", "-b", "-f", "slow", "-u", "alpha", "-s"))
		s.awaitStatus(t, "slow", counts{jobs: 1})
		slowWorker(t, s, held)
		s.awaitStatus(t, "slow", counts{1, 1, 1})
		client := slowClient(t, s)
		s.awaitClients(t, "slow", "alpha", 1)
		held.open(t)
		said(t, client)
		s.awaitStatus(t, "slow", counts{0, 0, 1})
	})
}

// After the end there is nothing to attach to: the job runs again.
func TestAttachAfterTheEnd(t *testing.T) {
	t.Parallel()
	needs(t, "gearman")
	onServers(t, func(t *testing.T, s jobServer) {
		held := newGate(t)
		held.open(t)
		slowWorker(t, s, held)
		require.NotEqual(t, said(t, slowClient(t, s)), said(t, slowClient(t, s)))
	})
}

// The same key of two functions is two jobs.
func TestKeysBelongToTheirFunction(t *testing.T) {
	t.Parallel()
	needs(t, "gearman")
	onServers(t, func(t *testing.T, s jobServer) {
		for _, function := range []string{"slow", "slower"} {
			start(t, s.command("gearman", "-f", function, "-u", "alpha", "-s"))
		}
		s.awaitStatus(t, "slow", counts{jobs: 1})
		s.awaitStatus(t, "slower", counts{jobs: 1})
	})
}

// The worker is killed half-way: the next one does the job again, for both clients.
func TestAttachAndTheWorkerDies(t *testing.T) {
	t.Parallel()
	needs(t, "gearman")
	onServers(t, func(t *testing.T, s jobServer) {
		held := newGate(t)
		worker := slowWorker(t, s, held)
		first, second := slowClient(t, s), slowClient(t, s)
		s.awaitClients(t, "slow", "alpha", 2)
		s.awaitStatus(t, "slow", counts{1, 1, 1})
		worker.kill()
		s.awaitStatus(t, "slow", counts{1, 0, 0})
		held.open(t)
		slowWorker(t, s, held)
		require.Equal(t, said(t, first), said(t, second))
	})
}

// The commands of the story with this module's own client and worker in their place.
func TestAttachWithOurCommands(t *testing.T) {
	t.Parallel()
	geartrain := buildGeartrain(t)
	onServers(t, func(t *testing.T, s jobServer) {
		held := newGate(t)
		start(t, exec.Command(geartrain, "worker", "-S", s.addr, "-f", "slow", "--", "env", "GATE="+held.path, program("sh/slow.sh")))
		client := func() *process {
			return start(t, exec.Command(geartrain, "do", "slow", "-S", s.addr, "-u", "alpha", "-s"))
		}
		first := client()
		s.awaitStatus(t, "slow", counts{1, 1, 1})
		second := client()
		s.awaitClients(t, "slow", "alpha", 2)
		held.open(t)
		require.Equal(t, said(t, first), said(t, second))
	})
}
