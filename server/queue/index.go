package queue

import "math/bits"

const (
	segmentSize = 64 // lines that share an allocation
	lineEntries = 7
	fullLine    = 5 // entries per line above which an index grows
	emptyLine   = 2 // and below which it shrinks
)

// index finds jobs by a hash. It is a table of cache lines that grows and shrinks by one line at a
// time (linear hashing), so that no submission ever pays for a rehash of a million jobs, and nothing
// is left over when they are gone. Hashes are kept beside the slots, so that neither a search in vain
// nor growth has to look at a job.
type index struct {
	segments []*[segmentSize]line
	size     int // lines in use
	n        int // entries
	more     slab[line]
	moved    []uint64
}

// line is one cache line: entries (the hash above the slot), and another line if they do not fit.
type line struct {
	entries [lineEntries]uint64
	more    uint32
	n       uint32
}

func newIndex() index {
	return index{segments: []*[segmentSize]line{{}}, size: segmentSize}
}

// matches walks over the slots with one hash.
type matches struct {
	index *index
	line  *line
	i     uint32
	hash  uint32
}

func (x *index) find(hash uint32) matches {
	return matches{index: x, line: x.line(x.home(hash)), hash: hash}
}

// next is the next slot, 0 after the last one.
func (m *matches) next() uint32 {
	for {
		for m.i < m.line.n {
			e := m.line.entries[m.i]
			m.i++
			if uint32(e>>32) == m.hash {
				return uint32(e)
			}
		}
		if m.line.more == 0 {
			return 0
		}
		m.line, m.i = m.index.more.at(m.line.more), 0
	}
}

func (x *index) add(hash, slot uint32) {
	x.put(uint64(hash)<<32 | uint64(slot))
	if x.n++; x.n > x.size*fullLine {
		x.grow()
	}
}

func (x *index) remove(hash, slot uint32) {
	e := uint64(hash)<<32 | uint64(slot)
	for at := x.line(x.home(hash)); ; at = x.more.at(at.more) {
		if at.remove(e) {
			break
		}
	}
	if x.n--; x.n < x.size*emptyLine && x.size > segmentSize {
		x.shrink()
	}
}

func (l *line) remove(e uint64) bool {
	for i := range l.n {
		if l.entries[i] == e {
			l.n--
			l.entries[i] = l.entries[l.n]
			return true
		}
	}
	return false
}

// put adds an entry to the first line of its chain that has room.
func (x *index) put(e uint64) {
	at := x.line(x.home(uint32(e >> 32)))
	for at.n == lineEntries {
		if at.more == 0 {
			at.more, _ = x.more.add()
		}
		at = x.more.at(at.more)
	}
	at.entries[at.n] = e
	at.n++
}

// home is the line of a hash: as many of its low bits as the table is wide, or one less where the
// line of that number does not exist yet.
func (x *index) home(hash uint32) int {
	mask := x.mask()
	if at := int(hash) & mask; at < x.size {
		return at
	}
	return int(hash) & (mask >> 1)
}

func (x *index) mask() int { return 1<<bits.Len(uint(x.size-1)) - 1 }

func (x *index) line(i int) *line { return &x.segments[i/segmentSize][i%segmentSize] }

// grow adds one line and moves into it what belongs there from the one that stood for it.
func (x *index) grow() {
	last := x.size
	if last/segmentSize == len(x.segments) {
		x.segments = append(x.segments, new([segmentSize]line))
	}
	x.size++
	x.empty(last & (x.mask() >> 1))
	x.putMoved()
}

// shrink takes the last line away and gives its entries to the one that stands for it.
func (x *index) shrink() {
	last := x.size - 1
	x.empty(last)
	x.size--
	if last%segmentSize == 0 {
		x.segments[last/segmentSize] = nil
		x.segments = x.segments[:last/segmentSize]
	}
	x.putMoved()
}

// empty moves all entries of a chain to moved and drops its further lines.
func (x *index) empty(i int) {
	at := x.line(i)
	x.moved = append(x.moved[:0], at.entries[:at.n]...)
	for more := at.more; more != 0; {
		slot := more
		l := x.more.at(slot)
		x.moved = append(x.moved, l.entries[:l.n]...)
		more = l.more
		x.more.drop(slot)
	}
	*at = line{}
}

func (x *index) putMoved() {
	for _, e := range x.moved {
		x.put(e)
	}
}
