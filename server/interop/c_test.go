//go:build unix

package interop_test

import (
	"os/exec"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

func needsC(t *testing.T) {
	t.Helper()
	if reason := cMissing(); reason != "" {
		t.Skip(reason)
	}
}

func TestCCalls(t *testing.T) {
	t.Parallel()
	needsC(t)
	onServers(t, func(t *testing.T, s jobServer) {
		cWorker(t, s, "c")
		s.awaitStatus(t, "c.steps", counts{workers: 1})
		require.Equal(t, []string{
			"echo: GEARMAN_SUCCESS",
			"do reverse: olleh (GEARMAN_SUCCESS)",
			"do_high reverse: olleh (GEARMAN_SUCCESS)",
			"do_low reverse: olleh (GEARMAN_SUCCESS)",
			"do empty:  (GEARMAN_SUCCESS)",
			"do fail:  (GEARMAN_WORK_FAIL)",
			"do steps: onedone (GEARMAN_SUCCESS)",
			"execute reverse: olleh (GEARMAN_SUCCESS)",
			"execute fail:  (GEARMAN_WORK_FAIL)",
			"execute nobody in the background: GEARMAN_SUCCESS",
			"execute later in the background: GEARMAN_SUCCESS",
			"execute echo in the background: GEARMAN_SUCCESS",
			"background: GEARMAN_SUCCESS; by handle: GEARMAN_SUCCESS 1 0 0/0; by key: 1 0 0/0; unknown: 0",
			"high_background: GEARMAN_SUCCESS; by handle: GEARMAN_SUCCESS 1 0 0/0; by key: 1 0 0/0; unknown: 0",
			"low_background: GEARMAN_SUCCESS; by handle: GEARMAN_SUCCESS 1 0 0/0; by key: 1 0 0/0; unknown: 0",
			"background: ended",
		}, runLines(t, exec.Command(compiled(t, "calls"), s.addr, "c")))
		s.awaitStatus(t, "c.nobody", counts{jobs: 4})
		s.awaitStatus(t, "c.later", counts{jobs: 1})            // in an hour
		s.awaitStatus(t, "c.echo", counts{jobs: 0, workers: 1}) // its time had come
	})
}

// Without asking for exceptions there is one end, a failure. The reference server sends a handle
// that no client knows.
func TestCExceptionsNotAskedFor(t *testing.T) {
	t.Parallel()
	needsC(t)
	s := ours(t)
	cWorker(t, s, "c")
	boom, reverse := task{"c.boom", file(t, "x")}, task{"c.reverse", file(t, "hello")}
	client := exec.Command(compiled(t, "client"), append([]string{s.addr}, arguments([]task{boom, reverse})...)...)
	require.Equal(t, "c.boom: fail\nc.reverse: complete olleh\n", run(t, setenv(client, "EXCEPTIONS=no")))
}

func TestCWithSeveralServers(t *testing.T) {
	t.Parallel()
	needsC(t)
	one, other := ours(t), ours(t)
	both := jobServer{addr: one.addr + "," + other.addr}
	cWorker(t, both, "c") // one worker for both
	asked := slices.Repeat([]task{{"c.reverse", file(t, "hello")}}, 20)
	require.Equal(t, slices.Repeat([]string{"c.reverse: complete olleh"}, 20), cClient(t, both, asked))
}
