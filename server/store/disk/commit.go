package disk

import (
	"errors"
	"fmt"

	"github.com/geartrain/geartrain/server/store"
	"github.com/geartrain/geartrain/server/store/files"
)

// Commit writes one frame.
func (s *Store) Commit(ops []store.Op) error {
	batch, length, must, err := plan(ops)
	if err != nil || len(ops) == 0 {
		return err
	}
	s.write.Lock()
	defer s.write.Unlock()
	if err := s.usable(); err != nil {
		return fmt.Errorf("store: commit %d operations: %w", len(ops), err)
	}
	if err := s.append(batch, length, must, 0); err != nil {
		if errors.Is(err, store.ErrFull) {
			s.full.Add(1)
			s.compactSoon()
		}
		return fmt.Errorf("store: commit %d operations: %w", len(ops), err)
	}
	s.commits.Add(1)
	s.compactSoon()
	return nil
}

// usable says why nothing can be written.
func (s *Store) usable() error {
	if err := s.failure.Load(); err != nil {
		return *err
	}
	if !s.loaded {
		return errors.New("Load comes first")
	}
	return nil
}

// record is an entry on its way to the log.
type record struct {
	found
	head, body []byte
}

// maxFrame is the largest batch: place.units must count it.
const maxFrame = 16 << 30

// plan makes entries of operations, which still have no place.
func plan(ops []store.Op) (batch []record, length int64, must bool, err error) {
	batch = make([]record, len(ops))
	length, must = frameSize+trailerSize, true
	for i, op := range ops {
		if err := check(op); err != nil {
			return nil, 0, false, err
		}
		r := &batch[i]
		r.kind, r.id = op.Kind, op.ID
		if op.Kind != store.Delete {
			r.head, r.headLen, r.headSum = op.Head, uint32(len(op.Head)), checksum(op.Head)
			must = must && op.Must
		}
		if op.Kind == store.Put {
			r.body, r.bodyLen, r.bodySum = op.Body, uint32(len(op.Body)), checksum(op.Body)
		}
		length += r.size()
	}
	if length > maxFrame {
		return nil, 0, false, fmt.Errorf("store: commit %d operations: %d bytes are too many for one batch", len(ops), length)
	}
	return batch, length, must, nil
}

func check(op store.Op) error {
	switch {
	case op.Kind < store.Put || op.Kind > store.Delete:
		return fmt.Errorf("store: commit: there is no operation %d", op.Kind)
	case op.ID == 0:
		return errors.New("store: commit: a record has no number")
	case len(op.Head) > store.MaxHead:
		return fmt.Errorf("store: commit: a head of %d bytes; %d are the most", len(op.Head), store.MaxHead)
	case uint64(len(op.Body)) > store.MaxBody:
		return fmt.Errorf("store: commit: a body of %d bytes; %d are the most", len(op.Body), store.MaxBody)
	}
	return nil
}

// append writes a frame of the entries, makes it durable where that is asked for, and then looks at it as
// done: readers see the new records.
func (s *Store) append(batch []record, length int64, must bool, flags uint32) error {
	if err := s.clean(); err != nil {
		return s.refused(err)
	}
	if err := s.room(length, must); err != nil {
		return s.refused(err)
	}
	s.assign(batch)
	if err := s.writeFrame(batch, length, flags); err != nil {
		return s.undo(err)
	}
	synced := s.cfg.Sync.always() && flags&flagCopy == 0
	if synced {
		if err := s.sync(s.active); err != nil {
			return s.unsynced(err)
		}
	}
	s.written(length, synced)
	s.mu.Lock()
	for i := range batch {
		s.apply(&batch[i].found)
	}
	s.mu.Unlock()
	return nil
}

// assign gives the entries their places in the active segment, and tells them where older ones are:
// operations see what those before them in the batch did.
func (s *Store) assign(batch []record) {
	at, number := s.active.end+frameSize, uint32(s.active.number)
	pending := make(map[store.ID]slot)
	for i := range batch {
		r := &batch[i]
		r.place = place{number, uint32(at / unit)}
		at += r.size()
		old, ok := pending[r.id]
		if now := s.index.get(r.id); !ok && now != nil {
			old = *now
		}
		exists := old.id != 0
		if _, lost := s.lost[r.id]; lost && !exists && r.kind != store.Put {
			r.kind, r.ref = store.Delete, place{0, number}
		}
		switch {
		case r.kind == store.PutHead && exists:
			r.ref, r.bodyLen = old.body, old.bodyLen
		case r.kind == store.PutHead:
			r.kind = store.Put // of an empty body
		case r.kind == store.Delete && exists:
			r.ref = place{old.first, old.head.segment}
		case r.kind == store.Delete && r.ref == (place{}):
			r.ref = place{number, number}
		}
		if len(batch) > 1 {
			pending[r.id] = r.next(old)
		}
	}
}

// refused tells what does not fit from what is broken.
func (s *Store) refused(err error) error {
	switch {
	case errors.Is(err, store.ErrFailed):
		return err
	case files.Full(err):
		return fmt.Errorf("%w: %w", store.ErrFull, err)
	}
	return s.fail(err)
}

// undo takes back a frame that was not written whole, so that no start finds any of it. On a file system
// that writes in new places even zeros may have no room. Then they wait: a start takes what is there, which
// lacks its last byte, for an unfinished write, and nothing else is written before they are.
func (s *Store) undo(err error) error {
	s.active.dirty = true
	if e := s.clean(); e != nil && !isFull(e) {
		return s.fail(errors.Join(err, e))
	}
	return s.refused(err)
}

// unsynced takes back a frame that is whole, but maybe only in memory. The system may also have forgotten
// what it should have written: if that was this frame alone, and zeros in its place reach the disk, then
// what is there is known again.
func (s *Store) unsynced(err error) error {
	if !files.Full(err) || s.synced != s.seq {
		return s.fail(err)
	}
	s.active.dirty = true
	if e := s.clean(); e != nil {
		return s.fail(errors.Join(err, e))
	}
	return s.refused(err)
}

// clean erases what a refused frame has left behind the end.
func (s *Store) clean() error {
	a := s.active
	if a == nil || !a.dirty {
		return nil
	}
	if a.size > a.solid { // the room made for it is a hole, and there may be no room to fill it
		if err := a.file.Truncate(a.solid); err != nil {
			return s.fail(err)
		}
		s.resize(a, a.solid)
	}
	err := s.erase(a, a.end, a.size)
	a.dirty = err != nil
	return err
}

// fail is final: what is on the disk is no longer known. It tries to make sure that the frame whose sync
// failed is not found there later.
func (s *Store) fail(err error) error {
	err = fmt.Errorf("%w: %w", store.ErrFailed, err)
	if !s.failure.CompareAndSwap(nil, &err) {
		return *s.failure.Load()
	}
	gone := "nothing of the last batch was promised to anyone"
	if a := s.active; a != nil && s.loaded {
		if e := s.erase(a, a.end, a.size); e != nil {
			gone = "the last batch may be found at the next start: " + e.Error()
		}
	}
	s.cfg.Logger.Error("the store has failed and takes nothing more; what it has can be read; restart when the disk works",
		"folder", s.cfg.Dir, "error", err, "batch", gone)
	return err
}

// erase writes zeros over what is behind the last frame and makes them durable: over the header of what is
// there at last, so that at any moment it looks like an unfinished write.
func (s *Store) erase(seg *segment, from, to int64) error {
	middle := min(from+frameSize, to)
	if err := wipe(seg, middle, to); err != nil {
		return err
	}
	if err := wipe(seg, from, middle); err != nil {
		return err
	}
	err := s.sync(seg)
	if err != nil && s.synced != s.seq {
		err = fmt.Errorf("%w: %w", store.ErrFailed, err) // what was before from may be forgotten
	}
	return err
}

func wipe(seg *segment, from, to int64) error {
	zeros := make([]byte, min(to-from, copyBuffer))
	for at := from; at < to; at += int64(len(zeros)) {
		if _, err := seg.file.WriteAt(zeros[:min(int64(len(zeros)), to-at)], at); err != nil {
			return err
		}
	}
	return nil
}
