package runs

import (
	"os"

	"golang.org/x/sys/windows"
)

// lockFile locks a file for as long as it is open, without waiting. What is locked lies far behind the
// text, which others may read.
func lockFile(f *os.File) error {
	at := &windows.Overlapped{OffsetHigh: 1 << 30}
	return windows.LockFileEx(windows.Handle(f.Fd()), windows.LOCKFILE_EXCLUSIVE_LOCK|windows.LOCKFILE_FAIL_IMMEDIATELY, 0, 1, 0, at)
}
