package disk

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/geartrain/geartrain/server/store"
	"github.com/geartrain/geartrain/server/store/files"
)

// Store is a folder of segments and an index of them in memory.
type Store struct {
	cfg  Config
	fs   files.System
	lock interface{ Close() error }
	log  uint64

	// write is held by whoever writes to the log.
	write  sync.Mutex
	seq    uint64   // the last frame
	synced uint64   // the last one known to be on stable storage
	active *segment // the one that is written to; nil: none yet
	buf    []byte
	loaded bool

	// mu guards what readers look at; it is changed only with write held too.
	mu       sync.RWMutex
	index    index
	segments []*segment // in order
	byNumber map[uint32]*segment
	lost     map[store.ID]bool // records that were found damaged, and given up; true: the log says so
	wasteful bool              // a segment may be worth its compaction
	squeezed time.Time         // when squeeze was last tried

	list    list     // of the segments that an earlier start left
	highest uint32   // the highest number that a segment had
	strays  []string // files that have a segment's name and are none
	astray  []Damage // what is wrong with whole files

	failure atomic.Pointer[error]
	cut     atomic.Uint64
	damaged atomic.Uint64
	commits atomic.Uint64
	syncs   atomic.Uint64
	syncing atomic.Int64 // nanoseconds
	full    atomic.Uint64

	stop    context.CancelFunc
	running sync.WaitGroup
	wake    chan struct{} // the compaction may have something to do
}

// lockName is the file that the server that has the folder open holds.
const lockName = "lock"

// Open takes the folder for itself and looks whether it can be read; Load reads it. It changes nothing in
// a folder of a newer version. A strict one reads the whole log at once, and fails if anything is damaged.
func Open(cfg Config) (*Store, error) {
	cfg.defaults()
	s := &Store{cfg: cfg, fs: cfg.FS, byNumber: make(map[uint32]*segment), lost: make(map[store.ID]bool), wake: make(chan struct{}, 1), stop: func() {}}
	if err := s.fs.MkdirAll(cfg.Dir); err != nil {
		return nil, fmt.Errorf("store: make the data folder: %w", err)
	}
	if err := s.fs.SyncDir(filepath.Dir(filepath.Clean(cfg.Dir))); err != nil {
		return nil, fmt.Errorf("store: make the data folder: %w", err)
	}
	lock, err := s.fs.Lock(filepath.Join(cfg.Dir, lockName), fmt.Sprintf("process %d", os.Getpid()))
	if err != nil {
		if held := new(files.LockedError); errors.As(err, &held) {
			return nil, fmt.Errorf("store: %s is in use by another server (%w); stop it, or give this one another folder", cfg.Dir, err)
		}
		return nil, fmt.Errorf("store: lock the data folder: %w", err)
	}
	s.lock = lock
	if err := s.openSegments(); err != nil {
		return nil, errors.Join(err, s.release())
	}
	if cfg.Strict { // whoever waits for the ports must not see a server that is about to refuse
		if err := s.replay(context.Background()); err != nil {
			return nil, errors.Join(err, s.release())
		}
	}
	return s, nil
}

func (s *Store) add(seg *segment) {
	s.segments = append(s.segments, seg)
	s.byNumber[uint32(seg.number)] = seg
	seg.graves = make(map[grave]int)
}

// sync makes what was written to a segment durable.
func (s *Store) sync(seg *segment) error {
	start := time.Now()
	err := seg.file.Sync()
	s.syncing.Add(int64(time.Since(start)))
	s.syncs.Add(1)
	return err
}

// Body reads a body and checks it.
func (s *Store) Body(id store.ID) ([]byte, error) {
	s.mu.RLock()
	slot := s.index.get(id)
	if slot == nil {
		err := store.ErrNotFound
		if _, lost := s.lost[id]; lost {
			err = store.ErrDamaged
		}
		s.mu.RUnlock()
		return nil, fmt.Errorf("store: body of record %d: %w", id, err)
	}
	at := *slot
	seg := s.byNumber[at.body.segment]
	seg.reads.Add(1)
	s.mu.RUnlock()
	defer seg.reads.Done()
	return body(seg, &at)
}

func body(seg *segment, at *slot) ([]byte, error) {
	off := at.body.offset()
	guess := int64(entrySize) + int64(at.bodyLen)
	if at.body == at.head {
		guess += int64(at.headLen)
	}
	b := make([]byte, guess)
	if _, err := seg.file.ReadAt(b, off); err != nil {
		return nil, fmt.Errorf("store: body of record %d: read %s:%d: %w", at.id, seg.name, off, err)
	}
	e, ok := decodeEntry(b, seg.sum, off)
	if !ok || e.id != at.id || e.bodyLen != at.bodyLen {
		return nil, fmt.Errorf("store: body of record %d: %s:%d: %w", at.id, seg.name, off, store.ErrDamaged)
	}
	b = b[min(int64(entrySize)+int64(e.headLen), guess):]
	if missing := int64(e.bodyLen) - int64(len(b)); missing > 0 { // the record has another head now
		b = make([]byte, e.bodyLen)
		if _, err := seg.file.ReadAt(b, off+entrySize+int64(e.headLen)); err != nil {
			return nil, fmt.Errorf("store: body of record %d: read %s:%d: %w", at.id, seg.name, off, err)
		}
	}
	b = b[:e.bodyLen]
	if checksum(b) != e.bodySum {
		return nil, fmt.Errorf("store: body of record %d: %s:%d: %w", at.id, seg.name, off, store.ErrDamaged)
	}
	return b, nil
}

// Stats are the figures of now.
func (s *Store) Stats() store.Stats {
	st := store.Stats{
		Durable:  true,
		Sync:     s.cfg.Sync.String(),
		Path:     s.cfg.Dir,
		Commits:  s.commits.Load(),
		Syncs:    s.syncs.Load(),
		SyncTime: s.syncing.Load(),
		Damaged:  s.damaged.Load(),
		Full:     s.full.Load(),
		Failed:   s.failure.Load() != nil,
		Cut:      s.cut.Load(),
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	st.Records = int64(s.index.n)
	for _, seg := range s.segments {
		st.Bytes += seg.size
	}
	return st
}

// Close ends what runs in the background, marks the log as closed, syncs and unlocks it.
func (s *Store) Close() error {
	s.stop()
	s.running.Wait()
	s.write.Lock()
	defer s.write.Unlock()
	return errors.Join(s.mark(), s.release())
}

// mark writes an empty frame behind the last one, if there is room. It proves that that one was synced: if its bytes are
// wrong at the next start, it is damage and no unfinished write.
func (s *Store) mark() error {
	if !s.loaded || s.failure.Load() != nil || s.active == nil || s.active.marked {
		return nil
	}
	if err := s.syncActive(); err != nil {
		return err
	}
	err := s.clean()
	if err == nil && s.active.fits(frameSize+trailerSize, 0) {
		err = s.writeFrame(nil, frameSize+trailerSize, flagMark)
	}
	if err == nil {
		err = s.sync(s.active)
	}
	if err != nil && !isFull(err) {
		return err
	}
	return s.saveList()
}

func (s *Store) release() error {
	var errs []error
	for _, seg := range s.segments {
		seg.reads.Wait()
		errs = append(errs, seg.file.Close())
	}
	return errors.Join(append(errs, s.lock.Close())...)
}
