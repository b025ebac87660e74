package flow

import "sync"

// barrier is the wait for all of a stage's jobs. It counts those that are still open, and it opens
// once: when no more can be added from outside and every one added has ended, in whatever way.
//
//	add ──► open jobs ──► end
//	                        └─ none left, and closed ──► opened
//
// A job that adds others (a stage that feeds itself) adds them before it ends. So the count cannot
// touch zero while there is work left that nobody has seen yet.
type barrier struct {
	mu     sync.Mutex // guards what follows
	open   int        // jobs added that have not ended
	closed bool       // nothing more comes from outside

	opened chan struct{} // closed when the barrier opens
}

func newBarrier() *barrier {
	return &barrier{opened: make(chan struct{})}
}

// add counts one more job. After close only a job that is still open may add.
func (b *barrier) add() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed && b.open == 0 {
		panic("flow: job added after its barrier opened")
	}
	b.open++
}

// end counts one job out.
func (b *barrier) end() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.open == 0 {
		panic("flow: more jobs ended than were added")
	}
	b.open--
	b.openIfDone()
}

// count is how many jobs are open.
func (b *barrier) count() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.open
}

// close says that the input has ended. It may be called again.
func (b *barrier) close() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return
	}
	b.closed = true
	b.openIfDone()
}

func (b *barrier) openIfDone() {
	if b.closed && b.open == 0 {
		close(b.opened)
	}
}
