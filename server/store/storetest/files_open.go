package storetest

import (
	"bytes"
	"io"
	"io/fs"
	"maps"
	"math/rand/v2"
	"slices"
	"syscall"
)

type openFile struct {
	fs   *Files
	path string
	*inode
}

func (o *openFile) Close() error { return nil }

func (o *openFile) Size() (int64, error) {
	o.fs.mu.Lock()
	defer o.fs.mu.Unlock()
	return o.size, nil
}

// ReadAt never fails, so that what one sees is what a crash left.
func (o *openFile) ReadAt(b []byte, off int64) (n int, err error) {
	o.fs.mu.Lock()
	defer o.fs.mu.Unlock()
	for n < len(b) && off < o.size {
		at := off % Sector
		part := int(min(Sector-at, o.size-off, int64(len(b)-n)))
		clear(b[n : n+part])
		if p := o.sectors[off/Sector]; p != nil && p.now != nil {
			copy(b[n:n+part], p.now[at:])
		}
		n, off = n+part, off+int64(part)
	}
	if n < len(b) {
		return n, io.EOF
	}
	return n, nil
}

// WriteAt writes all, or a part of it if it fails.
func (o *openFile) WriteAt(b []byte, off int64) (int, error) {
	o.fs.mu.Lock()
	defer o.fs.mu.Unlock()
	_, err := o.fs.begin()
	n := len(b)
	switch {
	case o.fs.stopped():
		n = 0
	case o.fs.fault.Err == nil && err != nil:
		n = o.fs.random.IntN(len(b) + 1)
	case err != nil:
		n = o.fs.random.IntN(len(b))
	}
	written := o.write(b[:n], off)
	if err == nil && written < len(b) {
		err = syscall.ENOSPC
	}
	if err != nil {
		return written, &fs.PathError{Op: "write", Path: o.path, Err: err}
	}
	return written, nil
}

func (o *openFile) write(b []byte, off int64) (n int) {
	for n < len(b) {
		at := off % Sector
		part := min(Sector-int(at), len(b)-n)
		p := o.sectors[off/Sector]
		isNew := p == nil || p.free
		moved := !isNew && o.fs.moves && !p.dirty
		if isNew || moved {
			if o.fs.room > 0 && o.fs.used >= o.fs.room {
				break
			}
			o.fs.used++
			if p == nil {
				p = &piece{}
				o.sectors[off/Sector] = p
			}
			p.free, p.twice = false, moved
		}
		p.change(func(now []byte) { copy(now[at:], b[n:n+part]) })
		n, off = n+part, off+int64(part)
	}
	if n > 0 {
		o.resize(max(o.size, off))
	}
	return n
}

func (n *inode) used() (sectors int64) {
	for _, p := range n.sectors {
		if !p.free {
			sectors++
		}
		if p.twice {
			sectors++
		}
	}
	return sectors
}

func (p *piece) change(fn func([]byte)) {
	p.older = append(p.older, p.now)
	p.dirty = true
	now := make([]byte, Sector)
	copy(now, p.now)
	fn(now)
	p.now = now
}

func (o *openFile) resize(size int64) {
	if size != o.size {
		o.sizes = append(o.sizes, o.size)
		o.size = size
	}
}

// Truncate makes a file shorter, or longer by a hole.
func (o *openFile) Truncate(size int64) error {
	o.fs.mu.Lock()
	defer o.fs.mu.Unlock()
	done, err := o.fs.begin()
	if done {
		for i, p := range o.sectors {
			if from := size - i*Sector; from < Sector {
				p.change(func(now []byte) { clear(now[max(from, 0):]) })
				if from <= 0 && !p.free {
					p.free = true
					o.fs.used--
				}
			}
		}
		o.resize(size)
	}
	if err != nil {
		return &fs.PathError{Op: "truncate", Path: o.path, Err: err}
	}
	return nil
}

// Sync makes the file durable. If it fails, what was to be written is forgotten: the next one writes
// nothing of it, and says that all is well.
func (o *openFile) Sync() error {
	o.fs.mu.Lock()
	defer o.fs.mu.Unlock()
	done, err := o.fs.begin()
	for _, p := range o.sectors {
		if !p.dirty {
			continue
		}
		if done {
			p.older = nil
		}
		p.dirty = false
		if p.twice {
			p.twice = false
			o.fs.used--
		}
	}
	if done {
		o.sizes = nil
	}
	if err != nil {
		return &fs.PathError{Op: "sync", Path: o.path, Err: err}
	}
	return nil
}

// Crash is what a crash spares of what was not synced.
type Crash int

// What is left.
const (
	Kill  Crash = iota // the process ended: everything is there
	Lose               // the power failed: nothing is
	Mixed              // the power failed: any sector in any of its states, any number of name changes
)

// After gives the file system as it is after a crash of now. This one stays as it is.
func (f *Files) After(crash Crash, seed uint64) *Files {
	f.mu.Lock()
	defer f.mu.Unlock()
	next := NewFiles(seed)
	next.dirs, next.room = maps.Clone(f.dirs), f.room
	names := maps.Clone(f.kept)
	n := len(f.pending)
	if crash != Kill {
		n = 0
	}
	if crash == Mixed {
		n = next.random.IntN(len(f.pending) + 1)
	}
	for _, c := range f.pending[:n] {
		c.change(names)
	}
	made := map[*inode]*inode{}
	for _, path := range slices.Sorted(maps.Keys(names)) {
		node := names[path]
		if made[node] == nil {
			made[node] = node.after(crash, next.random)
			next.used += int64(len(made[node].sectors))
		}
		made[node].links++
		next.names[path], next.kept[path] = made[node], made[node]
	}
	return next
}

func (n *inode) after(crash Crash, random *rand.Rand) *inode {
	next := &inode{sectors: map[int64]*piece{}, size: pick(crash, random, n.sizes, n.size)}
	for _, i := range slices.Sorted(maps.Keys(n.sectors)) {
		p := n.sectors[i]
		now := slices.Clone(pick(crash, random, p.older, p.now))
		if end := next.size - i*Sector; now != nil && end < Sector {
			clear(now[max(end, 0):])
		}
		if i*Sector < next.size && now != nil {
			next.sectors[i] = &piece{now: now}
		}
	}
	return next
}

// pick gives one of the states something may be in.
func pick[T any](crash Crash, random *rand.Rand, older []T, now T) T {
	switch {
	case crash == Kill || len(older) == 0:
		return now
	case crash == Lose:
		return older[0]
	}
	if i := random.IntN(len(older) + 1); i < len(older) {
		return older[i]
	}
	return now
}

// Flip changes one bit of a file, on stable storage too.
func (f *Files) Flip(path string, bit int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	off := bit / 8
	p := f.names[path].sectors[off/Sector]
	if p == nil {
		p = &piece{now: make([]byte, Sector)}
		f.names[path].sectors[off/Sector] = p
	}
	p.now = bytes.Clone(p.now)
	p.now[off%Sector] ^= 1 << (bit % 8)
	p.older = nil
}

// Cut makes a file shorter, on stable storage too.
func (f *Files) Cut(path string, size int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := f.names[path]
	n.size, n.sizes = size, nil
	n.sectors = n.after(Kill, nil).sectors
}

// Content gives a file's bytes.
func (f *Files) Content(path string) []byte {
	f.mu.Lock()
	node := f.names[path]
	f.mu.Unlock()
	if node == nil {
		return nil
	}
	b := make([]byte, node.size)
	_, _ = (&openFile{f, path, node}).ReadAt(b, 0) // it never fails within the file
	return b
}
