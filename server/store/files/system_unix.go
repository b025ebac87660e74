//go:build unix

package files

import (
	"errors"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// SyncDir makes the names in a folder durable.
func (OS) SyncDir(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	err = f.Sync()
	return errors.Join(err, f.Close())
}

func lock(f *os.File) error { return unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB) }

func isLocked(err error) bool { return errors.Is(err, unix.EWOULDBLOCK) }

// Full says whether an error means that something did not fit, and may fit later: the disk, a quota, the
// limit of a file's size, the table of open files.
func Full(err error) bool {
	for _, full := range []syscall.Errno{unix.ENOSPC, unix.EDQUOT, unix.EFBIG, unix.EMFILE, unix.ENFILE} {
		if errors.Is(err, full) {
			return true
		}
	}
	return false
}

// TooLarge says whether a file has reached the size that this process may give it; another still can grow.
func TooLarge(err error) bool { return errors.Is(err, unix.EFBIG) }
