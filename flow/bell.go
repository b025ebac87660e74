package flow

import "sync"

// bell wakes whoever waits for something to change. A listener takes the channel first and looks
// at the state then, so that no change is missed. The zero bell is ready. Ringing costs next to
// nothing when nobody listens.
type bell struct {
	mu sync.Mutex // guards ch
	ch chan struct{}
}

// listen gives a channel that is closed by the next ring.
func (b *bell) listen() <-chan struct{} {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.ch == nil {
		b.ch = make(chan struct{})
	}
	return b.ch
}

func (b *bell) ring() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.ch != nil {
		close(b.ch)
		b.ch = nil
	}
}
