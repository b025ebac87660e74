package disk_test

import (
	"encoding/hex"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/geartrain/geartrain/server/store"
	"github.com/geartrain/geartrain/server/store/disk"
	"github.com/geartrain/geartrain/server/store/storetest"
)

var update = flag.Bool("update", false, "write the golden folders anew: only for a new version of the format")

// goldenFolder makes a folder with everything in it that a folder can have, always the same.
func goldenFolder(t *testing.T) (*storetest.Files, storetest.Model) {
	fs, model := storetest.NewFiles(1), storetest.Model{}
	cfg := disk.Config{Dir: dir, FS: fs, SegmentSize: 700, Extend: 64, Reserve: 64, Quiet: true}
	st, err := disk.Open(disk.WithLog(cfg, 0x0123456789abcdef))
	require.NoError(t, err)
	require.Empty(t, storetest.All(t, st))
	for _, ops := range [][]store.Op{
		{put(1, "job one", "payload one"), put(2, "", ""), put(3, "\x00\xff", strings.Repeat("long ", 40))},
		{op(store.PutHead, 1, "job one, again", "")},
		{op(store.Delete, 2, "", ""), put(4, "result", "answer")},
		{put(5, "five", strings.Repeat("5", 300))},
		{op(store.Delete, 3, "", ""), op(store.Delete, 5, "", "")},
		{put(6, "six", "last")},
	} {
		require.NoError(t, st.Commit(ops))
		model.Apply(ops)
	}
	_, err = st.Compact(t.Context())
	require.NoError(t, err)
	require.NoError(t, st.Close())
	return fs, model
}

// TestGolden: today's program writes what it wrote when this version of the format was fixed, and reads it.
func TestGolden(t *testing.T) {
	t.Parallel()
	fs, model := goldenFolder(t)
	folder := filepath.Join("testdata", "v1")
	names := segments(t, fs)
	require.Len(t, names, 2)
	for _, name := range names {
		file := filepath.Join(folder, filepath.Base(name)+".hex")
		if *update {
			require.NoError(t, os.MkdirAll(folder, 0o755))
			require.NoError(t, os.WriteFile(file, []byte(hex.Dump(fs.Content(name))), 0o644))
		}
		want, err := os.ReadFile(file)
		require.NoError(t, err)
		require.Equal(t, string(want), hex.Dump(fs.Content(name)), "the format has changed: it needs a new version")
	}
	old := readGolden(t, folder)
	_, all, err := open(tiny(old))
	require.NoError(t, err)
	require.True(t, model.Equal(all))
}

// readGolden makes a folder of hex dumps.
func readGolden(t testing.TB, folder string) *storetest.Files {
	fs := storetest.NewFiles(1)
	require.NoError(t, fs.MkdirAll(dir))
	dumps, err := filepath.Glob(filepath.Join(folder, "*.hex"))
	require.NoError(t, err)
	for _, dump := range dumps {
		text, err := os.ReadFile(dump)
		require.NoError(t, err)
		f, err := fs.Create(filepath.Join(dir, strings.TrimSuffix(filepath.Base(dump), ".hex")))
		require.NoError(t, err)
		_, err = f.WriteAt(undump(t, string(text)), 0)
		require.NoError(t, err)
	}
	return fs
}

func undump(t testing.TB, text string) (all []byte) {
	for line := range strings.Lines(text) {
		if len(line) < 60 {
			continue
		}
		b, err := hex.DecodeString(strings.ReplaceAll(line[8:59], " ", ""))
		require.NoError(t, err)
		all = append(all, b...)
	}
	return all
}

// FuzzSegment: no bytes at all crash a start or keep it from loading what is in order, and what was loaded
// once is loaded again.
func FuzzSegment(f *testing.F) {
	golden := readGolden(f, filepath.Join("testdata", "v1"))
	names := segments(f, golden)
	for _, name := range names {
		f.Add(golden.Content(name)[128:])
	}
	header := golden.Content(names[0])[:128]
	f.Fuzz(func(t *testing.T, b []byte) {
		fs := storetest.NewFiles(1)
		require.NoError(t, fs.MkdirAll(dir))
		file, err := fs.Create(names[0])
		require.NoError(t, err)
		_, err = file.WriteAt(append(header[:128:128], b...), 0)
		require.NoError(t, err)
		st, err := disk.Open(tiny(fs))
		require.NoError(t, err)
		all := storetest.All(t, st)
		compactAll(t, st)
		require.NoError(t, st.Commit([]store.Op{put(1<<62, "new", "new")}))
		require.NoError(t, st.Close())
		_, again, err := open(tiny(fs))
		require.NoError(t, err)
		require.GreaterOrEqual(t, len(again), len(all))
	})
}
