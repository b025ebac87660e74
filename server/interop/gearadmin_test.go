//go:build unix

package interop_test

import (
	"os"
	"regexp"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/geartrain/geartrain/gearman"
)

// TestGearadmin runs the stock command with each of its options.
func TestGearadmin(t *testing.T) {
	t.Parallel()
	needs(t, "gearadmin")
	onServers(t, func(t *testing.T, s jobServer) {
		admin := func(args ...string) string {
			t.Helper()
			return start(t, s.command("gearadmin", args...)).all(t) // its exit code is always 0
		}
		require.Regexp(t, `^\S+\n$`, admin("--server-version"))
		require.Regexp(t, `^[A-Z]+\n$`, admin("--server-verbose"))
		require.Regexp(t, `^\d+\n$`, admin("--getpid"))
		if s.ours != nil {
			require.Equal(t, strconv.Itoa(os.Getpid())+"\n", admin("--getpid"))
		}
		require.Equal(t, ".\n", admin("--status"))
		require.Equal(t, "OK\n", admin("--create-function", "made"))
		require.Equal(t, "made\t0\t0\t0\n.\n", admin("--status"))
		require.Equal(t, "made\t0\t0\t0\t0\n.\n", admin("--priority-status"))

		client := newClient(t, s)
		var handles []string
		for i, priority := range []gearman.Priority{gearman.High, gearman.Normal, gearman.Low, gearman.Low} {
			h, err := client.Submit(t.Context(), gearman.Task{Function: "made", Key: "key" + strconv.Itoa(i), Priority: priority})
			require.NoError(t, err)
			handles = append(handles, h.ID)
		}
		require.Equal(t, "made\t4\t0\t0\n.\n", admin("--status"))
		require.Equal(t, "made\t1\t1\t2\t0\n.\n", admin("--priority-status"))
		jobs := admin("--show-jobs")
		for i, h := range handles {
			require.Regexp(t, `(?m)^`+regexp.QuoteMeta(h)+`\t0\t0\t1$`, jobs)
			require.Contains(t, admin("--show-unique-jobs"), "key"+strconv.Itoa(i)+"\n")
		}
		require.Regexp(t, `(?m)^\d+ 127.0.0.1 \S+ :`, admin("--workers"))

		require.Equal(t, "OK\n", admin("--cancel-job", handles[0]))
		require.Contains(t, admin("--cancel-job", "H:nowhere:1"), "UNKNOWN_JOB")
		if s.ours != nil { // the reference server keeps it, marked
			require.Contains(t, admin("--cancel-job", handles[0]), "UNKNOWN_JOB")
			require.NotContains(t, admin("--show-jobs"), handles[0]+"\t")
			require.Equal(t, "made\t3\t0\t0\n.\n", admin("--status"))
		}
		require.Equal(t, "OK\n", admin("--drop-function", "made"))
		require.Contains(t, admin("--drop-function", "made"), "function not found")
		require.Equal(t, ".\n", admin("--status"))
	})
}

// Workers are listed with what they can do.
func TestGearadminWorkers(t *testing.T) {
	t.Parallel()
	needs(t, "gearadmin", "gearman")
	onServers(t, func(t *testing.T, s jobServer) {
		start(t, s.command("gearman", "-w", "-f", "one", "-f", "two"))
		s.awaitStatus(t, "two", counts{workers: 1})
		listing := run(t, s.command("gearadmin", "--workers"))
		require.Regexp(t, `(?m)^\d+ 127.0.0.1 \S+ : (one two|two one)$`, listing)
		require.Regexp(t, `\n\.\n$`, listing)
	})
}
