//go:build unix

package interop_test

import (
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/geartrain/geartrain/server"
)

func needsPerl(t *testing.T) {
	t.Helper()
	if reason := perlMissing(); reason != "" {
		t.Skip(reason)
	}
}

// perlWorker is one more worker; it returns when the server knows it.
func perlWorker(t *testing.T, prefix string, servers ...jobServer) *process {
	t.Helper()
	var addrs []string
	before := make([]int, len(servers))
	for i, s := range servers {
		addrs = append(addrs, s.addr)
		before[i] = s.status(t, prefix+".late").workers
	}
	p := start(t, exec.Command("perl", program("perl/worker.pl"), strings.Join(addrs, ","), prefix))
	for i, s := range servers {
		await(t, "the worker is there", func() bool { return s.status(t, prefix+".late").workers == before[i]+1 })
	}
	return p
}

func perlClient(s jobServer, asked ...task) *exec.Cmd {
	return clientCommand("perl", "perl/client.pl", s, asked...)
}

// A task set's work starts when a task is added, not when the set is waited for.
func TestPerlTaskSetStartsWhenTasksAreAdded(t *testing.T) {
	t.Parallel()
	needsPerl(t)
	onServers(t, func(t *testing.T, s jobServer) {
		perlWorker(t, "perl", s)
		held, hello := newGate(t), file(t, "hello")
		cmd := setenv(perlClient(s, task{"perl.reverse", hello}, task{"perl.reverse", hello}, task{"perl.held", held.payload(t)}), "HOLD=yes")
		input, err := cmd.StdinPipe()
		require.NoError(t, err)
		client := start(t, cmd)
		s.awaitStatus(t, "perl.held", counts{1, 1, 1}) // before or after the others
		require.Empty(t, client.out.String())
		held.open(t)
		s.awaitStatus(t, "perl.held", counts{0, 0, 1})
		s.awaitStatus(t, "perl.reverse", counts{0, 0, 1})
		require.Empty(t, client.out.String())
		require.NoError(t, input.Close())
		require.Zero(t, client.wait(t), client.err.String())
		require.Regexp(t, `^perl.reverse: complete olleh\nperl.reverse: complete olleh\nperl.held: complete \d+\n$`, client.out.String())
	})
}

// The worker that evaluates what it gets.
func TestPerlEval(t *testing.T) {
	t.Parallel()
	needsPerl(t)
	onServers(t, func(t *testing.T, s jobServer) {
		perlWorker(t, "perl", s)
		require.Equal(t, "perl.eval: complete 2\n", run(t, perlClient(s, task{"perl.eval", file(t, "return 1 + 1")})))
	})
}

func TestPerlWorkerAnswersWithNothing(t *testing.T) {
	t.Parallel()
	needsPerl(t)
	s := ours(t)
	worker := perlWorker(t, "perl", s)
	require.Equal(t, "perl.empty: complete\n", run(t, perlClient(s, task{"perl.empty", file(t, "x")})))
	require.False(t, worker.ended(), worker.err.String())
}

// A client that did not ask for exceptions hears of a failure, and nothing else comes after it; the
// reference server sends a handle that this client does not know. The worker, which sends WORK_FAIL
// after WORK_EXCEPTION, lives on; of the reference server's answer it dies.
func TestPerlExceptions(t *testing.T) {
	t.Parallel()
	needsPerl(t)
	s := ours(t)
	worker := perlWorker(t, "perl", s)
	boom := task{"perl.boom", file(t, "x")}
	reverse := task{"perl.reverse", file(t, "hello")}
	require.Equal(t, "perl.boom: exception bang\nperl.reverse: complete olleh\n", run(t, perlClient(s, boom, reverse)))
	require.Equal(t, "perl.boom: fail\nperl.reverse: complete olleh\n", run(t, setenv(perlClient(s, boom, reverse), "EXCEPTIONS=no")))
	require.False(t, worker.ended(), worker.err.String())
}

func TestPerlUniq(t *testing.T) {
	t.Parallel()
	needsPerl(t)
	onServers(t, func(t *testing.T, s jobServer) {
		held := newGate(t)
		asked := slices.Repeat([]task{{"perl.held", held.payload(t)}}, 3)
		first := start(t, setenv(perlClient(s, asked...), "KEY=one"))
		second := start(t, setenv(perlClient(s, asked...), "KEY=one"))
		s.awaitClients(t, "perl.held", "one", 6)
		perlWorker(t, "perl", s)
		held.open(t)
		require.Zero(t, first.wait(t), first.err.String())
		require.Zero(t, second.wait(t), second.err.String())
		require.Equal(t, first.out.String(), second.out.String())
		lines := strings.Split(strings.TrimSpace(first.out.String()), "\n")
		require.Len(t, lines, 3)
		require.Len(t, slices.Compact(lines), 1)
		require.Regexp(t, `^perl.held: complete \d+$`, lines[0])
		s.awaitStatus(t, "perl.held", counts{0, 0, 1})
	})
}

// The payload is the key.
func TestPerlUniqOfThePayload(t *testing.T) {
	t.Parallel()
	needsPerl(t)
	onServers(t, func(t *testing.T, s jobServer) {
		one, other := newGate(t), newGate(t)
		client := start(t, setenv(perlClient(s, task{"perl.held", one.payload(t)}, task{"perl.held", other.payload(t)}, task{"perl.held", one.payload(t)}), "KEY=-"))
		s.awaitStatus(t, "perl.held", counts{jobs: 2})
		one.open(t)
		other.open(t)
		perlWorker(t, "perl", s)
		require.Zero(t, client.wait(t), client.err.String())
		require.Equal(t, 3, strings.Count(client.out.String(), "perl.held: complete"))
	})
}

func TestPerlRetries(t *testing.T) {
	t.Parallel()
	needsPerl(t)
	onServers(t, func(t *testing.T, s jobServer) {
		perlWorker(t, "perl", s)
		require.Equal(t, "perl.fail: retry 1, retry 2, fail\nperl.reverse: complete olleh\n",
			run(t, setenv(perlClient(s, task{"perl.fail", file(t, "x")}, task{"perl.reverse", file(t, "hello")}), "RETRIES=2")))
	})
}

// The client spreads its keys over the servers, and equal keys meet.
func TestPerlWithSeveralServers(t *testing.T) {
	t.Parallel()
	needsPerl(t)
	one, other := ours(t), ours(t)
	perlWorker(t, "perl", one, other)
	both := jobServer{addr: one.addr + "," + other.addr}
	asked := slices.Repeat([]task{{"perl.reverse", file(t, "hello")}}, 20)
	require.Equal(t, strings.Repeat("perl.reverse: complete olleh\n", 20), run(t, setenv(perlClient(both, asked...), "KEY=page %d")))
	first, second := one.ours.Snapshot().Queue.Submitted, other.ours.Snapshot().Queue.Submitted
	require.EqualValues(t, 20, first+second)
	require.NotZero(t, first)
	require.NotZero(t, second)
}

// A function with a timeout, and workers that do not know of it: the job goes to as many workers as
// there are retries, their late results reach nobody, and they live on. That the workers stay connected is the
// patience of perl/worker.pl: a job that a worker is given as it gives up its connection has no late result.
func TestPerlWorkersSurviveTheirLateResults(t *testing.T) {
	t.Parallel()
	needsPerl(t)
	s := ours(t, func(c *server.Config) { c.Queue.JobRetries = 2 })
	workers := []*process{perlWorker(t, "perl", s), perlWorker(t, "perl", s), perlWorker(t, "perl", s)}
	held := newGate(t)
	late := task{"perl.late", held.payload(t)}
	require.Equal(t, "perl.late: fail\n", run(t, perlClient(s, late)))
	require.EqualValues(t, 2, s.ours.Snapshot().Queue.Timeouts)
	reverse := task{"perl.reverse", file(t, "hello")}
	require.Equal(t, "perl.reverse: complete olleh\n", run(t, perlClient(s, reverse))) // one is still free
	held.open(t)
	await(t, "both results have come", func() bool { return s.ours.Snapshot().Queue.LateReports == 2 })
	require.Equal(t, "perl.reverse: complete olleh\n", run(t, perlClient(s, reverse)))
	for _, w := range workers {
		require.False(t, w.ended(), w.err.String())
	}
	require.Len(t, slices.Compact(slices.Sorted(slices.Values(pids(t, s, 3)))), 3)
}

// pids asks until that many workers have answered, each held until all have a job.
func pids(t *testing.T, s jobServer, n int) []string {
	t.Helper()
	held := newGate(t)
	client := start(t, perlClient(s, slices.Repeat([]task{{"perl.held", held.payload(t)}}, n)...))
	s.awaitStatus(t, "perl.held", counts{n, n, n})
	held.open(t)
	require.Zero(t, client.wait(t), client.err.String())
	return strings.Split(strings.TrimSpace(client.out.String()), "\n")
}

func TestPerlBackground(t *testing.T) {
	t.Parallel()
	needsPerl(t)
	onServers(t, func(t *testing.T, s jobServer) {
		held := newGate(t)
		client := start(t, exec.Command("perl", program("perl/background.pl"), s.addr, "perl.held", held.path))
		await(t, "the job is in the queue", func() bool { return client.out.String() == "queued\n" })
		perlWorker(t, "perl", s)
		await(t, "the job runs", func() bool { return client.out.String() == "queued\nrunning\n" })
		held.open(t)
		require.Zero(t, client.wait(t), client.err.String())
		require.Equal(t, "queued\nrunning\nunknown\n", client.out.String())
	})
}

func TestPerlReadsTheStatus(t *testing.T) {
	t.Parallel()
	needsPerl(t)
	onServers(t, func(t *testing.T, s jobServer) {
		held := newGate(t)
		perlWorker(t, "perl", s)
		start(t, perlClient(s, slices.Repeat([]task{{"perl.held", held.payload(t)}}, 3)...))
		s.awaitStatus(t, "perl.held", counts{3, 1, 1})
		lines := runLines(t, exec.Command("perl", program("perl/status.pl"), s.addr))
		require.Contains(t, lines, "perl.held: queued 3, running 1, capable 1")
		require.Contains(t, lines, "perl.echo: queued 0, running 0, capable 1")
	})
}

// A worker that is killed with a job in hand: the next one gets it.
func TestPerlWorkerDies(t *testing.T) {
	t.Parallel()
	needsPerl(t)
	onServers(t, func(t *testing.T, s jobServer) {
		held := newGate(t)
		first := perlWorker(t, "perl", s)
		client := start(t, perlClient(s, task{"perl.held", held.payload(t)}))
		s.awaitStatus(t, "perl.held", counts{1, 1, 1})
		second := perlWorker(t, "perl", s)
		first.kill()
		s.awaitStatus(t, "perl.held", counts{1, 1, 1})
		held.open(t)
		require.Zero(t, client.wait(t), client.err.String())
		require.Equal(t, "perl.held: complete "+pid(second)+"\n", client.out.String())
	})
}
