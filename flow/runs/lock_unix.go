//go:build unix

package runs

import (
	"os"

	"golang.org/x/sys/unix"
)

// lockFile locks a file for as long as it is open, without waiting. Locks belong to the open file, so
// two of one process exclude each other too.
func lockFile(f *os.File) error { return unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB) }
