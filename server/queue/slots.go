package queue

import (
	"iter"
	"math/bits"
)

// pageSize is how many slots share a page of memory. A page is given back when its last slot is.
const pageSize = 256

// slots hands out numbers from 1, always the lowest that is free. So what lives long gathers in the
// first pages, and the others empty themselves after a flood.
type slots struct {
	pages []slotPage
	room  []uint64 // a bit for each page that is not full
	low   int      // no word of room before this one has a bit
}

type slotPage struct {
	taken [pageSize / 64]uint64
	n     int // bits in taken
}

// take returns a free slot, which is now taken.
func (s *slots) take() uint32 {
	p := s.pageWithRoom()
	page := &s.pages[p]
	for w := range page.taken {
		if page.taken[w] == ^uint64(0) {
			continue
		}
		bit := bits.TrailingZeros64(^page.taken[w])
		page.taken[w] |= 1 << bit
		if page.n++; page.n == pageSize {
			s.room[p/64] &^= 1 << (p % 64)
		}
		return uint32(p*pageSize + w*64 + bit + 1)
	}
	panic("queue: a page with room is full")
}

func (s *slots) pageWithRoom() int {
	for ; s.low < len(s.room); s.low++ {
		if word := s.room[s.low]; word != 0 {
			return s.low*64 + bits.TrailingZeros64(word)
		}
	}
	p := len(s.pages)
	s.pages = append(s.pages, slotPage{})
	if p/64 == len(s.room) {
		s.room = append(s.room, 0)
	}
	s.low = p / 64
	s.room[p/64] |= 1 << (p % 64)
	return p
}

// give makes a slot free. It reports whether its page is empty now.
func (s *slots) give(slot uint32) bool {
	p, i := place(slot)
	page := &s.pages[p]
	page.taken[i/64] &^= 1 << (i % 64)
	page.n--
	s.room[p/64] |= 1 << (p % 64)
	s.low = min(s.low, p/64)
	return page.n == 0
}

// has says that a slot is taken.
func (s *slots) has(slot uint32) bool {
	p, i := place(slot)
	return slot != 0 && p < len(s.pages) && s.pages[p].taken[i/64]&(1<<(i%64)) != 0
}

// all yields the taken slots in order. A slot may be given back while it is visited.
func (s *slots) all() iter.Seq[uint32] { return s.from(1) }

// from is all but those before first.
func (s *slots) from(first uint32) iter.Seq[uint32] {
	return func(yield func(uint32) bool) {
		start, i := place(max(first, 1))
		for p := start; p < len(s.pages); p++ {
			for w, word := range s.pages[p].taken {
				if p == start && w <= i/64 {
					word &= ^uint64(0) << max(i-w*64, 0)
					if w < i/64 {
						continue
					}
				}
				for ; word != 0; word &= word - 1 {
					if !yield(uint32(p*pageSize + w*64 + bits.TrailingZeros64(word) + 1)) {
						return
					}
				}
			}
		}
	}
}

// place is the page of a slot and its index there.
func place(slot uint32) (page, index int) {
	return int((slot - 1) / pageSize), int((slot - 1) % pageSize)
}

// slab is a pool of values with numbers for addresses, so that structures of millions of them hold
// no pointers. A value does not move while it is taken. Slot 0 is nobody.
type slab[T any] struct {
	slots
	items []*[pageSize]T
	spare *[pageSize]T // one empty page, so that a slab at a page's edge does not allocate for ever
	n     int
}

// add takes a slot, whose value is zero.
func (s *slab[T]) add() (uint32, *T) {
	slot := s.take()
	p, i := place(slot)
	if p == len(s.items) {
		s.items = append(s.items, nil)
	}
	if s.items[p] == nil {
		if s.spare == nil {
			s.spare = new([pageSize]T)
		}
		s.items[p], s.spare = s.spare, nil
	}
	s.n++
	return slot, &s.items[p][i]
}

// at is the value of a taken slot.
func (s *slab[T]) at(slot uint32) *T {
	p, i := place(slot)
	return &s.items[p][i]
}

// drop gives a slot back and makes its value zero.
func (s *slab[T]) drop(slot uint32) {
	p, i := place(slot)
	clear(s.items[p][i : i+1])
	if s.give(slot) {
		s.spare, s.items[p] = s.items[p], nil
	}
	s.n--
}
