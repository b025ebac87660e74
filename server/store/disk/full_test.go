package disk_test

import (
	"fmt"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/geartrain/geartrain/server/store"
	"github.com/geartrain/geartrain/server/store/disk"
	"github.com/geartrain/geartrain/server/store/storetest"
)

// found is what a start finds after every kind of crash: the model, and no damage.
func found(t *testing.T, fs *storetest.Files, model storetest.Model, what string) {
	t.Helper()
	for seed, crash := range []storetest.Crash{storetest.Kill, storetest.Lose, storetest.Mixed, storetest.Mixed, storetest.Mixed} {
		after := fs.After(crash, uint64(seed))
		after.Limit(0)
		_, all, err := open(tiny(after))
		require.NoError(t, err, what)
		require.True(t, model.Equal(all), "%s, crash %d: %d records instead of %d", what, crash, len(all), len(model))
	}
}

// fill commits until something is refused.
func fill(t *testing.T, st *disk.Store, model storetest.Model, from store.ID) store.ID {
	for id := from; ; id++ {
		ops := []store.Op{put(id, "job", strings.Repeat("p", int(id*97%700))), put(id+1<<20, "another", "in the same batch")}
		if err := st.Commit(ops); err != nil {
			require.ErrorIs(t, err, store.ErrFull)
			return id
		}
		model.Apply(ops)
	}
}

// A file system that writes nothing in place has no room for zeros either: what was refused stays where it is
// until there is some, and is not found by any start.
func TestFullWhereNothingIsOverwritten(t *testing.T) {
	t.Parallel()
	for room := range int64(12) {
		fs := storetest.NewFiles(uint64(room))
		fs.Move()
		st, model := must(t, tiny(fs)), storetest.Model{}
		fs.Limit(32<<10 + room*storetest.Sector)
		id := fill(t, st, model, 1)
		found(t, fs, model, "full")
		require.ErrorIs(t, st.Commit([]store.Op{put(id, "job", strings.Repeat("p", 3000))}), store.ErrFull)
		found(t, fs, model, "still full")
		fs.Limit(64 << 10)
		next := fill(t, st, model, id)
		require.Greater(t, next, id+10, "it goes on by itself")
		found(t, fs, model, "full again")
		require.NoError(t, st.Close())
		found(t, fs, model, "closed while it is full")
		st, all, err := open(tiny(fs))
		require.NoError(t, err, "a full disk is no reason not to start")
		require.True(t, model.Equal(all))
		fs.Limit(0)
		require.NoError(t, st.Commit([]store.Op{put(1<<40, "job", "there is room")}))
		require.NoError(t, st.Close())
	}
}

// The same at every write, whatever of it reached the disk before.
func TestFullFromAnyOperationOn(t *testing.T) {
	t.Parallel()
	refused, failed := 0, 0
	for n := 1; n < 150; n++ {
		fs := storetest.NewFiles(uint64(n))
		st, model := must(t, tiny(fs)), storetest.Model{}
		fs.Fail(storetest.Fault{At: fs.Ops() + n, Err: syscall.ENOSPC, Stays: true})
		what := fmt.Sprint("full from operation ", n, " on")
		for id := store.ID(1); ; id++ {
			ops := []store.Op{put(id, "job", strings.Repeat("p", int(id*97%700))), put(id+1<<20, "another", "in the same batch")}
			err := st.Commit(ops)
			if err == nil {
				model.Apply(ops)
				continue
			}
			if st.Stats().Failed { // a sync, and nothing could be taken back
				failed++
				break
			}
			require.ErrorIs(t, err, store.ErrFull, what)
			refused++
			found(t, fs, model, what)
			fs.Fail(storetest.Fault{})
			short := []store.Op{put(id, "shorter", "")}
			require.NoError(t, st.Commit(short), what)
			model.Apply(short)
			found(t, fs, model, what)
			break
		}
		require.NoError(t, st.Close())
	}
	require.Positive(t, refused)
	require.Positive(t, failed)
}

// A sync that fails for want of room is no failed disk: zeros take the place of what was to be written.
func TestFullAtSync(t *testing.T) {
	t.Parallel()
	fs := storetest.NewFiles(1)
	st, model := must(t, tiny(fs)), storetest.Model{}
	first := []store.Op{put(1, "a", "A")}
	require.NoError(t, st.Commit(first))
	model.Apply(first)
	fs.Fail(storetest.Fault{At: fs.Ops() + 2, Err: syscall.ENOSPC})
	second := []store.Op{put(2, "b", strings.Repeat("B", 100))}
	require.ErrorIs(t, st.Commit(second), store.ErrFull)
	found(t, fs, model, "refused")
	require.NoError(t, st.Commit(second))
	model.Apply(second)
	found(t, fs, model, "taken")
	require.NoError(t, st.Close())
}
