//go:build unix

package interop_test

import (
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func needsPHP(t *testing.T) {
	t.Helper()
	if reason := phpMissing(); reason != "" {
		t.Skip(reason)
	}
}

func phpWorker(t *testing.T, s jobServer) *process {
	t.Helper()
	p := start(t, exec.Command("php", program("php/worker.php"), s.addr, "php"))
	s.awaitStatus(t, "php.unique", counts{workers: 1})
	return p
}

func TestPHPCalls(t *testing.T) {
	t.Parallel()
	needsPHP(t)
	onServers(t, func(t *testing.T, s jobServer) {
		phpWorker(t, s)
		require.Equal(t, []string{
			"ping yes",
			"doNormal olleh",
			"doHigh olleh",
			"doLow olleh",
			"doNormal unique the key",
			"doNormal fail GEARMAN_WORK_FAIL",
			"doNormal steps onedone",
			"doBackground [true,false,0,0] [true,false,0,0]",
			"doHighBackground [true,false,0,0] [true,false,0,0]",
			"doLowBackground [true,false,0,0] [true,false,0,0]",
			"unknown [false,false,0,0]",
			"doBackground ended",
		}, runLines(t, exec.Command("php", program("php/calls.php"), s.addr, "php")))
		s.awaitStatus(t, "php.nobody", counts{jobs: 3})
	})
}

// Nothing is sent before runTasks, and then everything, so that equal keys meet in one run.
func TestPHPUniq(t *testing.T) {
	t.Parallel()
	needsPHP(t)
	onServers(t, func(t *testing.T, s jobServer) {
		hello := file(t, "hello")
		asked := []task{{"php.unique", hello}, {"php.unique", hello}, {"php.unique", hello}}
		client := start(t, setenv(clientCommand("php", "php/client.php", s, asked...), "KEY=one"))
		s.awaitClients(t, "php.unique", "one", 3)
		s.awaitStatus(t, "php.unique", counts{jobs: 1})
		phpWorker(t, s)
		require.Zero(t, client.wait(t), client.err.String())
		require.Equal(t, "php.unique: complete one\nphp.unique: complete one\nphp.unique: complete one\n", client.out.String())
	})
}

func TestPHPWithSeveralServers(t *testing.T) {
	t.Parallel()
	needsPHP(t)
	one, other := ours(t), ours(t)
	phpWorker(t, one)
	phpWorker(t, other)
	both := jobServer{addr: one.addr + "," + other.addr}
	asked := slices.Repeat([]task{{"php.reverse", file(t, "hello")}}, 20)
	require.Equal(t, strings.Repeat("php.reverse: complete olleh\n", 20), run(t, clientCommand("php", "php/client.php", both, asked...)))
}
