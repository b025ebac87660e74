package disk_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/geartrain/geartrain/server/store"
	"github.com/geartrain/geartrain/server/store/disk"
	"github.com/geartrain/geartrain/server/store/files"
)

// fresh opens a store in a new folder.
func fresh(b *testing.B, dir, sync string) *disk.Store {
	mode, err := disk.ParseSync(sync)
	require.NoError(b, err)
	st, err := disk.Open(disk.Config{Dir: dir, Sync: mode})
	require.NoError(b, err)
	require.NoError(b, st.Load(b.Context(), 0, func(store.Record) error { return nil }))
	return st
}

// puts makes a batch of new records.
func puts(next *store.ID, n, size int) []store.Op {
	head, body := make([]byte, 60), make([]byte, size)
	ops := make([]store.Op, n)
	for i := range ops {
		*next++
		ops[i] = store.Op{Kind: store.Put, Record: store.Record{ID: *next, Head: head, Body: body}}
	}
	return ops
}

func deletes(ops []store.Op) []store.Op {
	all := make([]store.Op, len(ops))
	for i := range ops {
		all[i] = store.Op{Kind: store.Delete, Record: store.Record{ID: ops[i].ID}}
	}
	return all
}

// BenchmarkSync is what the folder itself can do: a write over zeros, and a sync.
func BenchmarkSync(b *testing.B) {
	f, err := files.OS{}.Create(filepath.Join(b.TempDir(), "file"))
	require.NoError(b, err)
	_, err = f.WriteAt(make([]byte, 64<<20), 0)
	require.NoError(b, err)
	require.NoError(b, f.Sync())
	piece := make([]byte, 400)
	for i := 0; b.Loop(); i++ {
		_, err := f.WriteAt(piece, int64(i%160_000)*400)
		require.NoError(b, err)
		require.NoError(b, f.Sync())
	}
	require.NoError(b, f.Close())
}

// BenchmarkCommit stores batches of records of 256 bytes.
func BenchmarkCommit(b *testing.B) {
	for _, sync := range []string{"always", "never"} {
		for _, n := range []int{1, 32, 1000} {
			b.Run(fmt.Sprintf("%s/%d", sync, n), func(b *testing.B) {
				st := fresh(b, b.TempDir(), sync)
				var next store.ID
				for b.Loop() {
					require.NoError(b, st.Commit(puts(&next, n, 256)))
				}
				b.ReportMetric(float64(b.N*n)/b.Elapsed().Seconds(), "records/s")
				require.NoError(b, st.Close())
			})
		}
	}
}

// BenchmarkJobs stores and deletes, with the compaction that this makes.
func BenchmarkJobs(b *testing.B) {
	st := fresh(b, b.TempDir(), "always")
	var next store.ID
	queue := [][]store.Op{puts(&next, 32, 256), puts(&next, 32, 256)}
	for b.Loop() {
		ops := puts(&next, 32, 256)
		require.NoError(b, st.Commit(append(ops, deletes(queue[0])...)))
		queue = append(queue[1:], ops)
	}
	b.ReportMetric(float64(b.N*32)/b.Elapsed().Seconds(), "jobs/s")
	require.NoError(b, st.Close())
}

// BenchmarkLoad starts with a million records of 1 KiB.
func BenchmarkLoad(b *testing.B) {
	dir := b.TempDir()
	st := fresh(b, dir, "never")
	var next store.ID
	for range 1000 {
		require.NoError(b, st.Commit(puts(&next, 1000, 1024)))
	}
	require.NoError(b, st.Close())
	for b.Loop() {
		st, err := disk.Open(disk.Config{Dir: dir, Quiet: true})
		require.NoError(b, err)
		n := 0
		start := time.Now()
		require.NoError(b, st.Load(b.Context(), 256, func(store.Record) error { n++; return nil }))
		b.ReportMetric(time.Since(start).Seconds(), "s/load")
		require.Equal(b, 1_000_000, n)
		require.NoError(b, st.Close())
	}
	require.NoError(b, os.RemoveAll(dir))
}

// BenchmarkBody reads bodies of 1 KiB at random.
func BenchmarkBody(b *testing.B) {
	st := fresh(b, b.TempDir(), "never")
	var next store.ID
	for range 100 {
		require.NoError(b, st.Commit(puts(&next, 1000, 1024)))
	}
	for i := uint64(0); b.Loop(); i++ {
		_, err := st.Body(store.ID(1 + i*7919%100_000))
		require.NoError(b, err)
	}
	require.NoError(b, st.Close())
}
