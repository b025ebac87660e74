package disk_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/geartrain/geartrain/server/store"
	"github.com/geartrain/geartrain/server/store/disk"
	"github.com/geartrain/geartrain/server/store/files"
	"github.com/geartrain/geartrain/server/store/storetest"
)

func op(kind store.Kind, id store.ID, head, body string) store.Op {
	return store.Op{Kind: kind, Record: store.Record{ID: id, Head: []byte(head), Body: []byte(body)}}
}

func put(id store.ID, head, body string) store.Op { return op(store.Put, id, head, body) }

// must opens a store that has nothing wrong with it.
func must(t require.TestingT, cfg disk.Config) *disk.Store {
	st, _, err := open(cfg)
	require.NoError(t, err)
	return st
}

// segments are the names in the folder.
func segments(t require.TestingT, fs *storetest.Files) (all []string) {
	names, err := fs.ReadDir(dir)
	require.NoError(t, err)
	for _, name := range names {
		if strings.HasSuffix(name, ".log") {
			all = append(all, filepath.Join(dir, name))
		}
	}
	return all
}

// filled is a folder with a few segments, closed or not, and what is in it.
func filled(t *testing.T, closed bool) (*storetest.Files, storetest.Model) {
	fs := storetest.NewFiles(1)
	r := &run{cfg: tiny(fs), model: storetest.Model{}}
	r.st = must(t, r.cfg)
	for _, s := range script(3, 25) {
		require.NoError(t, r.step(t, fs, s))
	}
	if closed {
		require.NoError(t, r.st.Close())
	}
	return fs.After(storetest.Kill, 1), r.model
}

// damaged opens a folder with something wrong in it. No record may be other than one that was put.
func damaged(t *testing.T, fs *storetest.Files, model storetest.Model, what string) (missing int, stats store.Stats) {
	t.Helper()
	var said bytes.Buffer
	cfg := tiny(fs)
	cfg.Logger = slog.New(slog.NewTextHandler(&said, nil))
	st, err := disk.Open(cfg)
	require.NoError(t, err, what)
	all := storetest.All(t, st)
	stats = st.Stats()
	have := storetest.Model{}
	for _, r := range all {
		have[r.ID] = r
		body, err := st.Body(r.ID)
		require.NoError(t, err, what)
		require.True(t, bytes.Equal(r.Body, body), what)
	}
	for id, r := range model {
		if now, ok := have[id]; !ok || !bytes.Equal(now.Head, r.Head) || !bytes.Equal(now.Body, r.Body) {
			missing++
		}
	}
	if len(have) > len(model)-missing {
		require.NotZero(t, stats.Damaged, "%s: what was deleted is back, and nobody says why", what)
	}
	if missing > 0 {
		require.NotZero(t, stats.Damaged, "%s: %d records are missing, and nobody says so", what, missing)
		require.Contains(t, said.String(), ".log offset=", what)
	}
	compactAll(t, st)
	require.NoError(t, st.Close(), what)
	st, err = disk.Open(tiny(fs))
	require.NoError(t, err, what)
	again := storetest.All(t, st)
	require.Len(t, again, len(all), what)
	require.Zero(t, st.Stats().Damaged, "%s: what was set aside is written anew without it", what)
	require.NoError(t, st.Close(), what)
	return missing, stats
}

// compactAll goes on until there is nothing to do: what is hurt in the newest segment waits for the next.
func compactAll(t require.TestingT, st *disk.Store) {
	require.NoError(t, st.Commit([]store.Op{op(store.Delete, 1<<60, "", "")}))
	for more := true; more; {
		var err error
		more, err = st.Compact(context.Background())
		require.NoError(t, err)
	}
}

func TestFlippedBits(t *testing.T) {
	t.Parallel()
	for _, closed := range []bool{true, false} {
		base, model := filled(t, closed)
		worst := 0
		for _, name := range segments(t, base) {
			bits := int64(len(base.Content(name))) * 8
			for bit := int64(0); bit < bits; bit += 101 {
				fs := base.After(storetest.Kill, 1)
				fs.Flip(name, bit)
				missing, _ := damaged(t, fs, model, fmt.Sprintf("closed %v: bit %d of byte %d of %s", closed, bit%8, bit/8, name))
				worst = max(worst, missing)
			}
		}
		require.LessOrEqual(t, worst, 1, "one bit costs one record")
	}
}

func TestCutAtEveryByte(t *testing.T) {
	t.Parallel()
	base, model := filled(t, false)
	for _, name := range segments(t, base) {
		for size := int64(len(base.Content(name))) - 1; size >= 0; size -= 7 {
			fs := base.After(storetest.Kill, 1)
			fs.Cut(name, size)
			damaged(t, fs, model, fmt.Sprintf("%s cut at %d", name, size))
		}
	}
}

func TestStrictRefusesDamage(t *testing.T) {
	t.Parallel()
	fs, _ := filled(t, true)
	name := segments(t, fs)[0]
	fs.Flip(name, 8*200)
	before := snapshot(t, fs)
	cfg := tiny(fs)
	cfg.Strict = true
	_, err := disk.Open(cfg)
	require.ErrorIs(t, err, store.ErrDamaged)
	require.ErrorContains(t, err, filepath.Base(name)+":128")
	require.Equal(t, before, snapshot(t, fs), "nothing was changed")
}

func TestDamageOfOneHeaderIsNamed(t *testing.T) {
	t.Parallel()
	for _, bit := range []int64{8 * 20, 8 * 70} {
		fs, model := filled(t, true)
		name := segments(t, fs)[0]
		fs.Flip(name, bit)
		cfg := tiny(fs)
		cfg.Strict = true
		_, err := disk.Open(cfg)
		require.ErrorIs(t, err, store.ErrDamaged)
		require.ErrorContains(t, err, "header is damaged")
		missing, _ := damaged(t, fs, model, "one header")
		require.Zero(t, missing, "the other copy is in order")
		st, err := disk.Open(cfg)
		require.NoError(t, err, "the file was written anew")
		require.NoError(t, st.Close())
	}
}

func TestStrictLoadsWhatIsSound(t *testing.T) {
	t.Parallel()
	fs, model := filled(t, true)
	cfg := tiny(fs)
	cfg.Strict = true
	st, err := disk.Open(cfg)
	require.NoError(t, err)
	n := 0
	require.NoError(t, st.Load(t.Context(), 0, func(store.Record) error {
		n++
		return nil
	}))
	require.Len(t, model, n)
	require.NoError(t, st.Commit([]store.Op{{Kind: store.Put, Record: store.Record{ID: 1 << 40, Head: []byte("head")}}}))
	require.NoError(t, st.Close())
}

func snapshot(t *testing.T, fs *storetest.Files) map[string]string {
	all := map[string]string{}
	for _, name := range segments(t, fs) {
		all[name] = string(fs.Content(name))
	}
	return all
}

func TestDamageIsSetAside(t *testing.T) {
	t.Parallel()
	fs := storetest.NewFiles(1)
	st := must(t, tiny(fs))
	require.NoError(t, st.Commit([]store.Op{put(1, "a", "A"), put(2, "b", "BBBB"), put(3, "c", "C")}))
	require.NoError(t, st.Close())
	name := segments(t, fs)[0]
	at := int64(bytes.Index(fs.Content(name), []byte("BBBB")))
	fs.Flip(name, at*8)
	_, _, err := open(tiny(fs))
	require.ErrorIs(t, err, errDamage)
	require.ErrorContains(t, err, "records=1")
	aside := fs.Content(filepath.Join(dir, "damaged", "0000000001-128"))
	require.Contains(t, string(aside), "CBBB", "the bytes as they are")
}

// A body that is damaged while the server runs is never given away, whoever notices first.
func TestBodyDamagedLater(t *testing.T) {
	t.Parallel()
	fs := storetest.NewFiles(1)
	st := must(t, tiny(fs))
	long := strings.Repeat("x", 700)
	for id := range store.ID(5) {
		require.NoError(t, st.Commit([]store.Op{put(id+1, "head", long)}))
	}
	fs.Flip(segments(t, fs)[0], 300*8)
	_, err := st.Body(1)
	require.ErrorIs(t, err, store.ErrDamaged)
	require.NoError(t, st.Verify(t.Context()))
	require.EqualValues(t, 1, st.Stats().Damaged)
	_, err = st.Body(1)
	require.ErrorIs(t, err, store.ErrDamaged)
	require.NoError(t, st.Commit([]store.Op{op(store.PutHead, 1, "other", "")}))
	_, err = st.Body(1)
	require.ErrorIs(t, err, store.ErrNotFound, "another head does not make an empty body of it")
	compactAll(t, st)
	require.NoError(t, st.Close())
	_, all, err := open(tiny(fs))
	require.NoError(t, err)
	require.Len(t, all, 4)
}

func TestNewerVersionIsLeftAlone(t *testing.T) {
	t.Parallel()
	fs, _ := filled(t, true)
	names := segments(t, fs)
	last := names[len(names)-1]
	for _, copy := range []int64{0, 64} {
		fs.Flip(last, (copy+8)*8)   // 1 becomes 0
		fs.Flip(last, (copy+8)*8+3) // and 8
	}
	before := snapshot(t, fs)
	_, err := disk.Open(tiny(fs))
	require.ErrorContains(t, err, "is of version 8, and this program knows versions up to 1; nothing was changed")
	require.Equal(t, before, snapshot(t, fs))
}

func TestOneServerAFolder(t *testing.T) {
	t.Parallel()
	cfg := disk.Config{Dir: filepath.Join(t.TempDir(), "data")}
	st, err := disk.Open(cfg)
	require.NoError(t, err)
	_, err = disk.Open(cfg)
	held := new(files.LockedError)
	require.ErrorAs(t, err, &held)
	require.ErrorContains(t, err, cfg.Dir+" is in use by another server")
	require.Regexp(t, `process \d+`, held.Mark)
	require.NoError(t, st.Close())
	st, err = disk.Open(cfg)
	require.NoError(t, err)
	require.NoError(t, st.Close())
}

// A full disk refuses what may be refused, and takes deletes and what must be stored for a while; when
// there is room again everything goes on.
func TestFullDisk(t *testing.T) {
	t.Parallel()
	fs := storetest.NewFiles(1)
	cfg := tiny(fs)
	cfg.Reserve = 4096
	st := must(t, cfg)
	model := storetest.Model{}
	fs.Limit(64 << 10)
	var err error
	id := store.ID(0)
	for err == nil {
		id++
		ops := []store.Op{put(id, "job", strings.Repeat("p", 500))}
		if err = st.Commit(ops); err == nil {
			model.Apply(ops)
		}
	}
	require.ErrorIs(t, err, store.ErrFull)
	result := put(1, "result", "r")
	result.Must = true
	for _, ops := range [][]store.Op{{result}, {op(store.Delete, 2, "", "")}, {op(store.Delete, 3, "", "")}} {
		require.NoError(t, st.Commit(ops))
		model.Apply(ops)
	}
	require.ErrorIs(t, st.Commit([]store.Op{put(id, "job", strings.Repeat("p", 500))}), store.ErrFull)
	check(t, fs, model, nil, "full")
	fs.Limit(1 << 20)
	ops := []store.Op{put(id, "job", "there is room")}
	require.NoError(t, st.Commit(ops))
	model.Apply(ops)
	require.EqualValues(t, 2, st.Stats().Full)
	check(t, fs, model, nil, "room again")
	require.NoError(t, st.Close())
}

// Deletes make room by themselves.
func TestFullDiskIsFreedByDeletes(t *testing.T) {
	t.Parallel()
	for name, size := range map[string]int64{"segments": 2048, "one segment": 1 << 20} {
		t.Run(name, func(t *testing.T) { t.Parallel(); freed(t, size) })
	}
}

func freed(t *testing.T, size int64) {
	fs := storetest.NewFiles(1)
	cfg := tiny(fs)
	cfg.Reserve, cfg.SegmentSize = 16384, size
	st := must(t, cfg)
	fs.Limit(128 << 10)
	var n store.ID
	for n = 1; st.Commit([]store.Op{put(n, "job", strings.Repeat("p", 1000))}) == nil; n++ {
	}
	for id := store.ID(1); id < n-2; id += 5 {
		var ops []store.Op
		for i := id; i < min(id+5, n-2); i++ {
			ops = append(ops, op(store.Delete, i, "", ""))
		}
		require.NoError(t, st.Commit(ops))
		if _, err := st.Compact(t.Context()); err != nil {
			require.ErrorIs(t, err, store.ErrFull)
		}
	}
	_ = st.Commit([]store.Op{put(n, "job", strings.Repeat("p", 1000))}) // asks for room, if nothing did
	for more := true; more; {
		var err error
		more, err = st.Compact(t.Context())
		require.NoError(t, err)
	}
	for id := n; id < n+50; id++ {
		require.NoError(t, st.Commit([]store.Op{put(id, "job", strings.Repeat("p", 1000))}))
	}
	require.NoError(t, st.Close())
	_, all, err := open(tiny(fs.After(storetest.Lose, 1)))
	require.NoError(t, err)
	require.Len(t, all, 52)
}

func TestFolderVanishes(t *testing.T) {
	t.Parallel()
	fs := storetest.NewFiles(1)
	st := must(t, tiny(fs))
	require.NoError(t, st.Commit([]store.Op{put(1, "a", "A")}))
	fs.Fail(storetest.Fault{At: 1, Err: syscall.EIO, Stays: true})
	require.ErrorIs(t, st.Commit([]store.Op{put(2, "b", "B")}), store.ErrFailed)
	ops := fs.Ops()
	for range 100 {
		require.ErrorIs(t, st.Commit([]store.Op{put(2, "b", "B")}), store.ErrFailed)
	}
	require.Equal(t, ops, fs.Ops(), "nothing more is tried")
	require.True(t, st.Stats().Failed)
	body, err := st.Body(1)
	require.NoError(t, err)
	require.Equal(t, "A", string(body))
	require.NoError(t, st.Close())
}

// One old record does not keep what came after it on the disk, and what was deleted stays deleted.
func TestDiskUseIsBounded(t *testing.T) {
	t.Parallel()
	fs := storetest.NewFiles(1)
	cfg := tiny(fs)
	st := must(t, cfg)
	require.NoError(t, st.Commit([]store.Op{put(1, "old", "job")}))
	most := int64(0)
	for id := store.ID(2); id < 2000; id++ {
		require.NoError(t, st.Commit([]store.Op{put(id, "new", "job")}))
		if id > 20 {
			require.NoError(t, st.Commit([]store.Op{op(store.Delete, id-18, "", "")}))
		}
		_, err := st.Compact(t.Context())
		require.NoError(t, err)
		most = max(most, st.Stats().Bytes)
	}
	require.Less(t, most, 8*cfg.SegmentSize, "about 20 records of 100 bytes are in use")
	require.NoError(t, st.Close())
	_, all, err := open(cfg)
	require.NoError(t, err)
	require.EqualValues(t, 1, all[0].ID)
	require.Len(t, all, 20)
}

// TestModel goes through commits, compactions, crashes and starts at random.
func TestModel(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"always", "never"} {
		sync, err := disk.ParseSync(text)
		require.NoError(t, err)
		for range 5 {
			rapid.Check(t, func(t *rapid.T) { model(t, sync) })
		}
	}
}

func model(t *rapid.T, sync disk.Sync) {
	fs := storetest.NewFiles(rapid.Uint64().Draw(t, "seed"))
	config := func() disk.Config {
		cfg := tiny(fs)
		cfg.Sync = sync
		return cfg
	}
	st, model := must(t, config()), storetest.Model{}
	past := []storetest.Model{{}} // since the last time that all was synced
	commit := func(ops []store.Op) {
		require.NoError(t, st.Commit(ops))
		model = model.With(ops)
		past = append(past, model)
	}
	next := store.ID(100)
	restart := func(closed bool, crash storetest.Crash) {
		if closed {
			require.NoError(t, st.Close())
		}
		fs = fs.After(crash, rapid.Uint64().Draw(t, "seed"))
		var all []store.Record
		var err error
		st, all, err = open(config())
		require.NoError(t, err)
		if closed || crash == storetest.Kill || sync.String() == "always" {
			require.True(t, model.Equal(all), "%d records, not %d", len(all), len(model))
		}
		found := false
		for _, m := range past {
			if m.Equal(all) {
				model, found = m, true
			}
		}
		require.True(t, found, "it was never so")
		past = []storetest.Model{model}
	}
	t.Repeat(map[string]func(*rapid.T){
		"commit": func(t *rapid.T) { commit(storetest.Ops(t)) },
		"job": func(t *rapid.T) {
			next++
			commit([]store.Op{put(next, "head", strings.Repeat("j", rapid.IntRange(0, 900).Draw(t, "size")))})
		},
		"end": func(t *rapid.T) {
			if next > 100 {
				commit([]store.Op{op(store.Delete, store.ID(rapid.Uint64Range(101, uint64(next)).Draw(t, "id")), "", "")})
			}
		},
		"compact": func(*rapid.T) {
			_, err := st.Compact(context.Background())
			require.NoError(t, err)
		},
		"close": func(*rapid.T) { restart(true, storetest.Lose) },
		"kill":  func(*rapid.T) { restart(false, storetest.Kill) },
		"power": func(*rapid.T) { restart(false, storetest.Mixed) },
		"":      func(*rapid.T) { storetest.Bodies(t, st, model.Ops()) },
	})
	require.NoError(t, st.Close())
}

// A backup made while commits go on is a moment of the log.
func TestBackupIsOneMoment(t *testing.T) {
	t.Parallel()
	fs := storetest.NewFiles(1)
	st := must(t, tiny(fs))
	r := rand.New(rand.NewPCG(1, 1))
	next, model := store.ID(1), storetest.Model{}
	for i := range 60 {
		ops := batch(r, &next)
		require.NoError(t, st.Commit(ops))
		model.Apply(ops)
		_, err := st.Compact(t.Context())
		require.NoError(t, err)
		if i%10 == 9 {
			to := fmt.Sprint("/backup", i)
			require.NoError(t, st.Backup(t.Context(), to))
			cfg := tiny(fs.After(storetest.Lose, 1))
			cfg.Dir = to
			_, all, err := open(cfg)
			require.NoError(t, err)
			require.True(t, model.Equal(all))
		}
	}
	require.NoError(t, st.Close())
}

func TestNoHeaderAtAll(t *testing.T) {
	t.Parallel()
	fs := storetest.NewFiles(1)
	st := must(t, tiny(fs))
	require.NoError(t, st.Commit([]store.Op{put(1, "a", "A")}))
	require.NoError(t, st.Close())
	fs.Flip(segments(t, fs)[0], 0)
	fs.Flip(segments(t, fs)[0], 64*8)
	require.NoError(t, fs.Remove(listPath))
	_, err := disk.Open(tiny(fs))
	require.ErrorIs(t, err, store.ErrDamaged)
	require.ErrorContains(t, err, "nothing was changed")
}
