package files

import (
	"errors"
	"os"

	"golang.org/x/sys/windows"
)

// SyncDir does nothing: names are durable when the call that made them returns.
func (OS) SyncDir(string) error { return nil }

func lock(f *os.File) error {
	const exclusive = windows.LOCKFILE_EXCLUSIVE_LOCK | windows.LOCKFILE_FAIL_IMMEDIATELY
	// A byte far behind the end, so that the mark can be read by others.
	return windows.LockFileEx(windows.Handle(f.Fd()), exclusive, 0, 1, 0, &windows.Overlapped{Offset: 1 << 30})
}

func isLocked(err error) bool { return errors.Is(err, windows.ERROR_LOCK_VIOLATION) }

// Full says whether an error means that something did not fit, and may fit later.
func Full(err error) bool {
	return errors.Is(err, windows.ERROR_DISK_FULL) || errors.Is(err, windows.ERROR_HANDLE_DISK_FULL)
}

// TooLarge says whether a file has reached the size that this process may give it.
func TooLarge(error) bool { return false }
