package files

import (
	"io"
	"os"
)

// OS is the file system of the machine.
type OS struct{}

// MkdirAll makes a folder, and those above it.
func (OS) MkdirAll(dir string) error { return os.MkdirAll(dir, 0o700) }

// ReadDir lists a folder.
func (OS) ReadDir(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	names := make([]string, len(entries))
	for i, e := range entries {
		names[i] = e.Name()
	}
	return names, err
}

// Create makes a file that must not exist.
func (OS) Create(name string) (File, error) { return open(name, os.O_RDWR|os.O_CREATE|os.O_EXCL) }

// Open opens a file that must exist.
func (OS) Open(name string) (File, error) { return open(name, os.O_RDWR) }

// Rename gives a file another name.
func (OS) Rename(from, to string) error { return os.Rename(from, to) }

// Link gives a file a second name.
func (OS) Link(from, to string) error { return os.Link(from, to) }

// Remove removes a name.
func (OS) Remove(name string) error { return os.Remove(name) }

// Lock holds a file that says who holds it, until it is closed or the process ends.
func (OS) Lock(name, mark string) (io.Closer, error) {
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if err := lock(f); err != nil {
		was := make([]byte, 100)
		n, _ := f.ReadAt(was, 0) // only for the message; elsewhere a lock keeps readers out too
		_ = f.Close()            // nothing was written
		if isLocked(err) {
			err = &LockedError{Name: name, Mark: string(was[:n])}
		}
		return nil, err
	}
	if err := f.Truncate(0); err == nil {
		_, _ = f.WriteAt([]byte(mark), 0) // only for people, and a full disk is no reason not to start
	}
	return f, nil
}

type file struct{ *os.File }

func open(name string, flags int) (File, error) {
	f, err := os.OpenFile(name, flags, 0o600)
	if err != nil {
		return nil, err
	}
	return file{f}, nil
}

func (f file) Size() (int64, error) {
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}

func (f file) Sync() error { return syncData(f.File) }
