package disk

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/geartrain/geartrain/server/store"
)

// Damage is a part of a file whose bytes are not those that were written.
type Damage struct {
	File    string
	Offset  int64
	Length  int64
	Records int // that are lost, as far as one can tell
	Reason  string
}

func (d Damage) String() string { return fmt.Sprintf("%s:%d: %s", d.File, d.Offset, d.Reason) }

// DamagedError says why a strict store did not load.
type DamagedError struct{ Damage []Damage }

func (e *DamagedError) Error() string {
	var places []string
	for _, d := range e.Damage {
		places = append(places, d.String())
	}
	return fmt.Sprintf("store: the log is damaged, and nothing was changed; start without strict to set the damaged "+
		"parts aside and load all others: %s", strings.Join(places, "; "))
}

// Unwrap makes it [store.ErrDamaged].
func (e *DamagedError) Unwrap() error { return store.ErrDamaged }

// asideDir is where copies of damaged parts are kept for whoever wants to look.
const asideDir = "damaged"

// setAside copies the damaged part, so that the segment can be written anew without losing a byte of it. What
// is wrong with a whole file has no segment.
func (s *Store) setAside(seg *segment, d Damage) {
	var err error
	if seg != nil {
		seg.hurt = true
		if err = s.copyAside(seg, d); err != nil {
			seg.pinned = true
		}
	}
	s.damaged.Add(uint64(d.Records))
	s.name(d, err)
}

func (s *Store) name(d Damage, err error) {
	attrs := []any{"file", filepath.Join(s.cfg.Dir, d.File), "offset", d.Offset, "bytes", d.Length,
		"records", d.Records, "reason", d.Reason}
	if err != nil {
		attrs = append(attrs, "copy", err)
	} else if d.Length > 0 {
		attrs = append(attrs, "copy", filepath.Join(s.cfg.Dir, asideDir, asideName(d)))
	}
	s.cfg.Logger.Error("a damaged part of the log is set aside; all else is loaded", attrs...)
}

func asideName(d Damage) string {
	return fmt.Sprintf("%s-%d", strings.TrimSuffix(d.File, suffix), d.Offset)
}

func (s *Store) copyAside(seg *segment, d Damage) error {
	if d.Length == 0 {
		return nil
	}
	dir := filepath.Join(s.cfg.Dir, asideDir)
	if err := s.fs.MkdirAll(dir); err != nil {
		return err
	}
	name := filepath.Join(dir, asideName(d))
	if f, err := s.fs.Open(name); err == nil {
		size, err := f.Size()
		if err = errors.Join(err, f.Close()); err == nil && size == d.Length {
			return nil // from an earlier start
		}
		if err := s.fs.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	if err := s.copyRange(seg, d.Offset, d.Offset+d.Length, name, 0); err != nil {
		return err
	}
	return errors.Join(s.fs.SyncDir(dir), s.fs.SyncDir(s.cfg.Dir))
}

// moveStrays puts files that are none of the log where nobody takes them for some.
func (s *Store) moveStrays() error {
	dir := filepath.Join(s.cfg.Dir, asideDir)
	for _, name := range s.strays {
		err := s.fs.MkdirAll(dir)
		if err == nil {
			err = s.fs.Rename(filepath.Join(s.cfg.Dir, name), filepath.Join(dir, name))
		}
		if err = errors.Join(err, s.fs.SyncDir(dir), s.fs.SyncDir(s.cfg.Dir)); err != nil {
			return fmt.Errorf("store: load: %s is not part of the log, and cannot be set aside; move it away: %w", name, err)
		}
	}
	return nil
}

// copyRange makes a file of part of a segment and some zeros, and syncs it.
func (s *Store) copyRange(seg *segment, from, to int64, name string, zeros int) error {
	f, err := s.fs.Create(name)
	if err != nil {
		return err
	}
	w := &window{file: seg.file, name: seg.name, size: to, room: make([]byte, min(copyBuffer, to-from))}
	var at int64
	write := func(b []byte) bool {
		_, err = f.WriteAt(b, at)
		at += int64(len(b))
		return err == nil
	}
	read := w.spans(from, to, write)
	if read == nil && err == nil && at < to-from {
		read = fmt.Errorf("store: copy %s: it is shorter than it was", seg.name)
	}
	if read == nil && err == nil && zeros > 0 {
		write(make([]byte, zeros))
	}
	if read == nil && err == nil {
		err = f.Sync()
	}
	return errors.Join(read, err, f.Close())
}

const copyBuffer = 256 << 10

// spoiled sets an entry aside whose bytes have changed since they were written, and gives the record up:
// from now on Body says ErrDamaged, and what would change its head deletes it.
func (s *Store) spoiled(seg *segment, f *found) error {
	s.write.Lock()
	defer s.write.Unlock()
	now := s.index.get(f.id)
	if now == nil || now.head != f.place && now.body != f.place {
		return nil // nobody needs it
	}
	s.setAside(seg, Damage{File: seg.name, Offset: f.offset(), Length: f.size(), Records: 1,
		Reason: fmt.Sprintf("record %d is not as it was written", f.id)})
	if seg.pinned {
		return fmt.Errorf("record %d at %s:%d cannot be set aside: %w", f.id, seg.name, f.offset(), store.ErrDamaged)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.giveUp(f.id)
	return nil
}

// giveUp says that a record is lost. Older entries of it must not count when the damaged one is gone: the
// compaction deletes it. It needs both locks.
func (s *Store) giveUp(id store.ID) {
	if now := s.index.get(id); now != nil {
		s.charge(now, -1)
		s.index.remove(id)
	}
	s.lost[id] = false
}

// Verify reads all segments but the one that is written to, and names what has changed since it was
// written before anybody asks for it.
func (s *Store) Verify(ctx context.Context) error {
	s.mu.RLock()
	segs := slices.Clone(s.segments)
	s.mu.RUnlock()
	for _, seg := range segs {
		if err := s.verify(ctx, seg); err != nil {
			return fmt.Errorf("store: verify %s: %w", seg.name, err)
		}
	}
	return nil
}

func (s *Store) verify(ctx context.Context, seg *segment) error {
	s.write.Lock()
	skip := seg == s.active || seg.leaving
	if !skip {
		seg.reads.Add(1)
	}
	s.write.Unlock()
	if skip {
		return nil
	}
	defer seg.reads.Done()
	c := &scan{seg: seg, w: newWindow(seg, copyBuffer)}
	for off, n := int64(headerSize), 0; off < seg.end; n++ {
		e, known, whole, err := c.entry(off, seg.end)
		if err != nil {
			return err
		}
		switch {
		case !known:
			off += unit
			continue
		case !whole:
			if err := s.spoiled(seg, &found{e, place{uint32(seg.number), uint32(off / unit)}}); err != nil {
				return err
			}
		}
		off += e.size()
		if err := s.rest(ctx, n, e.size()); err != nil {
			return err
		}
	}
	return nil
}

// rest keeps the reading slow.
func (s *Store) rest(ctx context.Context, n int, size int64) error {
	if n%256 != 0 && size < copyBuffer || s.cfg.Quiet {
		return ctx.Err()
	}
	t := time.NewTimer(10 * time.Millisecond)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
	return ctx.Err()
}
