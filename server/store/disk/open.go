package disk

import (
	"cmp"
	"fmt"
	"path/filepath"
	"slices"

	"github.com/geartrain/geartrain/server/store"
)

// openSegments finds the files of the log, and says which of them are none, or missing.
func (s *Store) openSegments() error {
	if err := s.readList(); err != nil {
		return err
	}
	names, err := s.fs.ReadDir(s.cfg.Dir)
	if err != nil {
		return fmt.Errorf("store: list the data folder: %w", err)
	}
	for _, name := range names {
		if number, ok := segmentNumber(name); ok {
			if err := s.openSegment(name, number); err != nil {
				return err
			}
		}
	}
	slices.SortFunc(s.segments, func(a, b *segment) int { return cmp.Compare(a.number, b.number) })
	if err := s.headless(); err != nil {
		return err
	}
	s.missing()
	return nil
}

func (s *Store) openSegment(name string, number uint64) error {
	f, err := s.fs.Open(filepath.Join(s.cfg.Dir, name))
	if err != nil {
		return fmt.Errorf("store: open a segment: %w", err)
	}
	seg := &segment{name: name, file: f, header: header{number: number}}
	s.add(seg)
	if seg.size, err = f.Size(); err != nil {
		return fmt.Errorf("store: open a segment: %w", err)
	}
	seg.solid = seg.size
	b, err := newWindow(seg, headerSize).bytes(0, headerSize)
	if err != nil {
		return err
	}
	one, ok1 := decodeHeader(b)
	two, ok2 := decodeHeader(b[min(copySize, len(b)):])
	if newer := min(one.version, two.version); !ok1 && !ok2 && newer > version {
		return fmt.Errorf("store: %s is of version %d, and this program knows versions up to %d; nothing was changed: "+
			"use the program that wrote it, or one of its successors", filepath.Join(s.cfg.Dir, name), newer, version)
	}
	seg.scarred = !ok1 || !ok2
	if !ok1 {
		one, ok1 = two, ok2
	}
	seg.headless = !ok1
	if ok1 && s.list.log != 0 && one.log != s.list.log {
		s.list = list{}
		s.astray = append(s.astray, Damage{File: listName, Reason: "the list of segments is that of another log; it is written anew"})
	}
	switch {
	case s.list.removed(number):
		return s.stray(seg, "it was removed before: what was of use in it is in later files")
	case ok1 && one.number != number:
		return s.stray(seg, fmt.Sprintf("it is a copy of %s, or was renamed", segmentName(one.number)))
	case ok1:
		seg.header = one
		seg.sum = seg.seed()
	}
	return s.sameLog(seg)
}

// stray leaves a file out that is none of the log.
func (s *Store) stray(seg *segment, why string) error {
	s.forget(seg)
	s.strays = append(s.strays, seg.name)
	s.astray = append(s.astray, Damage{File: seg.name, Reason: why})
	if err := seg.file.Close(); err != nil {
		return fmt.Errorf("store: close %s: %w", seg.name, err)
	}
	return nil
}

// sameLog makes sure that no file of another folder was put here.
func (s *Store) sameLog(seg *segment) error {
	if s.log == 0 {
		s.log = seg.log
	}
	if seg.log != 0 && seg.log != s.log {
		return fmt.Errorf("store: %s belongs to another log than the other files there; nothing was changed: move it away",
			filepath.Join(s.cfg.Dir, seg.name))
	}
	return nil
}

// headless lends what the other segments and the list know to segments whose own header cannot be read:
// the log's number, and that of their first frame; zero if nobody knows it.
func (s *Store) headless() error {
	if s.log == 0 {
		s.log = s.list.log
	}
	for _, seg := range s.segments {
		if !seg.headless {
			continue
		}
		if s.log == 0 {
			return fmt.Errorf("store: no header in %s can be read, so nothing in it can; nothing was changed: "+
				"restore a backup, or move its files away to begin anew: %w", s.cfg.Dir, store.ErrDamaged)
		}
		was, _ := s.list.find(seg.number)
		seg.version, seg.log, seg.first = version, s.log, was.first
		seg.sum = seg.seed()
	}
	return nil
}

// missing looks for segments that should be there.
func (s *Store) missing() {
	for _, seg := range s.segments {
		s.highest = max(s.highest, uint32(seg.number))
	}
	for i, was := range s.list.segments {
		s.highest = max(s.highest, was.number)
		if s.byNumber[was.number] != nil || was.leaving {
			continue
		}
		next := s.list.synced + 1
		if i+1 < len(s.list.segments) {
			next = s.list.segments[i+1].first
		}
		s.astray = append(s.astray, Damage{
			File: segmentName(uint64(was.number)), Reason: "the file is missing",
			Records: max(1, int(next-was.first)), // those that were removed between the two are not told apart
		})
	}
}
