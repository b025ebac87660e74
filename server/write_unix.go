//go:build unix

package server

import "syscall"

const canWriteOnce = true

// writeNow is one write to a non-blocking descriptor. A full socket is not an error but 0 bytes.
func writeNow(fd uintptr, b []byte) (int, error) {
	for {
		n, err := syscall.Write(int(fd), b)
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
