package disk

import (
	"slices"
	"sort"

	"github.com/geartrain/geartrain/server/store"
)

// slot is what is kept in memory of one record: 40 bytes.
type slot struct {
	id      store.ID
	head    place // the entry with its head
	body    place // the entry with its body, often the same
	headLen uint32
	bodyLen uint32
	first   uint32 // no segment before it has an entry of the record
}

// page is so many slots that moving half of them costs less than looking for them.
const page = 256

// index finds slots by number: pages in order, each in order. Numbers mostly come in order, so pages are
// full; those that are emptied are merged.
type index struct {
	pages [][]slot
	n     int
}

// find gives the page and the place in it where id is or would be.
func (x *index) find(id store.ID) (p, i int, ok bool) {
	p = max(0, sort.Search(len(x.pages), func(p int) bool { return x.pages[p][0].id > id })-1)
	if p == len(x.pages) {
		return 0, 0, false
	}
	i, ok = slices.BinarySearchFunc(x.pages[p], id, func(s slot, id store.ID) int {
		switch {
		case s.id < id:
			return -1
		case s.id > id:
			return 1
		}
		return 0
	})
	return p, i, ok
}

// get gives the slot of a record, or nil. It is valid until the next set or remove.
func (x *index) get(id store.ID) *slot {
	p, i, ok := x.find(id)
	if !ok {
		return nil
	}
	return &x.pages[p][i]
}

func (x *index) set(s slot) {
	p, i, ok := x.find(s.id)
	if ok {
		x.pages[p][i] = s
		return
	}
	x.n++
	if p < len(x.pages) && len(x.pages[p]) == page {
		p, i = x.split(p, i)
	}
	if p == len(x.pages) {
		x.pages = append(x.pages, make([]slot, 0, page))
	}
	x.pages[p] = slices.Insert(x.pages[p], i, s)
}

// split makes room in page p before slot i: at its end by a new page, elsewhere by two halves.
func (x *index) split(p, i int) (int, int) {
	at := page / 2
	if i == page {
		at = page
	}
	next := append(make([]slot, 0, page), x.pages[p][at:]...)
	x.pages[p] = x.pages[p][:at]
	if at == page {
		if p+1 < len(x.pages) && len(x.pages[p+1]) < page {
			return p + 1, 0
		}
		x.pages = slices.Insert(x.pages, p+1, next)
		return p + 1, 0
	}
	x.pages = slices.Insert(x.pages, p+1, next)
	if i > at {
		return p + 1, i - at
	}
	return p, i
}

func (x *index) remove(id store.ID) {
	p, i, ok := x.find(id)
	if !ok {
		return
	}
	x.n--
	x.pages[p] = slices.Delete(x.pages[p], i, i+1)
	switch n := len(x.pages[p]); {
	case n == 0:
		x.pages = slices.Delete(x.pages, p, p+1)
	case n < page/4 && p+1 < len(x.pages) && n+len(x.pages[p+1]) <= page:
		x.pages[p] = append(x.pages[p], x.pages[p+1]...)
		x.pages = slices.Delete(x.pages, p+1, p+2)
	}
}

// each gives all slots in order until fn says no.
func (x *index) each(fn func(*slot) bool) {
	for _, page := range x.pages {
		for i := range page {
			if !fn(&page[i]) {
				return
			}
		}
	}
}
