package flow

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"sync"
)

// Sizes of spools, in bytes.
const (
	spoolMemory = 1 << 20  // what a spool keeps before it uses a file
	spoolChunk  = 64 << 10 // what is written and read at once
)

// spool is a sequence of records that grows without end in constant memory. The first records stay
// in memory; the rest go to a file that has no name, so that nothing is left of it whatever ends
// the process.
//
//	position 0          len(head)              + flushed
//	         |  head    |  file                | tail   | ◄── append
//
// A record is its tag and length as varints, then its bytes. It never lies across two of the three
// parts, and it never changes. Any number of goroutines may append and read.
type spool struct {
	dir string // of the file. Empty: the system's folder for temporary files

	// mu guards what follows. It is held while a full tail is written, which is a copy to the page
	// cache: readers of the tail need it in place or in the file, never in between.
	mu      sync.Mutex
	head    []byte
	full    bool // head takes no more
	tail    []byte
	flushed int64 // bytes in the file
	file    *spoolFile
	err     error // the first trouble with the file
}

// append adds a record and returns its position. The bytes are copied.
func (s *spool) append(tag uint64, p []byte) (int64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		return 0, s.err
	}
	if !s.full && len(s.head)+len(p)+2*binary.MaxVarintLen64 <= spoolMemory {
		pos := int64(len(s.head))
		s.head = appendRecord(s.head, tag, p)
		return pos, nil
	}
	s.full = true
	pos := s.endLocked()
	s.tail = appendRecord(s.tail, tag, p)
	if len(s.tail) >= spoolChunk {
		s.err = s.flush()
	}
	return pos, s.err
}

// end is the position after the last record.
func (s *spool) end() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.endLocked()
}

func (s *spool) endLocked() int64 {
	return int64(len(s.head)) + s.flushed + int64(len(s.tail))
}

// flush moves the tail to the file. Its memory is given up to those who still read it.
func (s *spool) flush() (err error) {
	if s.file == nil {
		if s.file, err = createSpoolFile(s.dir); err != nil {
			return err
		}
	}
	if _, err := s.file.WriteAt(s.tail, s.flushed); err != nil {
		return fmt.Errorf("write temporary file: %w", err)
	}
	s.flushed += int64(len(s.tail))
	s.tail = make([]byte, 0, spoolChunk+spoolChunk/4)
	return nil
}

// close gives the file back to the system. Nobody reads the spool any more.
func (s *spool) close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.err = errors.New("temporary file is closed")
	if s.file == nil {
		return nil
	}
	return s.file.Close()
}

// memory gives the bytes from pos on if they are in memory, else the file and the position in it.
func (s *spool) memory(pos int64) (p []byte, file *spoolFile, offset int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	offset = pos - int64(len(s.head))
	switch {
	case offset < 0:
		return s.head[pos:], nil, 0
	case offset >= s.flushed:
		return s.tail[offset-s.flushed:], nil, 0
	}
	return nil, s.file, offset
}

func appendRecord(dst []byte, tag uint64, p []byte) []byte {
	dst = binary.AppendUvarint(dst, tag)
	dst = binary.AppendUvarint(dst, uint64(len(p)))
	return append(dst, p...)
}

// spoolFile is a temporary file that is already deleted, where the system allows it.
type spoolFile struct {
	*os.File
	named bool // it could not be deleted while open
}

func createSpoolFile(dir string) (*spoolFile, error) {
	f, err := os.CreateTemp(dir, "geartrain-*.tmp")
	if err != nil {
		return nil, fmt.Errorf("create temporary file: %w", err)
	}
	return &spoolFile{File: f, named: os.Remove(f.Name()) != nil}, nil
}

// Close closes the file, and deletes it if that is still to be done.
func (f *spoolFile) Close() error {
	err := f.File.Close()
	if f.named {
		err = errors.Join(err, os.Remove(f.Name()))
	}
	return err
}
