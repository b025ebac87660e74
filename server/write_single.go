//go:build unix && !(linux || darwin || openbsd)

package server

import "syscall"

// writeChunks writes the first chunk only: a short write, after which the writer goroutine goes on.
func writeChunks(fd int, chunks [][]byte) (int, error) { return syscall.Write(fd, chunks[0]) }
