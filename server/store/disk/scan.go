package disk

import (
	"context"
	"fmt"

	"github.com/geartrain/geartrain/server/store"
)

// scan reads a segment from its first frame to its last. doc.go says how it tells a torn tail from damage.
type scan struct {
	seg   *segment
	w     *window
	final bool   // no segment follows, so its last frames may never have been synced
	last  uint64 // the sequence number of the last frame that was in order
	least uint64 // one that is known to have been synced
	torn  int64  // bytes of an unfinished tail, from seg.end on

	found  func(found)
	gone   func(store.ID) // its record is not as it was written, and an older one does not count any more
	damage func(Damage)
}

// found is an entry and where it is.
type found struct {
	entry
	place
}

// span is a range of bytes in a segment.
type span struct{ from, to int64 }

// batch is what is at a place where a frame should be.
type batch struct {
	frame
	known   bool // the header is in order
	whole   bool // all of it is
	entries []found
	gone    []store.ID // whose head or body is not in order
	bad     []span     // if known and not whole
}

func (c *scan) run(ctx context.Context) error {
	for off := int64(headerSize); ; {
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("store: load: %w", err)
		}
		b, err := c.read(off)
		if err != nil {
			return err
		}
		if !b.whole {
			next, err := c.broken(off, &b)
			if err != nil || next == 0 {
				return err
			}
			off = next
			continue
		}
		for _, e := range b.entries {
			c.found(e)
		}
		c.last, c.seg.marked = b.seq, b.flags&flagMark != 0
		off += int64(b.length)
	}
}

// read reads what is at off, up to the end of the frame.
func (c *scan) read(off int64) (b batch, err error) {
	head, err := c.w.bytes(off, frameSize)
	if err != nil {
		return b, err
	}
	b.frame, b.known = decodeFrame(head, c.seg.sum, off)
	end := off + int64(b.length)
	if !b.known || end > c.w.size {
		return b, nil
	}
	if err := c.salvage(&b, off+frameSize, end-trailerSize); err != nil {
		return b, err
	}
	tail, err := c.w.bytes(end-trailerSize, trailerSize)
	if err != nil {
		return b, err
	}
	if string(tail) != string(trailer[:]) {
		b.bad = append(b.bad, span{end - trailerSize, end})
	}
	b.whole = len(b.bad) == 0 && len(b.entries) == int(b.count)
	return b, nil
}

// salvage gives the batch all entries between from and to that are in order, and says what the rest is.
func (c *scan) salvage(b *batch, from, to int64) error {
	b.entries, b.gone, b.bad = nil, nil, nil
	lost := func(from, to int64) {
		if n := len(b.bad); n > 0 && b.bad[n-1].to == from {
			b.bad[n-1].to = to
		} else {
			b.bad = append(b.bad, span{from, to})
		}
	}
	for off := from; off < to; {
		e, known, whole, err := c.entry(off, to)
		if err != nil {
			return err
		}
		switch {
		case whole:
			b.entries = append(b.entries, found{e, place{uint32(c.seg.number), uint32(off / unit)}})
			off += e.size()
		case known:
			if e.kind == store.Put {
				b.gone = append(b.gone, e.id)
			}
			lost(off, off+e.size())
			off += e.size()
		default:
			lost(off, min(off+unit, to))
			off += unit
		}
	}
	return nil
}

// entry reads what is at off: known, if it is an entry's header, whole if head and body are in order too.
func (c *scan) entry(off, limit int64) (e entry, known, whole bool, err error) {
	b, err := c.w.bytes(off, entrySize)
	if err != nil {
		return e, false, false, err
	}
	e, known = decodeEntry(b, c.seg.sum, off)
	if !known || off+e.size() > limit {
		return e, false, false, nil
	}
	off += entrySize
	head, err := c.w.sum(off, int64(e.headLen))
	if err != nil {
		return e, false, false, err
	}
	body, err := c.w.sum(off+int64(e.headLen), e.body())
	if err != nil {
		return e, false, false, err
	}
	return e, true, head == e.headSum && body == e.bodySum, nil
}

// broken finds out what is at off, where there is no frame in order, and gives where to go on; zero: this
// is the end.
func (c *scan) broken(off int64, b *batch) (int64, error) {
	c.seg.end = off
	headless := c.seg.headless && off == headerSize // what took the header away took this too
	zero, err := c.w.zero(off, c.w.size)
	if zero && headless {
		c.damage(Damage{File: c.seg.name, Offset: off, Records: 1, Reason: "nothing is left of it"})
	}
	if err != nil || zero && (off < c.w.size || headless) {
		return 0, err
	}
	next, proven, err := c.later(off, b)
	if err != nil {
		return 0, err
	}
	if !proven && !headless {
		torn, err := c.isTorn(off, b)
		if err != nil {
			return 0, err
		}
		if torn {
			c.torn = c.w.size - off
			return 0, nil
		}
	}
	stop, err := c.lost(off, next, b)
	if err != nil {
		return 0, err
	}
	c.seg.end = roundUp(stop)
	if stop >= c.w.size {
		return 0, nil
	}
	return stop, nil
}

// later looks for frames in order behind a broken one: the first, and whether one of them proves that the
// broken one had been synced.
func (c *scan) later(off int64, b *batch) (next int64, proven bool, err error) {
	from := off + unit
	if b.known {
		from = min(off+int64(b.length), c.w.size)
	}
	proven = !c.final || c.least > c.last
	for {
		at, f, err := c.search(from)
		if err != nil || at == 0 {
			return next, proven, err
		}
		if next == 0 {
			next = at
		}
		if proven = proven || f.synced > c.last; proven {
			return next, true, nil
		}
		from = at + int64(f.length)
	}
}

// search gives the next place with a frame's header in order.
func (c *scan) search(from int64) (int64, frame, error) {
	for off := from; off+frameSize <= c.w.size; off += unit {
		b, err := c.w.bytes(off, frameSize)
		if err != nil {
			return 0, frame{}, err
		}
		if b[0] != frameMagic[0] {
			continue
		}
		if f, ok := decodeFrame(b, c.seg.sum, off); ok {
			return off, f, nil
		}
	}
	return 0, frame{}, nil
}

// isTorn says whether a write that did not reach the disk whole explains what is there: then some sector
// of the frame still has the zeros that were there before, or all from some byte on is zero.
func (c *scan) isTorn(off int64, b *batch) (bool, error) {
	if !b.known {
		if off+frameSize+trailerSize > c.w.size {
			return false, nil // a frame is only written where the file already is
		}
		rest, err := c.w.zero(off+frameSize, c.w.size)
		if err != nil || rest {
			return rest, err
		}
		return c.missing(span{off, off + frameSize}, span{off, c.w.size})
	}
	end := off + int64(b.length)
	if end > c.w.size {
		return false, nil
	}
	tail, err := c.w.zero(end-1, end)
	if err != nil || tail {
		return tail, err
	}
	for _, bad := range b.bad {
		if missing, err := c.missing(bad, span{off, end}); err != nil || missing {
			return missing, err
		}
	}
	return false, nil
}

// missing says whether a sector that has part of bad is all zero, as far as it is within.
func (c *scan) missing(bad, within span) (bool, error) {
	for at := bad.from &^ (sector - 1); at < bad.to; at += sector {
		zero, err := c.w.zero(max(at, within.from), min(at+sector, within.to))
		if err != nil || zero {
			return zero, err
		}
	}
	return false, nil
}

// lost reports the frame at off, takes what is in order of it, and gives where it ends.
func (c *scan) lost(off, next int64, b *batch) (stop int64, err error) {
	d := Damage{File: c.seg.name, Offset: off, Reason: "its bytes are not those that were written"}
	stop = next
	switch {
	case b.known:
		stop = min(off+int64(b.length), c.w.size)
		c.last = b.seq
	case next == 0:
		if stop, err = c.contentEnd(off); err != nil {
			return 0, err
		}
	}
	if stop = max(stop, off); stop >= c.w.size {
		d.Reason = "the file was cut off"
	}
	if !b.known || stop >= c.w.size {
		if err := c.remains(b, off+frameSize, stop); err != nil {
			return 0, err
		}
	}
	for _, id := range b.gone {
		c.gone(id)
	}
	for _, e := range b.entries {
		c.found(e)
	}
	d.Length, d.Records = stop-off, len(b.bad)
	if b.known {
		d.Records = int(b.count) - len(b.entries)
	}
	if stop >= c.w.size {
		d.Records = max(1, d.Records) // nobody knows what came after it
	}
	if !b.known && next > 0 {
		d.Records = max(d.Records, c.skipped(next))
	}
	c.damage(d)
	return stop, nil
}

// skipped is how many batches there were before the frame at next.
func (c *scan) skipped(next int64) int {
	b, err := c.w.bytes(next, frameSize)
	f, ok := decodeFrame(b, c.seg.sum, next)
	if err != nil || !ok || f.seq <= c.last {
		return 0
	}
	return int(f.seq - c.last - 1)
}

// remains is salvage without a trailer.
func (c *scan) remains(b *batch, from, to int64) error {
	if to < from+trailerSize {
		return c.salvage(b, from, to)
	}
	tail, err := c.w.bytes(to-trailerSize, trailerSize)
	if err != nil {
		return err
	}
	if string(tail) == string(trailer[:]) {
		to -= trailerSize
	}
	return c.salvage(b, from, to)
}

// contentEnd is behind the last byte from off on that is not zero.
func (c *scan) contentEnd(off int64) (int64, error) {
	end := off
	err := c.w.spans(off, c.w.size, func(b []byte) bool {
		for i := len(b); i > 0; i-- {
			if b[i-1] != 0 {
				end = off + int64(i)
				break
			}
		}
		off += int64(len(b))
		return true
	})
	return min(roundUp(end), c.w.size), err
}
