package disk_test

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/geartrain/geartrain/server/store"
	"github.com/geartrain/geartrain/server/store/disk"
	"github.com/geartrain/geartrain/server/store/storetest"
)

// TestMain bounds the random tests: each of their steps may sync a real disk.
func TestMain(m *testing.M) {
	if err := flag.Set("rapid.checks", "10"); err != nil {
		panic(err)
	}
	goleak.VerifyTestMain(m)
}

func TestSuite(t *testing.T) {
	t.Parallel()
	storetest.Suite{
		Open: func(dir string) (store.Store, error) { return disk.Open(disk.Config{Dir: dir}) },
	}.Run(t)
}

// The same where a few commits fill a segment, and compactions go on all the time.
func TestSuiteWithSmallSegments(t *testing.T) {
	t.Parallel()
	fs := storetest.NewFiles(1)
	config := func(fs *storetest.Files, dir string) disk.Config {
		return disk.Config{Dir: dir, FS: fs, SegmentSize: 8192, Extend: 2048, Reserve: 4096, CompactRate: 1 << 40}
	}
	storetest.Suite{
		Open:  func(dir string) (store.Store, error) { return disk.Open(config(fs, dir)) },
		Large: 1 << 20,
		Small: func(dir string, bytes int64) (store.Store, error) {
			fs := storetest.NewFiles(1)
			fs.Limit(bytes)
			return disk.Open(config(fs, dir))
		},
	}.Run(t)
}

// Commits change what the compaction is about to move.
func TestCompactionBesideCommits(t *testing.T) {
	t.Parallel()
	fs := storetest.NewFiles(1)
	cfg := disk.Config{Dir: dir, FS: fs, SegmentSize: 16 << 10, Extend: 4096, Reserve: 4096, CompactRate: 1 << 40}
	st, _, err := open(cfg)
	require.NoError(t, err)
	model, r := storetest.Model{}, rand.New(rand.NewPCG(1, 2))
	for i := range 4000 {
		id := store.ID(1 + r.IntN(40))
		ops := []store.Op{put(id, fmt.Sprint("put ", i), strings.Repeat("b", r.IntN(400)))}
		if _, exists := model[id]; exists && r.IntN(2) == 0 {
			ops = []store.Op{op(store.Kind(2+r.IntN(2)), id, fmt.Sprint("changed ", i), "")}
		}
		require.NoError(t, st.Commit(ops))
		model.Apply(ops)
	}
	storetest.Bodies(t, st, model.Ops())
	require.NoError(t, st.Close())
	_, all, err := open(tiny(fs))
	require.NoError(t, err)
	require.True(t, model.Equal(all))
}

func TestSyncModes(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"always", "never", "interval=1s", "interval=100ms"} {
		s, err := disk.ParseSync(text)
		require.NoError(t, err)
		require.Equal(t, text, s.String())
	}
	for _, text := range []string{"", "sometimes", "interval", "interval=", "interval=0s", "interval=-1s", "always=1s"} {
		_, err := disk.ParseSync(text)
		require.Error(t, err, text)
	}
}

// With an interval a power failure costs what was committed in it, and no more.
func TestSyncInterval(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fs := storetest.NewFiles(1)
		cfg := tiny(fs)
		cfg.Quiet = false
		var err error
		cfg.Sync, err = disk.ParseSync("interval=1s")
		require.NoError(t, err)
		st := must(t, cfg)
		require.NoError(t, st.Commit([]store.Op{put(1, "a", "A")}))
		time.Sleep(1100 * time.Millisecond)
		synctest.Wait()
		require.NoError(t, st.Commit([]store.Op{put(2, "b", "B")}))
		_, all, err := open(tiny(fs.After(storetest.Lose, 1)))
		require.NoError(t, err)
		require.Len(t, all, 1)
		require.NoError(t, st.Close())
		_, all, err = open(tiny(fs.After(storetest.Lose, 1)))
		require.NoError(t, err)
		require.Len(t, all, 2)
	})
}

// Whatever the folder allows, its files are for the owner only.
func TestModes(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "a", "b")
	st, err := disk.Open(disk.Config{Dir: dir})
	require.NoError(t, err)
	require.NoError(t, st.Load(context.Background(), 0, func(store.Record) error { return nil }))
	require.NoError(t, st.Commit([]store.Op{put(1, "a", "A")}))
	info, err := os.Stat(dir)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o700), info.Mode().Perm())
	names, err := os.ReadDir(dir)
	require.NoError(t, err)
	for _, name := range names {
		info, err := name.Info()
		require.NoError(t, err)
		require.Equal(t, os.FileMode(0o600), info.Mode().Perm(), name.Name())
	}
	require.NoError(t, st.Close())
}

func TestWrongOperations(t *testing.T) {
	t.Parallel()
	st := must(t, tiny(storetest.NewFiles(1)))
	for _, op := range []store.Op{{}, put(0, "", ""), op(9, 1, "", ""), put(1, strings.Repeat("h", store.MaxHead+1), "")} {
		err := st.Commit([]store.Op{put(7, "good", ""), op})
		require.Error(t, err)
		require.NotErrorIs(t, err, store.ErrFull)
		require.NotErrorIs(t, err, store.ErrFailed)
	}
	require.Zero(t, st.Stats().Records)
	require.NoError(t, st.Close())
}

// A start says how far it is.
func TestProgress(t *testing.T) {
	t.Parallel()
	fs, _ := filled(t, true)
	cfg := tiny(fs)
	var last, all int64
	cfg.Progress = func(done, total int64) {
		require.Greater(t, done, last)
		last, all = done, total
	}
	require.NoError(t, must(t, cfg).Close())
	require.Positive(t, all)
	require.Equal(t, all, last)
}
