// Package files is a file system as the store on disk sees it: so few operations that a test can make
// each of them fail, tear or be forgotten.
//
// What is written to a [File] is on stable storage when Sync returned nil; a name made, changed or removed
// is when SyncDir of its folder did. A Sync that failed says nothing for ever: the system may have dropped
// what was to be written and call the next one a success.
package files

import (
	"fmt"
	"io"
)

// System is a file system. Names are whole paths.
type System interface {
	MkdirAll(dir string) error                        // for the owner only; what exists stays as it is
	ReadDir(dir string) ([]string, error)             // the names in it, sorted
	Create(name string) (File, error)                 // a new file, for the owner only
	Open(name string) (File, error)                   // for reading and writing
	Rename(from, to string) error                     //
	Link(from, to string) error                       // a second name
	Remove(name string) error                         // a file or an empty folder
	SyncDir(dir string) error                         //
	Lock(name string, mark string) (io.Closer, error) // [*LockedError] if another has it; mark is for people to read
}

// File is an open file.
type File interface {
	io.ReaderAt
	io.WriterAt
	io.Closer
	Size() (int64, error)
	Truncate(size int64) error
	Sync() error // contents and size
}

// LockedError says that another process, or another part of this one, holds a lock.
type LockedError struct {
	Name string
	Mark string // what the holder said of itself; may be empty
}

func (e *LockedError) Error() string {
	if e.Mark == "" {
		return fmt.Sprintf("%s is locked by another process", e.Name)
	}
	return fmt.Sprintf("%s is locked by %s", e.Name, e.Mark)
}
