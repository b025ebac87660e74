package disk

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
)

// list is a file that says which segments there should be, and has what their headers say once more. A
// segment that is gone, or is back after it was removed, or has lost its end, is found by it. It is written
// anew when there is another segment, before one is removed, and by Close. Where it cannot be written
// there is none: nothing depends on it.
type list struct {
	log      uint64
	synced   uint64 // the last frame that was on stable storage when the list was written
	segments []listed
}

// listed is one segment.
type listed struct {
	number  uint32
	leaving bool // it was being removed
	first   uint64
}

const (
	listName   = "segments"
	listedSize = 16
)

// encode makes a header like a segment's, with how many segments there are in place of its number and
// synced in place of its first frame, and all of them behind it with their checksum.
func (l list) encode() []byte {
	b := header{version: version, log: l.log, number: uint64(len(l.segments)), first: l.synced}.encode()[:copySize]
	for _, s := range l.segments {
		leaving := uint32(0)
		if s.leaving {
			leaving = 1
		}
		b = order.AppendUint32(b, s.number)
		b = order.AppendUint32(b, leaving)
		b = order.AppendUint64(b, s.first)
	}
	return order.AppendUint32(b, checksum(b[copySize:]))
}

// decodeList reads what encode made. If only its header is in order it gives the log's number.
func decodeList(b []byte) (l list, ok bool) {
	h, ok := decodeHeader(b)
	if !ok {
		return list{}, false
	}
	l.log, l.synced = h.log, h.first
	b = b[copySize:]
	end := len(b) - 4
	if end < 0 || end%listedSize != 0 || uint64(end/listedSize) != h.number || order.Uint32(b[end:]) != checksum(b[:end]) {
		return l, false
	}
	for at := 0; at < end; at += listedSize {
		l.segments = append(l.segments, listed{order.Uint32(b[at:]), order.Uint32(b[at+4:]) == 1, order.Uint64(b[at+8:])})
	}
	return l, true
}

func (l list) find(number uint64) (listed, bool) {
	i := slices.IndexFunc(l.segments, func(s listed) bool { return uint64(s.number) == number })
	if i < 0 {
		return listed{}, false
	}
	return l.segments[i], true
}

// removed says whether a segment's number was used, and its file removed.
func (l list) removed(number uint64) bool {
	_, found := l.find(number)
	return !found && len(l.segments) > 0 && number < uint64(l.segments[len(l.segments)-1].number)
}

// equal says whether they have the same segments.
func (l list) equal(other list) bool {
	return l.log == other.log && slices.Equal(l.segments, other.segments)
}

// readList reads the list of an earlier start.
func (s *Store) readList() error {
	f, err := s.fs.Open(filepath.Join(s.cfg.Dir, listName))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("store: open the list of segments: %w", err)
	}
	size, err := f.Size()
	var b []byte
	if err == nil {
		w := &window{file: f, name: listName, size: size, room: make([]byte, copyBuffer)}
		b, err = read(w, nil, 0, size)
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("store: read the list of segments: %w", err)
	}
	var ok bool
	if s.list, ok = decodeList(b); !ok {
		s.astray = append(s.astray, Damage{File: listName, Reason: "the list of segments is damaged; it is written anew"})
	}
	return nil
}

// listNow is the list of the segments of now.
func (s *Store) listNow() list {
	l := list{log: s.log, synced: s.synced}
	for _, seg := range s.segments {
		l.segments = append(l.segments, listed{uint32(seg.number), seg.leaving, seg.first})
	}
	return l
}

// saveList makes sure that the list on the disk is that of now, or that there is none.
func (s *Store) saveList() error {
	path := filepath.Join(s.cfg.Dir, listName)
	err := s.writeList(s.cfg.Dir, s.listNow())
	if err == nil {
		return nil
	}
	for _, name := range []string{path + newSuffix, path} {
		if e := s.fs.Remove(name); e != nil && !errors.Is(e, fs.ErrNotExist) {
			return s.fail(errors.Join(err, e))
		}
	}
	if e := s.fs.SyncDir(s.cfg.Dir); e != nil {
		return s.fail(errors.Join(err, e))
	}
	return nil
}

func (s *Store) writeList(dir string, l list) error {
	path := filepath.Join(dir, listName)
	if err := s.fs.Remove(path + newSuffix); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	f, err := s.fs.Create(path + newSuffix)
	if err != nil {
		return err
	}
	if _, err = f.WriteAt(l.encode(), 0); err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err := s.fs.Rename(path+newSuffix, path); err != nil {
		return err
	}
	return s.fs.SyncDir(dir)
}
