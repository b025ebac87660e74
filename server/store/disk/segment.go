package disk

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strconv"
	"strings"
	"sync"

	"github.com/geartrain/geartrain/server/store/files"
)

// segment is one file of the log.
type segment struct {
	header
	sum   uint32 // its header's seed
	name  string
	file  files.File
	end   int64 // behind the last frame
	size  int64 // of the file; zeros from end on
	solid int64 // behind it, up to size, is room for a frame that was not written yet
	reads sync.WaitGroup

	// What is in use, kept by the store's index.
	entries int64 // that a record refers to
	live    int64 // their bytes
	graves  map[grave]int

	last     uint64 // the sequence number of its last frame
	marked   bool   // the last frame is a mark
	dirty    bool   // what a refused frame has left is behind the end
	hurt     bool   // something in it is damaged, and was set aside: it is to be written anew
	pinned   bool   // something in it is damaged, and could not be set aside: it stays
	leaving  bool   // nothing refers to it, and it is being removed
	scarred  bool   // a copy of its header cannot be read
	headless bool   // neither can the other
}

// grave is the range of segments that may hold entries of a record that was deleted.
type grave struct{ first, last uint32 }

const (
	suffix    = ".log"
	newSuffix = ".new"
)

func segmentName(number uint64) string { return fmt.Sprintf("%010d%s", number, suffix) }

// segmentNumber reads a name; false if it is not a segment's.
func segmentNumber(name string) (uint64, bool) {
	digits, ok := strings.CutSuffix(name, suffix)
	n, err := strconv.ParseUint(digits, 10, 32)
	return n, ok && err == nil && segmentName(n) == name
}

// create makes a segment under its name only when its header and its first zeros are on stable storage:
// a file with a segment's name is never half made.
func (s *Store) create(number uint32, size int64) (*segment, error) {
	path := filepath.Join(s.cfg.Dir, segmentName(uint64(number)))
	if err := s.fs.Remove(path + newSuffix); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	f, err := s.fs.Create(path + newSuffix)
	if err != nil {
		return nil, err
	}
	seg := &segment{
		header: header{version: version, log: s.log, number: uint64(number), first: s.seq + 1},
		name:   segmentName(uint64(number)),
		file:   f,
		end:    headerSize,
		size:   size,
		solid:  size,
	}
	seg.sum = seg.seed()
	if err := s.fill(seg); err != nil {
		return nil, errors.Join(err, f.Close(), s.fs.Remove(path+newSuffix))
	}
	if err := s.rename(path); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return seg, nil
}

// fill writes a new segment's header and the zeros behind it.
func (s *Store) fill(seg *segment) error {
	b := make([]byte, seg.size)
	copy(b, seg.encode())
	if _, err := seg.file.WriteAt(b, 0); err != nil {
		return err
	}
	return s.sync(seg)
}

// rename gives a segment its name. If it cannot be said whether it has it for good, it must not have it:
// while there is a later segment nothing may be written to the one before.
func (s *Store) rename(path string) error {
	if err := s.fs.Rename(path+newSuffix, path); err != nil {
		return err
	}
	err := s.fs.SyncDir(s.cfg.Dir)
	if err == nil {
		return nil
	}
	if e := s.fs.Remove(path); e != nil {
		return s.fail(errors.Join(err, e))
	}
	if e := s.fs.SyncDir(s.cfg.Dir); e != nil {
		return s.fail(errors.Join(err, e))
	}
	return err
}

// remove lets go of a segment that nothing refers to. When it returns nil the file is gone for good.
func (s *Store) remove(seg *segment) error {
	seg.reads.Wait()
	if err := seg.file.Close(); err != nil {
		return err
	}
	if err := s.fs.Remove(filepath.Join(s.cfg.Dir, seg.name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return s.fs.SyncDir(s.cfg.Dir)
}

// wasteful says whether most of a segment is of no use.
func (seg *segment) wasteful() bool { return seg.live*2 < seg.end-headerSize || seg.hurt }

// fits says whether a frame of n bytes has room before the last keep bytes, with a zero behind it.
func (seg *segment) fits(n, keep int64) bool { return seg.end+n+keep+unit <= seg.size }
