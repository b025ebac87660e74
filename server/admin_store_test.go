package server_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/geartrain/geartrain/gearman/protocol"
	"github.com/geartrain/geartrain/server"
	"github.com/geartrain/geartrain/server/queue"
	"github.com/geartrain/geartrain/server/servertest"
	"github.com/geartrain/geartrain/server/store"
)

// list is the answer to an admin line, up to its period.
func (p *peer) list(line string) []string {
	p.t.Helper()
	p.raw([]byte(line + "\n"))
	return strings.Split(strings.TrimSuffix(p.answer(true), ".\n"), "\n")
}

// durable is a store in memory that says it were a durable one.
type durable struct {
	store.Memory
	copies atomic.Int32
}

func (d *durable) Stats() store.Stats { return store.Stats{Durable: true, Sync: "always"} }

func (d *durable) Backup(_ context.Context, dir string) error {
	d.copies.Add(1)
	return os.WriteFile(filepath.Join(dir, "copy"), nil, 0o600)
}

func TestGuarantees(t *testing.T) {
	t.Parallel()
	p := dial(t, servertest.Pipe(t))
	have := p.list("guarantees")
	require.Contains(t, have, "durable\tno")
	require.Contains(t, have, "payload-guard\tcount")
	require.NotContains(t, strings.Join(have, "\n"), "sync")

	p = dial(t, servertest.Pipe(t, with(&durable{}), func(c *server.Config) {
		c.Queue.Policies = []queue.Policy{{Pattern: "*", Conflict: queue.Reject}}
	}))
	p.echo()
	have = p.list("guarantees")
	require.Contains(t, have, "durable\tyes")
	require.Contains(t, have, "sync\talways")
	require.Contains(t, have, "payload-guard\treject")
}

func TestShowScheduled(t *testing.T) {
	t.Parallel()
	p := dial(t, servertest.Pipe(t))
	p.background("f", "", "not this one")
	p.send(protocol.SubmitJobEpoch, "f", "a\tkey", "4000000000", "x")
	h := p.expect(protocol.JobCreated)[0]
	require.Equal(t, []string{h + "\tf\ta\\x09key\t4000000000", ""}, p.list("show scheduled"))
}

func TestBackupOnlyWhereItIsAllowed(t *testing.T) {
	t.Parallel()
	root, away := t.TempDir(), t.TempDir()
	require.NoError(t, os.Symlink(away, filepath.Join(root, "link")))
	d := &durable{}
	p := dial(t, servertest.Start(t, with(d), func(c *server.Config) { c.BackupRoot = root }))
	for _, dir := range []string{"..", ".", "/etc", "../x", root, root + "/../x", "a/../../x", "link/x", ""} {
		require.Contains(t, p.admin("backup "+dir), "ERR ", "%q", dir)
	}
	require.Zero(t, d.copies.Load())
	require.Equal(t, "OK\r\n", p.admin("backup one"))
	require.Equal(t, "OK\r\n", p.admin("backup "+filepath.Join(root, "two/three")))
	require.FileExists(t, filepath.Join(root, "two/three/copy"))
	require.EqualValues(t, 2, d.copies.Load())

	p = dial(t, servertest.Start(t, with(&durable{})))
	require.Contains(t, p.admin("backup one"), "--backup-dir")
	p = dial(t, servertest.Start(t, func(c *server.Config) { c.BackupRoot = root }))
	require.Contains(t, p.admin("backup one"), "--data")
}

// What an admin line has changed is stored when it is answered.
func TestAdminChangesAreStoredWhenAnswered(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := &ward{}
		s := servertest.Pipe(t, with(w), func(c *server.Config) { c.Queue.JobRetries = 1 })
		p := dial(t, s)
		h := p.background("f", "", "x")
		require.Equal(t, "OK\r\n", p.admin("cancel job "+h))
		require.Zero(t, w.records())

		payload := strings.Repeat("x", 1000)
		h = p.background("f", "", payload)
		wk := worker(t, s, "f")
		wk.work()
		wk.Close()
		synctest.Wait()
		require.Contains(t, p.list("show dead "+h), "payload\t"+payload, "it is read from the store")
		w.breaks(store.ErrFull, false)
		require.Contains(t, p.admin("retry dead "+h), "ERR")
		require.Contains(t, p.list("show dead "+h), "size\t1000", "it is still there")
		w.breaks(nil, false)
		time.Sleep(time.Second)
		require.Equal(t, "OK\r\n", p.admin("retry dead "+h))
		_, got := worker(t, s, "f").work()
		require.Equal(t, payload, got)
	})
}
