package disk

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
)

// Backup gives full segments a second name in dir where the file system can, since they never change, and
// copies the others. The copy has a name of its own until it is whole and on stable storage, so that half
// of one is never taken for a backup.
func (s *Store) Backup(ctx context.Context, dir string) error {
	names, err := s.fs.ReadDir(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return fmt.Errorf("store: backup: %w", err)
	case len(names) > 0:
		return fmt.Errorf("store: backup: %s is not empty; nothing was changed: name a folder that is, or does not exist", dir)
	}
	segs, end, l, err := s.freeze()
	if err != nil {
		return fmt.Errorf("store: backup: %w", err)
	}
	defer func() {
		for _, seg := range segs {
			seg.reads.Done()
		}
	}()
	part := filepath.Clean(dir) + ".part"
	if err := s.clear(part); err != nil {
		return fmt.Errorf("store: backup: clear an earlier try: %w", err)
	}
	if err := s.copyAll(ctx, segs, end, l, part); err != nil {
		return fmt.Errorf("store: backup: %w", errors.Join(err, s.clear(part)))
	}
	if err := s.arrive(part, dir, len(names) == 0 && err == nil); err != nil {
		return fmt.Errorf("store: backup: %w", err)
	}
	return nil
}

// freeze gives the segments of now, which stay where they are until their reads are done, where the last
// of them ends, and the list of them.
func (s *Store) freeze() (segs []*segment, end int64, l list, err error) {
	s.write.Lock()
	defer s.write.Unlock()
	if err := s.usable(); err != nil {
		return nil, 0, l, err
	}
	l.log, l.synced = s.log, s.seq
	if s.active == nil {
		return nil, 0, l, nil
	}
	for _, seg := range s.segments {
		if !seg.leaving {
			seg.reads.Add(1)
			segs = append(segs, seg)
			l.segments = append(l.segments, listed{number: uint32(seg.number), first: seg.first})
		}
	}
	return segs, s.active.end, l, nil
}

func (s *Store) copyAll(ctx context.Context, segs []*segment, end int64, l list, part string) error {
	if err := s.fs.MkdirAll(part); err != nil {
		return err
	}
	for i, seg := range segs {
		if err := ctx.Err(); err != nil {
			return err
		}
		to := filepath.Join(part, seg.name)
		if i < len(segs)-1 {
			if s.fs.Link(filepath.Join(s.cfg.Dir, seg.name), to) == nil {
				continue
			}
			if err := s.copyRange(seg, 0, seg.end, to, unit); err != nil {
				return err
			}
			continue
		}
		if err := s.copyRange(seg, 0, end, to, unit); err != nil {
			return err
		}
	}
	return s.writeList(part, l)
}

// arrive gives the finished copy its name.
func (s *Store) arrive(part, dir string, exists bool) error {
	if exists {
		if err := s.fs.Remove(dir); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	if err := s.fs.Rename(part, dir); err != nil {
		return err
	}
	return s.fs.SyncDir(filepath.Dir(filepath.Clean(dir)))
}

// clear removes a folder of files.
func (s *Store) clear(dir string) error {
	names, err := s.fs.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, name := range names {
		if err := s.fs.Remove(filepath.Join(dir, name)); err != nil {
			return err
		}
	}
	return s.fs.Remove(dir)
}
