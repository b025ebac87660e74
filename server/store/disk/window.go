package disk

import (
	"fmt"
	"hash/crc32"
	"io"

	"github.com/geartrain/geartrain/server/store/files"
)

// window reads a file through a buffer, mostly forwards.
type window struct {
	file files.File
	name string
	size int64
	at   int64 // where buf is from
	buf  []byte
	room []byte
}

func newWindow(seg *segment, room int) *window {
	room = int(max(entrySize, min(int64(room), seg.size)))
	return &window{file: seg.file, name: seg.name, size: seg.size, room: make([]byte, room)}
}

// bytes gives n bytes at an offset, or fewer at the end of the file. They are valid until the next call. n
// must fit into the buffer.
func (w *window) bytes(off int64, n int) ([]byte, error) {
	if left := w.size - off; int64(n) > left {
		n = int(max(left, 0))
	}
	if off < w.at || off+int64(n) > w.at+int64(len(w.buf)) {
		if err := w.move(off); err != nil {
			return nil, err
		}
		n = min(n, len(w.buf))
	}
	return w.buf[off-w.at:][:n], nil
}

func (w *window) move(off int64) error {
	n := min(int64(len(w.room)), w.size-off)
	read, err := w.file.ReadAt(w.room[:max(n, 0)], off)
	if err != nil && err != io.EOF { //nolint:errorlint // ReadAt's contract
		return fmt.Errorf("store: read %s at %d: %w", w.name, off, err)
	}
	w.at, w.buf = off, w.room[:read]
	return nil
}

// spans gives all bytes from off to end in pieces until fn says no; fewer if the file ends before.
func (w *window) spans(off, end int64, fn func([]byte) bool) error {
	for off < end {
		b, err := w.bytes(off, int(min(end-off, int64(len(w.room)))))
		if err != nil {
			return err
		}
		if len(b) == 0 || !fn(b) {
			return nil
		}
		off += int64(len(b))
	}
	return nil
}

// sum is the checksum of n bytes.
func (w *window) sum(off, n int64) (uint32, error) {
	var sum uint32
	err := w.spans(off, off+n, func(b []byte) bool {
		sum = crc32.Update(sum, castagnoli, b)
		return true
	})
	return sum, err
}

// zero says whether there is nothing but zeros.
func (w *window) zero(off, end int64) (bool, error) {
	all := true
	err := w.spans(off, end, func(b []byte) bool {
		all = isZero(b)
		return all
	})
	return all, err
}

// isZero compares b with itself moved by one.
func isZero(b []byte) bool {
	return len(b) == 0 || b[0] == 0 && string(b[1:]) == string(b[:len(b)-1])
}
