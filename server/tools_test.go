package server_test

import (
	"context"
	"net"
	"os/exec"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/geartrain/geartrain/server/servertest"
)

// stock runs one of the stock commands against the server.
func stock(t *testing.T, s *servertest.Server, name string, args ...string) string {
	t.Helper()
	host, port, err := net.SplitHostPort(s.Addr)
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), 2*patience)
	defer cancel()
	out, err := exec.CommandContext(ctx, name, append([]string{"-h", host, "-p", port}, args...)...).Output()
	require.NoError(t, err, "%s %q", name, args)
	return string(out)
}

func needs(t *testing.T, name string) {
	t.Helper()
	if _, err := exec.LookPath(name); err != nil {
		t.Skipf("the %s command is not installed", name)
	}
}

func TestStockGearman(t *testing.T) {
	t.Parallel()
	needs(t, "gearman")
	s := servertest.Start(t)
	host, port, err := net.SplitHostPort(s.Addr)
	require.NoError(t, err)
	worker := exec.Command("gearman", "-h", host, "-p", port, "-w", "-f", "upper", "-c", "3", "--", "tr", "a-z", "A-Z")
	require.NoError(t, worker.Start())
	defer func() {
		worker.Process.Kill()
		worker.Wait()
	}()

	require.Equal(t, "HELLO", stock(t, s, "gearman", "-f", "upper", "hello"))
	require.Equal(t, "KEYED", stock(t, s, "gearman", "-f", "upper", "-u", "key", "keyed"))
	require.Empty(t, stock(t, s, "gearman", "-f", "upper", "-b", "behind"))
	require.Eventually(t, func() bool { return s.Snapshot().Queue.Completed == 3 }, patience, 1e6)
}

func TestStockGearadmin(t *testing.T) {
	t.Parallel()
	needs(t, "gearadmin")
	s := servertest.Start(t)
	require.Contains(t, stock(t, s, "gearadmin", "--create-function", "made"), "OK")
	require.Equal(t, "made\t0\t0\t0\n.\n", stock(t, s, "gearadmin", "--status"))
	require.Equal(t, "made\t0\t0\t0\t0\n.\n", stock(t, s, "gearadmin", "--priority-status"))
	h := dial(t, s).submit("made", "key", "x")
	require.Contains(t, stock(t, s, "gearadmin", "--show-jobs"), h+"\t0\t0\t0\n")
	require.Contains(t, stock(t, s, "gearadmin", "--show-unique-jobs"), "key\n")
	require.Contains(t, stock(t, s, "gearadmin", "--cancel-job", h), "OK")
	require.Contains(t, stock(t, s, "gearadmin", "--workers"), " 127.0.0.1 - :\n")
	require.Contains(t, stock(t, s, "gearadmin", "--server-version"), "geartrain")
	require.Contains(t, stock(t, s, "gearadmin", "--drop-function", "made"), "OK")
}
