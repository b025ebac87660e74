package flow

import (
	"encoding/binary"
	"fmt"
	"io"
)

// Sizes of places.
const (
	placesPerPage = 512
	pageBytes     = placesPerPage * 8
	pagesInMemory = 256 // 1 MiB
)

// places is a long list of numbers, most of whose uses are close together: pages of it are in
// memory, the others in a file. It is for one goroutine at a time.
type places struct {
	dir   string
	end   int // one after the last place set
	pages map[int]*page
	file  *spoolFile
}

type page struct {
	numbers [placesPerPage]int64
	changed bool
}

func (l *places) set(i int, v int64) error {
	p, err := l.page(i / placesPerPage)
	if err != nil {
		return err
	}
	p.numbers[i%placesPerPage] = v
	p.changed = true
	l.end = max(l.end, i+1)
	return nil
}

// get is zero for what was never set.
func (l *places) get(i int) (int64, error) {
	if i >= l.end {
		return 0, nil
	}
	p, err := l.page(i / placesPerPage)
	if err != nil {
		return 0, err
	}
	return p.numbers[i%placesPerPage], nil
}

func (l *places) page(n int) (*page, error) {
	if p := l.pages[n]; p != nil {
		return p, nil
	}
	if l.pages == nil {
		l.pages = map[int]*page{}
	}
	if len(l.pages) >= pagesInMemory {
		if err := l.evict(n); err != nil {
			return nil, err
		}
	}
	p := &page{}
	if l.file != nil {
		if err := p.read(l.file, n); err != nil {
			return nil, err
		}
	}
	l.pages[n] = p
	return p, nil
}

// evict puts the page that is furthest from page n into the file. Filling and reading both go from
// the front to the back, so it is the one that is needed last.
func (l *places) evict(n int) (err error) {
	far := n
	for k := range l.pages {
		if abs(k-n) > abs(far-n) {
			far = k
		}
	}
	p := l.pages[far]
	delete(l.pages, far)
	if !p.changed {
		return nil
	}
	if l.file == nil {
		if l.file, err = createSpoolFile(l.dir); err != nil {
			return err
		}
	}
	return p.write(l.file, far)
}

func (l *places) close() error {
	if l.file == nil {
		return nil
	}
	return l.file.Close()
}

func (p *page) write(file *spoolFile, n int) error {
	var b [pageBytes]byte
	for i, v := range p.numbers {
		binary.LittleEndian.PutUint64(b[i*8:], uint64(v))
	}
	if _, err := file.WriteAt(b[:], int64(n)*pageBytes); err != nil {
		return fmt.Errorf("write temporary file: %w", err)
	}
	return nil
}

// read takes what the file does not hold as zeros.
func (p *page) read(file *spoolFile, n int) error {
	var b [pageBytes]byte
	if _, err := file.ReadAt(b[:], int64(n)*pageBytes); err != nil && err != io.EOF {
		return fmt.Errorf("read temporary file: %w", err)
	}
	for i := range p.numbers {
		p.numbers[i] = int64(binary.LittleEndian.Uint64(b[i*8:]))
	}
	return nil
}

func abs(n int) int { return max(n, -n) }
