package disk

import (
	"errors"
	"time"

	"github.com/geartrain/geartrain/server/store"
	"github.com/geartrain/geartrain/server/store/files"
)

// room makes sure that a frame of n bytes fits into the active segment, with a zero behind it. Only what
// must be stored gets the reserve. A segment that is full, or has damage in it, is followed by a new one;
// if there is no room for that, it is used on.
func (s *Store) room(n int64, must bool) error {
	if a := s.active; a == nil || a.end >= s.cfg.SegmentSize || a.hurt || a.end+n > maxFrame {
		if err := s.roll(s.usual()); err != nil && (a == nil || !isFull(err)) {
			return err
		}
	}
	if s.active.fits(n, s.cfg.Reserve) {
		return nil
	}
	err := s.extend(n)
	if isFull(err) && files.TooLarge(err) && s.active.end > headerSize { // of this file there can be no more
		if e := s.roll(s.usual()); e == nil {
			err = s.extend(n)
		}
	}
	if isFull(err) && s.squeeze() && s.active.fits(n, s.cfg.Reserve) {
		return nil
	}
	if isFull(err) && must && s.active.fits(n, 0) {
		return nil
	}
	return err
}

// usual is how large a segment begins.
func (s *Store) usual() int64 { return max(s.cfg.Extend, roundUp(headerSize+s.cfg.Reserve+unit)) }

// squeeze lets the compaction have the active segment on a full disk, where little of it is in use, and a
// new one of the usual size has no room. It begins a small one in half of what is left of the reserve.
func (s *Store) squeeze() bool {
	a := s.active
	size := (a.size - a.end) / 2 &^ (unit - 1)
	if a.live*2 > size || a.end < s.cfg.Reserve || size < s.cfg.Reserve/8 || time.Since(s.squeezed) < time.Second {
		return false
	}
	s.squeezed = time.Now()
	if err := a.file.Truncate(a.end + unit); err != nil {
		return false
	}
	s.resize(a, a.end+unit)
	a.solid = a.size
	if err := s.roll(size); err != nil {
		if !errors.Is(err, store.ErrFailed) {
			_ = s.extend(0) // takes back what it can
		}
		return false
	}
	s.wasteful = true
	return true
}

// extend makes the active segment longer, so that the sync of the frame need not write a new size, and
// whatever ends without zeros behind it is known to have been cut off. For a frame longer than Extend it
// leaves a hole: zeros would only be written over.
func (s *Store) extend(n int64) error {
	a := s.active
	from, to := a.size, a.end+n+s.cfg.Reserve+unit
	if to <= from {
		return nil
	}
	to = (to + s.cfg.Extend - 1) / s.cfg.Extend * s.cfg.Extend
	hole := n > s.cfg.Extend
	if hole {
		from = max(from, a.end+n)
	}
	zeros := make([]byte, min(to-from, copyBuffer))
	at := from
	for at < to {
		n, err := a.file.WriteAt(zeros[:min(int64(len(zeros)), to-at)], at)
		at += int64(n)
		if err != nil {
			return s.short(err, at, hole)
		}
	}
	if err := s.sync(a); err != nil {
		return s.short(err, a.size, true)
	}
	s.resize(a, to)
	if !hole {
		a.solid = to
	}
	return nil
}

// short keeps what could be made of the room, if it is whole and on the disk, and says why it is not more.
func (s *Store) short(err error, at int64, back bool) error {
	a := s.active
	if back {
		at = a.size
	}
	e := a.file.Truncate(at)
	if e == nil {
		e = s.sync(a)
	}
	switch {
	case isFull(e) && s.synced == s.seq:
		return err // behind the end are only zeros, however many
	case e != nil:
		return s.fail(errors.Join(err, e))
	}
	s.resize(a, at)
	a.solid = at
	return err
}

// roll begins a new segment. All of the old one is on stable storage before: that there is a later one
// proves it.
func (s *Store) roll(size int64) error {
	if s.active != nil {
		if err := s.syncActive(); err != nil {
			return err
		}
	}
	seg, err := s.create(s.highest+1, size)
	if err != nil {
		return err
	}
	if old := s.active; old != nil && !old.hurt {
		// If this fails, or is forgotten, the file is only longer than it need be.
		if err := old.file.Truncate(old.end + unit); err == nil {
			s.resize(old, old.end+unit)
		}
	}
	s.mu.Lock()
	s.add(seg)
	s.mu.Unlock()
	s.active, s.highest = seg, uint32(seg.number)
	return s.saveList()
}

func (s *Store) resize(seg *segment, size int64) {
	s.mu.Lock()
	seg.size = size
	s.mu.Unlock()
}

// syncActive makes all frames durable. If it fails that is final.
func (s *Store) syncActive() error {
	if s.synced == s.seq {
		return nil
	}
	if err := s.sync(s.active); err != nil {
		return s.fail(err)
	}
	s.synced = s.seq
	return nil
}

// isFull says whether something did not fit, and nothing worse happened.
func isFull(err error) bool { return files.Full(err) && !errors.Is(err, store.ErrFailed) }
