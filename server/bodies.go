package server

import (
	"math/bits"
	"sync"
)

// bodies recycles the memory of large packets: fresh pages and the garbage collector cost more than
// all the rest that is done for such a packet.
//
//	get ──► a reader fills it ──► lend ──► hold, by each outbox that sends part of it ──► drop ──► get
//	                                  └──► Keep, by the queue with a new job's payload ──► LetGo ──┘
//
// Memory is lent for the turn that handles its packet and goes round when the last one has dropped
// it, unless the queue has said that others may have it. What nobody held is left to the garbage collector, and so is all that was never lent. A part of
// a packet is known by its end, which for a last argument is the packet's end. What waits to be used
// again is not in the memory budget; two garbage collections release it.
type bodies struct {
	free [bodyClasses]sync.Pool // of *[]byte

	mu   sync.Mutex // guards the following
	lent map[*byte]*loan
}

// loan is memory that is lent.
type loan struct {
	memory     []byte
	references int
	held       bool // ever, by others than the turn
	elsewhere  bool // others may have it who do not tell
}

// The sizes of recycled memory: eight to a doubling, so that at most an eighth is wasted.
const (
	minBody     = 4 << 10
	bodyClasses = 33 << 3 // a packet's size has 32 bits
)

func newBodies() *bodies { return &bodies{lent: make(map[*byte]*loan)} }

// get is memory for n bytes, with anything in it.
func (b *bodies) get(n int) []byte {
	if memory := b.spare(n); memory != nil {
		return memory
	}
	_, size := bodyClass(n)
	return make([]byte, n, size)
}

// spare is get without an allocation: nil if there is nothing to be used again.
func (b *bodies) spare(n int) []byte {
	class, _ := bodyClass(n)
	if memory, ok := b.free[class].Get().(*[]byte); ok {
		return (*memory)[:n]
	}
	return nil
}

// put takes back memory of get that nobody refers to.
func (b *bodies) put(memory []byte) {
	class, _ := bodyClass(cap(memory))
	b.free[class].Put(&memory)
}

// bodyClass is the class for n bytes, and its size.
func bodyClass(n int) (class, size int) {
	n = max(n, minBody)
	doubling := bits.Len(uint(n - 1))
	step := 1 << (doubling - 4)
	eighth := (n - 1) / step // 8 to 15
	return doubling<<3 + eighth - 8, (eighth + 1) * step
}

// lend begins a loan of a complete packet's memory. The caller drops it.
func (b *bodies) lend(memory []byte) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.lent[end(memory)] = &loan{memory: memory, references: 1}
}

// hold keeps the memory that part is the end of, until drop.
func (b *bodies) hold(part []byte) { b.Keep(part) }

// Keep is hold, for the queue.
func (b *bodies) Keep(part []byte) {
	if len(part) == 0 {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if l := b.lent[end(part)]; l != nil {
		l.references++
		l.held = true
	}
}

// drop undoes lend or hold.
func (b *bodies) drop(part []byte) { b.LetGo(part, true) }

// LetGo undoes Keep. Unless it is to be used again, the memory is left to the garbage collector, once
// the others have dropped it too.
func (b *bodies) LetGo(part []byte, again bool) {
	if len(part) == 0 {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	l := b.lent[end(part)]
	if l == nil {
		return
	}
	l.elsewhere = l.elsewhere || !again
	if l.references--; l.references > 0 {
		return
	}
	delete(b.lent, end(part))
	if l.held && !l.elsewhere {
		b.put(l.memory)
	}
}

func end(b []byte) *byte { return &b[len(b)-1] }
