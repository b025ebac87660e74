package storetest

import (
	"fmt"
	"io"
	"io/fs"
	"maps"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"

	"github.com/geartrain/geartrain/server/store/files"
)

// Files is a file system in memory that keeps apart what is written and what is on stable storage. It
// fails when it is told to, and After is what a crash leaves of it.
type Files struct {
	mu      sync.Mutex
	random  *rand.Rand
	names   map[string]*inode
	kept    map[string]*inode // the names on stable storage
	pending []nameChange
	dirs    map[string]bool
	locks   map[string]string

	room  int64 // sectors; zero: no limit
	used  int64
	moves bool // what is written again takes new room until it is synced
	ops   int
	fault Fault
}

// Fault is what happens at an operation that changes something. They are counted from one.
type Fault struct {
	At    int
	Err   error // nil: the machine stops, and everything from then on fails
	Stays bool  // every later operation fails too
}

// Sector is the piece that is written whole or not at all.
const Sector = 512

type nameChange struct {
	dir    string
	change func(map[string]*inode)
}

// inode is a file.
type inode struct {
	sectors map[int64]*piece
	size    int64
	sizes   []int64 // since the last sync, the one on stable storage first
	links   int
}

// piece is one sector: what it is, and what may be found in its place after a crash.
type piece struct {
	now   []byte
	older [][]byte // the one on stable storage first; empty: that is now
	dirty bool     // the next sync writes it
	free  bool     // it is behind the end of the file, and takes no room
	twice bool     // it takes room twice, until the next sync
}

// NewFiles gives an empty file system with a root.
func NewFiles(seed uint64) *Files {
	return &Files{
		random: rand.New(rand.NewPCG(seed, 0)),
		names:  map[string]*inode{}, kept: map[string]*inode{}, dirs: map[string]bool{"/": true}, locks: map[string]string{},
	}
}

// Limit says how many bytes fit; zero: any number.
func (f *Files) Limit(bytes int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.room = bytes / Sector
}

// Move makes it a file system that never writes in place: what was there before is kept until the next sync.
func (f *Files) Move() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.moves = true
}

// Fail plans what goes wrong; the zero value: nothing does.
func (f *Files) Fail(fault Fault) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.fault = fault
}

// Ops is how many changes there were.
func (f *Files) Ops() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.ops
}

// begin counts a change, and says whether it fails, and if so whether it is done all the same.
func (f *Files) begin() (done bool, err error) {
	f.ops++
	switch {
	case f.fault.At == 0 || f.ops < f.fault.At || f.ops > f.fault.At && f.fault.Err != nil && !f.fault.Stays:
		return true, nil
	case f.fault.Err != nil:
		return false, f.fault.Err
	case f.ops == f.fault.At:
		return f.random.IntN(2) == 0, errStopped
	}
	return false, errStopped
}

// stopped says whether the machine stopped before this operation.
func (f *Files) stopped() bool { return f.fault.At > 0 && f.fault.Err == nil && f.ops > f.fault.At }

var errStopped = fmt.Errorf("the machine has stopped: %w", syscall.EIO)

// name changes names, now and, when the folder is synced, for good.
func (f *Files) name(op, path string, change func(map[string]*inode)) error {
	done, err := f.begin()
	if done {
		change(f.names)
		f.pending = append(f.pending, nameChange{filepath.Dir(path), change})
	}
	if err != nil {
		return &fs.PathError{Op: op, Path: path, Err: err}
	}
	return nil
}

// MkdirAll makes folders, which are there at once.
func (f *Files) MkdirAll(dir string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	for d := dir; !f.dirs[d]; d = filepath.Dir(d) {
		f.dirs[d] = true
	}
	return nil
}

// ReadDir lists a folder.
func (f *Files) ReadDir(dir string) ([]string, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.dirs[dir] {
		return nil, &fs.PathError{Op: "open", Path: dir, Err: fs.ErrNotExist}
	}
	var names []string
	for _, path := range append(slices.Collect(maps.Keys(f.names)), slices.Collect(maps.Keys(f.dirs))...) {
		if path != dir && filepath.Dir(path) == dir {
			names = append(names, filepath.Base(path))
		}
	}
	slices.Sort(names)
	return names, nil
}

// Create makes a file.
func (f *Files) Create(path string) (files.File, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.names[path] != nil || f.dirs[path] || !f.dirs[filepath.Dir(path)] {
		return nil, &fs.PathError{Op: "create", Path: path, Err: fs.ErrExist}
	}
	node := &inode{sectors: map[int64]*piece{}, links: 1}
	if err := f.name("create", path, func(names map[string]*inode) { names[path] = node }); err != nil {
		return nil, err
	}
	return &openFile{f, path, node}, nil
}

// Open opens a file.
func (f *Files) Open(path string) (files.File, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	node := f.names[path]
	if node == nil {
		return nil, &fs.PathError{Op: "open", Path: path, Err: fs.ErrNotExist}
	}
	return &openFile{f, path, node}, nil
}

// Rename renames a file, or a folder with all in it.
func (f *Files) Rename(from, to string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.dirs[from] {
		return f.renameDir(from, to)
	}
	if f.names[from] == nil {
		return &fs.PathError{Op: "rename", Path: from, Err: fs.ErrNotExist}
	}
	return f.name("rename", to, func(names map[string]*inode) {
		if node := names[from]; node != nil {
			names[to] = node
			delete(names, from)
		}
	})
}

func (f *Files) renameDir(from, to string) error {
	delete(f.dirs, from)
	f.dirs[to] = true
	return f.name("rename", to, func(names map[string]*inode) {
		for path, node := range maps.Clone(names) {
			if strings.HasPrefix(path, from+"/") {
				names[to+path[len(from):]] = node
				delete(names, path)
			}
		}
	})
}

// Link gives a file a second name.
func (f *Files) Link(from, to string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	node := f.names[from]
	if node == nil {
		return &fs.PathError{Op: "link", Path: from, Err: fs.ErrNotExist}
	}
	err := f.name("link", to, func(names map[string]*inode) { names[to] = node })
	if err == nil {
		node.links++
	}
	return err
}

// Remove removes a name.
func (f *Files) Remove(path string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.dirs[path] {
		delete(f.dirs, path)
		return nil
	}
	node := f.names[path]
	if node == nil {
		return &fs.PathError{Op: "remove", Path: path, Err: fs.ErrNotExist}
	}
	err := f.name("remove", path, func(names map[string]*inode) { delete(names, path) })
	if node.links--; f.names[path] == nil && node.links == 0 {
		f.used -= node.used()
	}
	return err
}

// SyncDir makes the names in a folder durable.
func (f *Files) SyncDir(dir string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	done, err := f.begin()
	if done {
		f.pending = slices.DeleteFunc(f.pending, func(c nameChange) bool {
			if c.dir == dir {
				c.change(f.kept)
			}
			return c.dir == dir
		})
	}
	if err != nil {
		return &fs.PathError{Op: "sync", Path: dir, Err: err}
	}
	return nil
}

// Lock holds a name.
func (f *Files) Lock(path, mark string) (io.Closer, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if was, held := f.locks[path]; held {
		return nil, &files.LockedError{Name: path, Mark: was}
	}
	f.locks[path] = mark
	return closer(func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		delete(f.locks, path)
	}), nil
}

// Unlock lets go of all locks, as the system does when a process has ended: what it wrote is still there, and
// still not on stable storage.
func (f *Files) Unlock() {
	f.mu.Lock()
	defer f.mu.Unlock()
	clear(f.locks)
}

type closer func()

func (c closer) Close() error { c(); return nil }
