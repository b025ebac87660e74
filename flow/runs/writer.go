package runs

import (
	"errors"
	"fmt"
	"os"
	"sync"
	"time"
)

// Of a writer.
const (
	writeDelay = 3 * time.Millisecond // how long records wait for others to be written with them
	writeLimit = 8 << 20              // bytes that may wait; then who adds more waits too
	syncEvery  = time.Second          // the most that a loss of power can take
)

// writer appends to one segment behind the back of those who add to it.
//
//	append ──► waiting ──► [check the lease] ──► file ──► safe against a kill
//	              ▲                                └── Sync, each second and at flush ──► against a loss of power
//	              └── over writeLimit: append waits
//
// Its methods may be called from any goroutine.
type writer struct {
	file  *os.File
	check func() error // before each write; nil: nothing to check

	mu      sync.Mutex // guards what follows
	changed sync.Cond
	waiting []byte
	spare   []byte
	added   int64 // bytes, in all
	written int64
	synced  int64
	wanted  int64 // up to here somebody waits for a sync
	closing bool
	err     error // the first: nothing is written after it

	idle sync.WaitGroup
}

func newWriter(file *os.File, check func() error) *writer {
	w := &writer{file: file, check: check}
	w.changed.L = &w.mu
	w.waiting = append(w.waiting, segmentHead...)
	w.added = int64(len(w.waiting))
	w.idle.Go(w.loop)
	return w
}

// append adds what fill appends to its argument.
func (w *writer) append(fill func([]byte) []byte) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	for len(w.waiting) > writeLimit && w.err == nil {
		w.changed.Wait()
	}
	if w.err != nil {
		return w.err
	}
	before := len(w.waiting)
	w.waiting = fill(w.waiting)
	w.added += int64(len(w.waiting) - before)
	if before == 0 {
		w.changed.Broadcast()
	}
	return nil
}

// flush returns when all that was appended before is on the disk.
func (w *writer) flush() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	want := w.added
	w.wanted = max(w.wanted, want)
	w.changed.Broadcast()
	for w.synced < want && w.err == nil {
		w.changed.Wait()
	}
	return w.err
}

// close flushes and gives the file back.
func (w *writer) close() error {
	err := w.flush()
	w.mu.Lock()
	w.closing = true
	w.changed.Broadcast()
	w.mu.Unlock()
	w.idle.Wait()
	return errors.Join(err, w.file.Close())
}

// loop writes until the writer is closed or cannot write.
func (w *writer) loop() {
	lastSync := time.Now()
	for {
		p, sync, ok := w.next()
		if !ok {
			return
		}
		err := w.write(p)
		sync = sync || time.Since(lastSync) >= syncEvery
		if err == nil && sync {
			err = w.file.Sync()
			lastSync = time.Now()
		}
		w.mu.Lock()
		w.written += int64(len(p))
		if sync {
			w.synced = w.written
		}
		if w.spare = p[:0]; cap(p) > writeLimit {
			w.spare = nil
		}
		if w.err == nil && err != nil {
			w.err = fmt.Errorf("journal: %w", err)
		}
		w.changed.Broadcast()
		w.mu.Unlock()
	}
}

// next waits for something to write. It gives a little time for more to come, unless somebody waits.
func (w *writer) next() (p []byte, sync, ok bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for len(w.waiting) == 0 && w.wanted <= w.synced && !w.closing && w.err == nil {
		w.changed.Wait()
	}
	if w.wanted <= w.synced && !w.closing && w.err == nil {
		w.mu.Unlock()
		time.Sleep(writeDelay)
		w.mu.Lock()
	}
	if w.closing || w.err != nil {
		return nil, false, false
	}
	p, w.waiting = w.waiting, w.spare[:0]
	return p, w.wanted > w.synced, true
}

func (w *writer) write(p []byte) error {
	if len(p) == 0 {
		return nil
	}
	if w.check != nil {
		if err := w.check(); err != nil {
			return err
		}
	}
	_, err := w.file.Write(p)
	return err
}
