package poll

import "golang.org/x/sys/unix"

func writeNow(fd uintptr, b []byte) (int, error) { return unix.Write(int(fd), b) }
