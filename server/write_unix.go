//go:build unix

package server

import "syscall"

const canWriteOnce = true

// writeNow is one write of chunks, or of the first ones, to a non-blocking descriptor. A full socket
// is not an error but 0 bytes.
func writeNow(fd uintptr, chunks [][]byte) (int, error) {
	for {
		n, err := writeChunks(int(fd), chunks)
		switch err {
		case nil:
			return n, nil
		case syscall.EAGAIN:
			return 0, nil
		case syscall.EINTR:
			continue
		}
		return 0, err
	}
}
