// Package storetest is what every store must do, as tests, and a file system for tests that fails, fills
// up, tears writes and forgets what was not synced.
package storetest

import (
	"bytes"
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/geartrain/geartrain/server/store"
)

// Suite is a kind of store under test.
type Suite struct {
	// Open opens the store in a folder, which may not exist yet.
	Open func(dir string) (store.Store, error)

	// Volatile: nothing is left after Close, and there is no Backup.
	Volatile bool

	// Large is the size of the largest body that is tried; zero: 64 MiB.
	Large int

	// Small opens a store in which about so many bytes fit; nil: there is no such thing.
	Small func(dir string, bytes int64) (store.Store, error)
}

// Run runs all tests.
func (s Suite) Run(t *testing.T) {
	t.Helper()
	for name, test := range map[string]func(*testing.T){
		"empty":      s.empty,
		"order":      s.order,
		"replace":    s.replace,
		"batch":      s.batch,
		"contents":   s.contents,
		"large":      s.large,
		"full":       s.full,
		"concurrent": s.concurrent,
		"backup":     s.backup,
		"load":       s.load,
		"model":      s.model,
	} {
		t.Run(name, func(t *testing.T) { t.Parallel(); test(t) })
	}
}

// Start opens the store and loads what is in it.
func (s Suite) start(t require.TestingT, dir string) (store.Store, []store.Record) {
	st, err := s.Open(dir)
	require.NoError(t, err)
	return st, All(t, st)
}

// reopen closes st and opens what it left; a volatile one stays as it is.
func (s Suite) reopen(t require.TestingT, st store.Store, dir string) store.Store {
	if s.Volatile {
		return st
	}
	require.NoError(t, st.Close())
	st, _ = s.start(t, dir)
	return st
}

// All loads a store and gives everything in it.
func All(t require.TestingT, st store.Store) []store.Record {
	var all []store.Record
	err := st.Load(context.Background(), store.MaxBody, func(r store.Record) error {
		all = append(all, store.Record{ID: r.ID, Head: bytes.Clone(r.Head), Body: bytes.Clone(r.Body)})
		return nil
	})
	require.NoError(t, err)
	for i := 1; i < len(all); i++ {
		require.Less(t, all[i-1].ID, all[i].ID, "records must come in the order of their numbers")
	}
	return all
}

func put(id store.ID, head, body string) store.Op {
	return store.Op{Kind: store.Put, Record: store.Record{ID: id, Head: []byte(head), Body: []byte(body)}}
}

func putHead(id store.ID, head string) store.Op {
	return store.Op{Kind: store.PutHead, Record: store.Record{ID: id, Head: []byte(head)}}
}

func del(id store.ID) store.Op { return store.Op{Kind: store.Delete, Record: store.Record{ID: id}} }

// expect says that st has exactly these records, now and after it was opened again.
func (s Suite) expect(t require.TestingT, st store.Store, dir string, want ...store.Op) store.Store {
	Bodies(t, st, want)
	if s.Volatile {
		Same(t, want, All(t, st))
		return st
	}
	require.NoError(t, st.Close())
	st, all := s.start(t, dir)
	Same(t, want, all)
	Bodies(t, st, want)
	return st
}

// Same says that the records are those that the operations put.
func Same(t require.TestingT, want []store.Op, got []store.Record) {
	require.Len(t, got, len(want))
	for i, r := range got {
		require.Equal(t, want[i].ID, r.ID)
		require.True(t, bytes.Equal(want[i].Head, r.Head), "head of %d", r.ID)
		require.True(t, bytes.Equal(want[i].Body, r.Body), "body of %d", r.ID)
	}
}

// Bodies says that the bodies can be read one by one.
func Bodies(t require.TestingT, st store.Store, want []store.Op) {
	for _, op := range want {
		body, err := st.Body(op.ID)
		require.NoError(t, err)
		require.True(t, bytes.Equal(op.Body, body), "body of %d", op.ID)
	}
	require.EqualValues(t, len(want), st.Stats().Records)
}

func (s Suite) empty(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	st, all := s.start(t, dir)
	require.Empty(t, all)
	_, err := st.Body(1)
	require.ErrorIs(t, err, store.ErrNotFound)
	require.NoError(t, st.Commit(nil))
	require.NoError(t, st.Commit([]store.Op{del(7)}))
	st = s.expect(t, st, dir)
	require.Equal(t, !s.Volatile, st.Stats().Durable)
	require.NoError(t, st.Close())
}

func (s Suite) order(t *testing.T) {
	dir := t.TempDir()
	st, _ := s.start(t, dir)
	ids := rand.New(rand.NewPCG(1, 2)).Perm(100)
	for _, id := range ids {
		require.NoError(t, st.Commit([]store.Op{put(store.ID(id+1), fmt.Sprint("h", id), fmt.Sprint("b", id))}))
	}
	want := make([]store.Op, 100)
	for i := range want {
		want[i] = put(store.ID(i+1), fmt.Sprint("h", i), fmt.Sprint("b", i))
	}
	st = s.expect(t, st, dir, want...)
	require.NoError(t, st.Close())
}

func (s Suite) replace(t *testing.T) {
	dir := t.TempDir()
	st, _ := s.start(t, dir)
	require.NoError(t, st.Commit([]store.Op{put(1, "job", "payload")}))
	st = s.reopen(t, st, dir)
	require.NoError(t, st.Commit([]store.Op{putHead(1, "attempt 2")}))
	st = s.expect(t, st, dir, put(1, "attempt 2", "payload"))
	require.NoError(t, st.Commit([]store.Op{putHead(1, "attempt 3")}))
	st = s.expect(t, st, dir, put(1, "attempt 3", "payload"))
	require.NoError(t, st.Commit([]store.Op{put(1, "result", "answer")}))
	st = s.expect(t, st, dir, put(1, "result", "answer"))
	require.NoError(t, st.Commit([]store.Op{del(1)}))
	_, err := st.Body(1)
	require.ErrorIs(t, err, store.ErrNotFound)
	st = s.expect(t, st, dir)
	require.NoError(t, st.Commit([]store.Op{putHead(2, "no body")}))
	st = s.expect(t, st, dir, put(2, "no body", ""))
	require.NoError(t, st.Close())
}

// batch: operations of one batch see those before them.
func (s Suite) batch(t *testing.T) {
	dir := t.TempDir()
	st, _ := s.start(t, dir)
	require.NoError(t, st.Commit([]store.Op{
		put(1, "a", "A"), putHead(1, "b"),
		put(2, "c", "C"), del(2), putHead(2, "d"),
		put(3, "e", "E"), del(3),
		put(4, "f", "F"), put(4, "g", "G"), putHead(4, "h"), putHead(4, "i"),
		del(5), put(5, "j", "J"),
	}))
	st = s.expect(t, st, dir, put(1, "b", "A"), put(2, "d", ""), put(4, "i", "G"), put(5, "j", "J"))
	require.NoError(t, st.Close())
}

// contents: whatever the bytes are, they come back.
func (s Suite) contents(t *testing.T) {
	dir := t.TempDir()
	st, _ := s.start(t, dir)
	every := make([]byte, 256)
	for i := range every {
		every[i] = byte(i)
	}
	odd := []string{"", "\x00", "\x00\x00\x00\x00\x00\x00\x00\x00", "\xff\xfe", "\n", string(every), "geartrain", string(make([]byte, 10_000))}
	var ops []store.Op
	for _, head := range odd {
		for _, body := range odd {
			ops = append(ops, put(store.ID(1+len(ops)), head, body))
		}
	}
	ops = append(ops, put(1<<40, string(bytes.Repeat([]byte{0xa5}, store.MaxHead)), ""), put(1<<64-1, "last", "last"))
	for _, op := range ops[:len(odd)] {
		require.NoError(t, st.Commit([]store.Op{op}))
	}
	require.NoError(t, st.Commit(ops[len(odd):]))
	st = s.expect(t, st, dir, ops...)
	require.NoError(t, st.Close())
}

func (s Suite) large(t *testing.T) {
	dir := t.TempDir()
	st, _ := s.start(t, dir)
	body := make([]byte, cmp.Or(s.Large, 64<<20))
	for i := 0; i < len(body); i += 4096 {
		binary.LittleEndian.PutUint64(body[i:], uint64(i)*0x9e3779b97f4a7c15)
	}
	large := store.Op{Kind: store.Put, Record: store.Record{ID: 2, Head: []byte("large"), Body: body}}
	require.NoError(t, st.Commit([]store.Op{put(1, "before", "1"), large, put(3, "after", "3")}))
	require.NoError(t, st.Commit([]store.Op{put(4, "behind", "4")}))
	st = s.expect(t, st, dir, put(1, "before", "1"), large, put(3, "after", "3"), put(4, "behind", "4"))
	require.NoError(t, st.Close())
}

// full: a batch that does not fit leaves nothing, and what fits is taken again.
func (s Suite) full(t *testing.T) {
	if s.Small == nil {
		t.Skip("this store cannot be made small")
	}
	dir := t.TempDir()
	st, err := s.Small(dir, 1<<20)
	require.NoError(t, err)
	require.Empty(t, All(t, st))
	body := string(bytes.Repeat([]byte("x"), 100_000))
	var kept []store.Op
	for i := range 50 {
		ops := []store.Op{put(store.ID(1+2*i), "a", body), put(store.ID(2+2*i), "b", "small")}
		if err = st.Commit(ops); err != nil {
			break
		}
		kept = append(kept, ops...)
	}
	require.ErrorIs(t, err, store.ErrFull)
	require.NotEmpty(t, kept)
	require.Positive(t, st.Stats().Full)
	Bodies(t, st, kept)
	for i := range kept {
		require.NoError(t, st.Commit([]store.Op{del(kept[i].ID)}), "deletes must fit")
	}
	Bodies(t, st, nil)
	require.NoError(t, st.Close())
}

// concurrent: bodies are read and copies made while others come and go.
func (s Suite) concurrent(t *testing.T) {
	dir, copies := t.TempDir(), t.TempDir()
	st, _ := s.start(t, dir)
	const ids = 64
	version := func(i int) string { return string(bytes.Repeat([]byte(fmt.Sprintf("%08d", i)), 200)) }
	for id := range ids {
		require.NoError(t, st.Commit([]store.Op{put(store.ID(id+1), "h", version(id))}))
	}
	done := make(chan struct{})
	var readers sync.WaitGroup
	for r := range 3 {
		readers.Go(func() {
			for i := r; ; i++ {
				select {
				case <-done:
					return
				default:
				}
				body, err := st.Body(store.ID(i%ids + 1))
				if err == nil {
					err = uniform(body)
				}
				if err != nil && !errors.Is(err, store.ErrNotFound) {
					t.Error(err)
					return
				}
			}
		})
	}
	readers.Go(func() {
		for i := range 3 {
			err := st.Backup(context.Background(), filepath.Join(copies, fmt.Sprint(i)))
			if err != nil && !s.Volatile {
				t.Error(err)
			}
		}
	})
	for i := range 200 {
		id := store.ID(i*7%ids + 1)
		if i%5 == 0 {
			require.NoError(t, st.Commit([]store.Op{del(id)}))
		}
		require.NoError(t, st.Commit([]store.Op{put(id, "h", version(i))}))
	}
	close(done)
	readers.Wait()
	require.NoError(t, st.Close())
}

// uniform says that a body is one version of itself.
func uniform(body []byte) error {
	if len(body) != 1600 || !bytes.Equal(body[:1592], body[8:]) {
		return fmt.Errorf("a body of %d bytes that nobody wrote", len(body))
	}
	return nil
}

func (s Suite) backup(t *testing.T) {
	dir, to := t.TempDir(), filepath.Join(t.TempDir(), "copy")
	st, _ := s.start(t, dir)
	want := []store.Op{put(1, "a", "A"), put(2, "b", "B")}
	require.NoError(t, st.Commit(want))
	require.NoError(t, st.Commit([]store.Op{putHead(2, "b2")}))
	want[1] = put(2, "b2", "B")
	if s.Volatile {
		require.ErrorIs(t, st.Backup(t.Context(), to), errors.ErrUnsupported)
		require.NoError(t, st.Close())
		return
	}
	require.NoError(t, st.Backup(t.Context(), to))
	require.NoError(t, st.Commit([]store.Op{put(3, "later", "C"), del(1)}))
	require.Error(t, st.Backup(t.Context(), to), "the folder is not empty")
	empty := filepath.Join(t.TempDir(), "empty")
	require.NoError(t, os.Mkdir(empty, 0o700))
	require.NoError(t, st.Backup(t.Context(), empty))
	st = s.expect(t, st, dir, want[1], put(3, "later", "C"))
	require.NoError(t, st.Close())
	restored, all := s.start(t, to)
	Same(t, want, all)
	require.NoError(t, restored.Commit([]store.Op{del(2), put(4, "d", "D")}))
	restored = s.expect(t, restored, to, want[0], put(4, "d", "D"))
	require.NoError(t, restored.Close())
	restored, all = s.start(t, empty)
	Same(t, []store.Op{want[1], put(3, "later", "C")}, all)
	require.NoError(t, restored.Close())
}

// load: long bodies are left out, an error ends it, and so does the context.
func (s Suite) load(t *testing.T) {
	dir := t.TempDir()
	st, _ := s.start(t, dir)
	require.NoError(t, st.Commit([]store.Op{put(1, "a", "12345"), put(2, "b", "123456"), put(3, "c", "")}))
	again := func() store.Store {
		if !s.Volatile {
			require.NoError(t, st.Close())
			var err error
			st, err = s.Open(dir)
			require.NoError(t, err)
		}
		return st
	}
	var bodies []string
	require.NoError(t, again().Load(t.Context(), 5, func(r store.Record) error {
		bodies = append(bodies, string(r.Body))
		return nil
	}))
	require.Equal(t, []string{"12345", "", ""}, bodies)
	stop := errors.New("stop")
	require.ErrorIs(t, again().Load(t.Context(), 5, func(store.Record) error { return stop }), stop)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, again().Load(ctx, 5, func(store.Record) error { return nil }), context.Canceled)
	require.NoError(t, st.Close())
}

// model: any operations at all, against a map.
func (s Suite) model(t *testing.T) {
	base := t.TempDir()
	rapid.Check(t, func(t *rapid.T) {
		dir, err := os.MkdirTemp(base, "")
		require.NoError(t, err)
		st, _ := s.start(t, dir)
		model := Model{}
		t.Repeat(map[string]func(*rapid.T){
			"commit": func(t *rapid.T) {
				ops := Ops(t)
				require.NoError(t, st.Commit(ops))
				model.Apply(ops)
			},
			"reopen": func(t *rapid.T) { st = s.expect(t, st, dir, model.Ops()...) },
			"":       func(t *rapid.T) { Bodies(t, st, model.Ops()) },
		})
		require.NoError(t, st.Close())
		require.NoError(t, os.RemoveAll(dir))
	})
}
