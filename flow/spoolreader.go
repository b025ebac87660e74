package flow

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

var errSpool = errors.New("temporary file is damaged")

// spoolReader reads the records of one spool at any positions. It keeps the chunks of the file that
// it read last, so that reading about in order costs a read for each chunk and not for each record.
// It is for one goroutine.
type spoolReader struct {
	spool  *spool
	chunks [8]spoolPart
}

// spoolPart is a piece of the file.
type spoolPart struct {
	number int64 // of the chunk, from 1; 0: none
	data   []byte
}

// at reads the record at pos and says where the next one begins. The record's bytes are not the
// caller's to change; they stay as they are.
func (r *spoolReader) at(pos int64) (tag uint64, p []byte, next int64, err error) {
	data, file, offset := r.spool.memory(pos)
	if file != nil {
		if data, err = r.chunk(file, offset); err != nil {
			return 0, nil, 0, err
		}
	}
	tag, size, n := recordHeader(data)
	if n == 0 && file != nil { // the header lies across two chunks
		if data, err = readAt(file, offset, 2*binary.MaxVarintLen64); err != nil {
			return 0, nil, 0, err
		}
		tag, size, n = recordHeader(data)
	}
	if n == 0 {
		return 0, nil, 0, errSpool
	}
	next = pos + int64(n+size)
	if len(data) >= n+size {
		return tag, data[n : n+size : n+size], next, nil
	}
	if file == nil {
		return 0, nil, 0, errSpool
	}
	p, err = readAt(file, offset+int64(n), size)
	if err == nil && len(p) < size {
		err = errSpool
	}
	return tag, p, next, err
}

// chunk is the file from offset to the end of the chunk it lies in.
func (r *spoolReader) chunk(file *spoolFile, offset int64) ([]byte, error) {
	number, skip := offset/spoolChunk+1, int(offset%spoolChunk)
	part := &r.chunks[number%int64(len(r.chunks))]
	if part.number != number || len(part.data) <= skip {
		data, err := readAt(file, offset-int64(skip), spoolChunk)
		if err != nil {
			return nil, err
		}
		*part = spoolPart{number, data}
	}
	if len(part.data) <= skip {
		return nil, errSpool
	}
	return part.data[skip:], nil
}

// readAt reads up to size bytes; fewer only at the end of the file.
func readAt(file *spoolFile, offset int64, size int) ([]byte, error) {
	p := make([]byte, size)
	n, err := file.ReadAt(p, offset)
	if err != nil && err != io.EOF {
		return nil, fmt.Errorf("read temporary file: %w", err)
	}
	return p[:n], nil
}

// recordHeader gives zero for n when data is too short.
func recordHeader(data []byte) (tag uint64, size, n int) {
	tag, a := binary.Uvarint(data)
	if a <= 0 {
		return 0, 0, 0
	}
	length, b := binary.Uvarint(data[a:])
	if b <= 0 {
		return 0, 0, 0
	}
	return tag, int(length), a + b
}
