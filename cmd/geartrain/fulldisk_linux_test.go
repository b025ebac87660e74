package main

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/geartrain/geartrain/gearman/protocol"
)

// A full disk refuses background jobs and nothing else, and takes them again soon after there is room.
func TestFullDisk(t *testing.T) {
	t.Parallel()
	dir, err := os.MkdirTemp("", "full")
	require.NoError(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=8m"); err != nil {
		t.Skipf("a small file system cannot be mounted: %v", err)
	}
	t.Cleanup(func() { assert.NoError(t, syscall.Unmount(dir, syscall.MNT_DETACH)) })
	filler := filepath.Join(dir, "filler")
	require.NoError(t, os.WriteFile(filler, make([]byte, 4<<20), 0o600))
	s := newMortalAt(t, filepath.Join(dir, "data"))
	l := newLedger(t)

	c := s.dial()
	for len(l.refused) < 20 {
		l.try(c, strings.Repeat("x", 50_000))
		require.Less(t, l.next, 1000, "the disk does not become full")
	}
	taken := len(l.acked)
	require.Positive(t, taken)
	_, err = c.Write(request(protocol.SubmitJob, "other", "", "foreground"))
	require.NoError(t, err)
	p, err := c.in.Read()
	require.NoError(t, err)
	require.Equal(t, protocol.JobCreated, p.Type)

	require.NoError(t, os.Remove(filler))
	freed := time.Now()
	for len(l.acked) == taken {
		l.try(c, "small")
		require.Less(t, time.Since(freed), patience)
		time.Sleep(10 * time.Millisecond)
	}
	t.Logf("taken again after %s", time.Since(freed))

	s.kill()
	s.start()
	stop := make(chan struct{})
	done := make(chan struct{})
	go func() {
		defer close(done)
		l.work(s, stop)
	}()
	require.Eventually(t, func() bool { return s.jobs() == 0 }, patience, 20*time.Millisecond)
	close(stop)
	<-done
	l.check()
}

// try submits one job and notes the answer.
func (l *ledger) try(c *talker, filler string) {
	l.t.Helper()
	n, payload := l.payloadOf(filler)
	_, err := c.Write(request(protocol.SubmitJobBg, "crash", "", payload))
	require.NoError(l.t, err)
	p, err := c.in.Read()
	require.NoError(l.t, err)
	l.mu.Lock()
	defer l.mu.Unlock()
	if p.Type == protocol.Error {
		require.Equal(l.t, protocol.CodeDiskFull, string(p.Args[0]))
		l.refused[n] = true
		return
	}
	require.Equal(l.t, protocol.JobCreated, p.Type)
	l.acked[n] = true
}
