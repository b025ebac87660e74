package disk_test

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/geartrain/geartrain/server/store"
	"github.com/geartrain/geartrain/server/store/disk"
	"github.com/geartrain/geartrain/server/store/storetest"
)

var listPath = filepath.Join(dir, "segments")

// overwrite puts bytes into a file that may not exist, and gives the file system as if they had always been there.
func overwrite(t *testing.T, fs *storetest.Files, name string, at int64, b []byte) *storetest.Files {
	f, err := fs.Open(name)
	if err != nil {
		f, err = fs.Create(name)
	}
	require.NoError(t, err)
	_, err = f.WriteAt(b, at)
	require.NoError(t, err)
	return fs.After(storetest.Kill, 1)
}

// place makes a file be as given, and nothing else.
func place(t *testing.T, fs *storetest.Files, name string, content []byte) *storetest.Files {
	_ = fs.Remove(name) // it may not be there
	return overwrite(t, fs, name, 0, content)
}

// Whatever sector is lost, the first of a segment with both copies of its header too, the start says so and
// loads what was elsewhere.
func TestEverySectorLost(t *testing.T) {
	t.Parallel()
	for what, fill := range map[string]byte{"zeros": 0, "garbage": 0xa5} {
		for _, closed := range []bool{true, false} {
			base, model := filled(t, closed)
			names := segments(t, base)
			for _, name := range append(names, listPath) {
				if !closed && fill == 0 && name == names[len(names)-1] {
					continue // it may be an unfinished write
				}
				for at := int64(0); at < int64(len(base.Content(name))); at += storetest.Sector {
					n := min(storetest.Sector, int64(len(base.Content(name)))-at)
					fs := overwrite(t, base.After(storetest.Kill, 1), name, at, bytes.Repeat([]byte{fill}, int(n)))
					if bytes.Equal(fs.Content(name), base.Content(name)) {
						continue
					}
					damaged(t, fs, model, fmt.Sprintf("%s instead of the sector at %d of %s, closed %v", what, at, name, closed))
				}
			}
		}
	}
}

// One record in one segment: the sector has all there is.
func TestOnlyHeaderLost(t *testing.T) {
	t.Parallel()
	fs := storetest.NewFiles(1)
	st := must(t, tiny(fs))
	for id := range store.ID(8) {
		require.NoError(t, st.Commit([]store.Op{put(id+1, "head", string(bytes.Repeat([]byte("b"), 200)))}))
	}
	require.NoError(t, st.Close())
	name := segments(t, fs)[0]
	fs = overwrite(t, fs, name, 0, make([]byte, 512))
	cfg := tiny(fs)
	cfg.Strict = true
	before := snapshot(t, fs)
	_, err := disk.Open(cfg)
	require.ErrorIs(t, err, store.ErrDamaged)
	require.ErrorContains(t, err, filepath.Base(name)+":0: the file's header is damaged")
	require.Equal(t, before, snapshot(t, fs), "nothing was changed")
	model := storetest.Model{}
	for id := range store.ID(8) {
		model.Apply([]store.Op{put(id+1, "head", string(bytes.Repeat([]byte("b"), 200)))})
	}
	missing, stats := damaged(t, fs, model, "the first sector")
	require.Equal(t, 2, missing, "the first is in it, and part of the second")
	require.GreaterOrEqual(t, stats.Damaged, uint64(missing))
}

// past are all states that the files of a folder had on the way to what it is.
func past(t *testing.T) (fs *storetest.Files, model storetest.Model, states map[string][][]byte) {
	fs = storetest.NewFiles(1)
	r := &run{cfg: tiny(fs), model: storetest.Model{}}
	r.st = must(t, r.cfg)
	states = map[string][][]byte{}
	for _, s := range script(3, 40) {
		require.NoError(t, r.step(t, fs, s))
		for _, name := range segments(t, fs) {
			now := fs.Content(name)
			if all := states[name]; len(all) == 0 || !bytes.Equal(all[len(all)-1], now) {
				states[name] = append(all, now)
			}
		}
	}
	require.NoError(t, r.st.Close())
	return fs.After(storetest.Kill, 1), r.model, states
}

// Whole files that are gone, empty, old, or in each other's place cost what was in them, and a start says it.
func TestFilesAstray(t *testing.T) {
	t.Parallel()
	base, model, states := past(t)
	names := segments(t, base)
	require.Greater(t, len(names), 2)
	require.Greater(t, len(states), len(names)+2, "some were removed")
	fresh := func() *storetest.Files { return base.After(storetest.Kill, 1) }
	for _, name := range names {
		fs := fresh()
		require.NoError(t, fs.Remove(name))
		_, stats := damaged(t, fs.After(storetest.Kill, 1), model, name+" is missing")
		require.Positive(t, stats.Damaged, "it is counted")
		damaged(t, place(t, fresh(), name, []byte{0}), model, name+" has one byte")
		fs = fresh()
		fs.Cut(name, 0)
		damaged(t, fs, model, name+" is empty")
		for i, content := range states[name] {
			damaged(t, place(t, fresh(), name, content), model, fmt.Sprintf("%s as it was in state %d", name, i))
		}
		for _, other := range names {
			if other != name {
				damaged(t, place(t, fresh(), name, base.Content(other)), model, name+" is a copy of "+other)
			}
		}
	}
}

// What was removed, or was never there, changes nothing when it is there.
func TestFilesTooMany(t *testing.T) {
	t.Parallel()
	base, model, states := past(t)
	names := segments(t, base)
	extra := map[string][]byte{
		filepath.Join(dir, "0000000999.log"):     base.Content(names[0]),
		filepath.Join(dir, "4294967295.log"):     base.Content(names[1]),
		filepath.Join(dir, "0000000001.log.new"): base.Content(names[1]),
		listPath + ".new":                        base.Content(names[1]),
	}
	for name, all := range states {
		if !slices.Contains(names, name) {
			extra[name] = all[len(all)-1]
		}
	}
	require.Greater(t, len(extra), 5)
	for _, name := range slices.Sorted(maps.Keys(extra)) {
		fs := place(t, base.After(storetest.Kill, 1), name, extra[name])
		missing, stats := damaged(t, fs, model, name+" is there too")
		require.Zero(t, missing, name)
		require.Zero(t, stats.Damaged, "%s: nothing was lost", name)
		require.EqualValues(t, len(model), stats.Records, "%s: nothing is back", name)
	}
}

// After a clean end the list knows how far the log went, even if the file system does not.
func TestEndLost(t *testing.T) {
	t.Parallel()
	fs := storetest.NewFiles(1)
	st := must(t, tiny(fs))
	require.NoError(t, st.Commit([]store.Op{put(1, "a", "A")}))
	name := segments(t, fs)[0]
	old := fs.Content(name)
	ops := []store.Op{put(2, "b", "B"), put(3, "c", "C")}
	require.NoError(t, st.Commit(ops))
	require.NoError(t, st.Close())
	model := storetest.Model{}.With([]store.Op{put(1, "a", "A")}).With(ops)
	missing, stats := damaged(t, place(t, fs, name, old), model, "the file as it was before the last batch")
	require.Equal(t, 2, missing)
	require.Positive(t, stats.Damaged)
}

// A process that was killed may have left its last batch to the system. Whoever finds it there, and builds on
// it, has to make sure that it stays.
func TestFoundAfterKillIsSynced(t *testing.T) {
	t.Parallel()
	fs := storetest.NewFiles(1)
	cfg := tiny(fs)
	var err error
	cfg.Sync, err = disk.ParseSync("never")
	require.NoError(t, err)
	st := must(t, cfg)
	require.NoError(t, st.Commit([]store.Op{put(1, "a", "A")}))
	require.NoError(t, st.Commit([]store.Op{put(2, "b", "B")})) // and it is killed
	_, lost, err := open(tiny(fs.After(storetest.Lose, 1)))
	require.NoError(t, err)
	require.Empty(t, lost, "nothing of it was synced")
	fs.Unlock()
	_, all, err := open(tiny(fs))
	require.NoError(t, err)
	require.Len(t, all, 2)
	_, again, err := open(tiny(fs.After(storetest.Lose, 1)))
	require.NoError(t, err)
	require.Len(t, again, 2)
}

// When a record is damaged, an older one of the same number is out of date: it does not come back, neither
// at once nor when the damaged one is no longer there.
func TestOlderRecordStaysAway(t *testing.T) {
	t.Parallel()
	for what, then := range map[string]func(*disk.Store) error{
		"nothing":      func(*disk.Store) error { return nil },
		"another head": func(st *disk.Store) error { return st.Commit([]store.Op{op(store.PutHead, 1, "again", "")}) },
		"a delete":     func(st *disk.Store) error { return st.Commit([]store.Op{op(store.Delete, 1, "", "")}) },
		"an end": func(st *disk.Store) error {
			return errors.Join(st.Commit([]store.Op{put(1, "end", "")}), st.Commit([]store.Op{op(store.Delete, 1, "", "")}))
		},
	} {
		for _, atStart := range []bool{true, false} {
			fs := storetest.NewFiles(1)
			st := must(t, tiny(fs))
			require.NoError(t, st.Commit([]store.Op{put(1, "job", "payload"), put(2, "fills", strings.Repeat("f", 2000))}))
			require.NoError(t, st.Commit([]store.Op{put(1, "result", "answer")}))
			names := segments(t, fs)
			require.Len(t, names, 2)
			at := bytes.Index(fs.Content(names[1]), []byte("answer"))
			if atStart {
				require.NoError(t, st.Close())
			}
			fs.Flip(names[1], int64(at)*8)
			if atStart {
				var err error
				st, err = disk.Open(tiny(fs))
				require.NoError(t, err)
				require.Len(t, storetest.All(t, st), 1, "the job is over")
			} else {
				require.NoError(t, st.Commit([]store.Op{put(3, "fills", strings.Repeat("f", 2000))}))
				require.NoError(t, st.Commit([]store.Op{put(4, "begins", "another file")}))
				require.NoError(t, st.Verify(t.Context()))
			}
			require.EqualValues(t, 1, st.Stats().Damaged)
			require.NoError(t, then(st))
			compactAll(t, st)
			require.NoError(t, st.Close())
			require.NotContains(t, segments(t, fs), names[1], "the damaged file is gone")
			_, all, err := open(tiny(fs))
			require.NoError(t, err)
			for _, r := range all {
				require.NotEqualValues(t, 1, r.ID, "%s, at start %v", what, atStart)
			}
		}
	}
}
