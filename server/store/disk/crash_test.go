package disk_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"strconv"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/geartrain/geartrain/server/store"
	"github.com/geartrain/geartrain/server/store/disk"
	"github.com/geartrain/geartrain/server/store/files"
	"github.com/geartrain/geartrain/server/store/storetest"
)

const dir = "/data"

// tiny are sizes at which a few commits go through everything, and nothing happens by itself.
func tiny(fs *storetest.Files) disk.Config {
	return disk.Config{Dir: dir, FS: fs, SegmentSize: 2048, Extend: 1024, Reserve: 512, Quiet: true}
}

// step is one thing that a server does: it commits, compacts if there are no operations, or starts anew.
type step struct {
	ops    []store.Op
	reopen bool
}

// script is a random history.
func script(seed uint64, steps int) []step {
	r := rand.New(rand.NewPCG(seed, 1))
	var all []step
	next := store.ID(1)
	for i := range steps {
		switch {
		case i%17 == 16:
			all = append(all, step{reopen: true})
		case i%6 == 5:
			all = append(all, step{})
		default:
			all = append(all, step{ops: batch(r, &next)})
		}
	}
	return all
}

func batch(r *rand.Rand, next *store.ID) (ops []store.Op) {
	for range 1 + r.IntN(4) {
		op := store.Op{Kind: store.Kind(1 + r.IntN(3)), Must: r.IntN(2) == 0}
		op.ID = *next - store.ID(r.IntN(8))
		if op.Kind == store.Put || op.ID < 1 || op.ID > *next {
			op.Kind, op.ID = store.Put, *next
			*next++
		}
		op.Head = fmt.Appendf(nil, "head of %d: %d", op.ID, r.IntN(1000))
		size := r.IntN(300)
		if r.IntN(20) == 0 {
			size = 3000
		}
		op.Body = bytes.Repeat([]byte{byte(op.ID), 0xff, byte(r.IntN(256))}, size/3)
		if op.Kind != store.Put {
			op.Body = nil
		}
		ops = append(ops, op)
	}
	return ops
}

// run is a history as far as it went.
type run struct {
	cfg     disk.Config
	st      *disk.Store
	model   storetest.Model
	flight  []store.Op // of a commit that did not say yes
	refused int
}

var errDamage = errors.New("damage where there is none")

// open opens the store, and says what is in it.
func open(cfg disk.Config) (*disk.Store, []store.Record, error) {
	var said bytes.Buffer
	cfg.Logger = slog.New(slog.NewTextHandler(&said, nil))
	st, err := disk.Open(cfg)
	if err != nil {
		return nil, nil, err
	}
	var all []store.Record
	err = st.Load(context.Background(), store.MaxBody, func(r store.Record) error {
		all = append(all, store.Record{ID: r.ID, Head: bytes.Clone(r.Head), Body: bytes.Clone(r.Body)})
		return nil
	})
	if err != nil {
		return nil, nil, errors.Join(err, st.Close())
	}
	if st.Stats().Damaged > 0 {
		return nil, nil, errors.Join(errDamage, errors.New(said.String()), st.Close())
	}
	return st, all, nil
}

// play goes through the steps until something other than a full disk is in the way.
func (r *run) play(t *testing.T, fs *storetest.Files, steps []step) error {
	r.model = storetest.Model{}
	var err error
	if r.st, _, err = open(r.cfg); err != nil {
		return err
	}
	for _, s := range steps {
		if err := r.step(t, fs, s); err != nil {
			return err
		}
	}
	return r.st.Close()
}

func (r *run) step(t *testing.T, fs *storetest.Files, s step) error {
	switch {
	case s.reopen:
		if err := r.st.Close(); err != nil {
			return err
		}
		st, all, err := open(r.cfg)
		if err == nil {
			r.st = st
			require.True(t, r.model.Equal(all), "another start finds something else")
		}
		return err
	case s.ops == nil:
		if _, err := r.st.Compact(t.Context()); !errors.Is(err, store.ErrFull) {
			return err
		}
		return nil
	}
	err := r.st.Commit(s.ops)
	if errors.Is(err, store.ErrFull) {
		r.refused++
		check(t, fs, r.model, nil, "a refused batch is not there")
		err = r.st.Commit(s.ops) // there is room again
	}
	if err != nil {
		r.flight = s.ops
		return err
	}
	r.model.Apply(s.ops)
	return nil
}

// check looks at what every kind of crash leaves: what was acknowledged, and nothing else but one batch
// that was on its way, whole.
func check(t *testing.T, fs *storetest.Files, model storetest.Model, flight []store.Op, what string) {
	t.Helper()
	for seed, crash := range []storetest.Crash{storetest.Kill, storetest.Lose, storetest.Mixed, storetest.Mixed, storetest.Mixed} {
		after := fs.After(crash, uint64(seed))
		st, all, err := open(tiny(after))
		require.NoError(t, err, "%s, crash %d, seed %d", what, crash, seed)
		ok := model.Equal(all) || flight != nil && model.With(flight).Equal(all)
		require.True(t, ok, "%s, crash %d, seed %d: %d records instead of %d", what, crash, seed, len(all), len(model))
		require.NoError(t, st.Commit([]store.Op{{Kind: store.Put, Record: store.Record{ID: 1 << 50}}}))
		require.NoError(t, st.Close())
		st, again, err := open(tiny(after))
		require.NoError(t, err, "%s, crash %d, seed %d, second start", what, crash, seed)
		require.Len(t, again, len(all)+1)
		require.NoError(t, st.Close())
	}
}

// steps is how long a script is; STORE_STEPS says otherwise.
func steps() int {
	if n, err := strconv.Atoi(os.Getenv("STORE_STEPS")); err == nil {
		return n
	}
	return 30
}

// each plays the script once for every operation in it, with a fault there.
func each(t *testing.T, fault func(n int) storetest.Fault, after func(*testing.T, *storetest.Files, *run, error, int)) {
	for seed := range uint64(2) {
		t.Run(fmt.Sprint("script ", seed), func(t *testing.T) {
			t.Parallel()
			steps := script(seed, steps())
			fs := storetest.NewFiles(seed)
			r := &run{cfg: tiny(fs)}
			require.NoError(t, r.play(t, fs, steps))
			for n := 1; n <= fs.Ops(); n++ {
				fs := storetest.NewFiles(seed)
				fs.Fail(fault(n))
				r := &run{cfg: tiny(fs)}
				err := r.play(t, fs, steps)
				require.NotErrorIs(t, err, errDamage)
				after(t, fs, r, err, n)
			}
		})
	}
}

func TestCrashAtEveryOperation(t *testing.T) {
	t.Parallel()
	each(t, func(n int) storetest.Fault { return storetest.Fault{At: n} },
		func(t *testing.T, fs *storetest.Files, r *run, _ error, n int) {
			check(t, fs, r.model, r.flight, fmt.Sprint("crash at operation ", n))
		})
}

// An error other than a full disk is final, and costs nothing that was acknowledged.
func TestErrorAtEveryOperation(t *testing.T) {
	t.Parallel()
	each(t, func(n int) storetest.Fault { return storetest.Fault{At: n, Err: syscall.EIO} },
		func(t *testing.T, fs *storetest.Files, r *run, err error, n int) {
			require.Zero(t, r.refused)
			if r.flight != nil {
				require.ErrorIs(t, err, store.ErrFailed)
				require.ErrorIs(t, r.st.Commit(r.flight), store.ErrFailed)
			}
			if r.st != nil && r.st.Stats().Failed {
				storetest.Bodies(t, r.st, r.model.Ops())
			}
			check(t, fs, r.model, r.flight, fmt.Sprint("error at operation ", n))
		})
}

// Where something does not fit the batch is refused, and the next one can be taken.
func TestFullAtEveryOperation(t *testing.T) {
	t.Parallel()
	var refused atomic.Int64
	t.Cleanup(func() { require.Positive(t, refused.Load(), "some batch was refused") })
	each(t, func(n int) storetest.Fault {
		if n%3 == 0 {
			return storetest.Fault{At: n, Err: syscall.EFBIG}
		}
		return storetest.Fault{At: n, Err: syscall.ENOSPC}
	},
		func(t *testing.T, fs *storetest.Files, r *run, err error, n int) {
			refused.Add(int64(r.refused))
			if err != nil && r.st != nil && !errors.Is(err, store.ErrFailed) {
				require.True(t, files.Full(err), "operation %d: %v", n, err)
			}
			check(t, fs, r.model, r.flight, fmt.Sprint("full at operation ", n))
		})
}
