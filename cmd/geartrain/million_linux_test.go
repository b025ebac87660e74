//go:build linux && !race

package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/geartrain/geartrain/gearman"
)

// A run of a million items takes the memory of its window, with its journal, and started again too.
// GEARTRAIN_MILLION is the number of items; see make million.
func TestMillionItemsInConstantMemory(t *testing.T) {
	items, err := strconv.Atoi(os.Getenv("GEARTRAIN_MILLION"))
	if err != nil {
		t.Skip("GEARTRAIN_MILLION is not set: make million")
	}
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "many.yaml"),
		fmt.Appendf(nil, "name: many\nstages:\n  - name: s\n    function: echo\n    for_each: %d\noutput: ${{ stages.s.count }}\n", items), 0o600))
	socket := filepath.Join(dir, "socket")
	server := exec.Command("geartrain", "server", "-L", "unix:"+socket)
	log, err := server.StderrPipe()
	require.NoError(t, err)
	require.NoError(t, server.Start())
	defer func() {
		_ = server.Process.Kill()
		_ = server.Wait()
	}()
	_, err = bufio.NewReader(log).ReadString('\n')
	require.NoError(t, err)
	go io.Copy(io.Discard, log)
	echo, err := gearman.NewWorker(gearman.WorkerConfig{Servers: []string{"unix:" + socket}, Concurrency: 64})
	require.NoError(t, err)
	echo.Handle("echo", echoJob)
	go echo.Run(t.Context())

	run := func(flags ...string) time.Duration {
		cmd := exec.Command("geartrain", append([]string{"run", "many.yaml", "-q", "-S", "unix:" + socket}, flags...)...)
		cmd.Dir = dir
		begin := time.Now()
		require.NoError(t, cmd.Start())
		ended := make(chan error, 1)
		go func() { ended <- cmd.Wait() }()
		peak := 0
		for {
			select {
			case err := <-ended:
				require.NoError(t, err)
				took := time.Since(begin)
				t.Logf("%v: %d items in %s, peak %d MiB", flags, items, took.Round(time.Millisecond), peak>>20)
				require.Less(t, peak, 200<<20)
				return took
			case <-time.After(20 * time.Millisecond):
				peak = max(peak, peakOf(cmd.Process.Pid))
			}
		}
	}
	without := run("--no-data")
	with := run("--state", filepath.Join(dir, "state"), "--at", "2026-01-01T00:00:00Z")
	t.Logf("the journal makes it %.2f times as long", with.Seconds()/without.Seconds())
	run("--state", filepath.Join(dir, "state"), "--at", "2026-01-01T00:00:00Z")
}

// peakOf is the most memory that a process had, 0 when it has just ended.
func peakOf(pid int) int {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(status)) {
		if kib, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			n, _ := strconv.Atoi(strings.Fields(kib)[0])
			return n << 10
		}
	}
	return 0
}

func echoJob(_ context.Context, job *gearman.Job) ([]byte, error) { return job.Payload(), nil }
