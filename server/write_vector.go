//go:build linux || darwin || openbsd

package server

import (
	"syscall"

	"golang.org/x/sys/unix"
)

func writeChunks(fd int, chunks [][]byte) (int, error) {
	if len(chunks) == 1 {
		return syscall.Write(fd, chunks[0])
	}
	return unix.Writev(fd, chunks)
}
