package disk

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/geartrain/geartrain/server/store"
)

// Compact writes what is in use of one segment anew, at the end of the log, and removes the segment. It
// takes the oldest of those that are mostly of no use; false if there is none. At any moment of it all
// that is in use is in the log at least once, and the last one counts.
func (s *Store) Compact(ctx context.Context) (bool, error) {
	seg := s.victim()
	if seg == nil {
		return false, nil
	}
	m := &move{s: s, seg: seg, scan: &scan{seg: seg, w: newWindow(seg, copyBuffer)}}
	if err := m.run(ctx); err != nil {
		return true, fmt.Errorf("store: compact %s: %w", seg.name, err)
	}
	return true, nil
}

// victim gives a segment that is worth its compaction. Those with nothing in use cost nothing.
func (s *Store) victim() *segment {
	s.write.Lock()
	defer s.write.Unlock()
	if s.usable() != nil {
		return nil
	}
	var best *segment
	for _, seg := range s.segments {
		if seg == s.active || seg.pinned || seg.leaving {
			continue
		}
		carried := s.carried(seg)
		switch {
		case seg.entries == 0 && carried == 0:
			return seg
		case best == nil && (seg.hurt || (seg.live+int64(carried)*entrySize)*2 < seg.end-headerSize):
			best = seg
		}
	}
	return best
}

// carried counts the deletes in a segment that must not be forgotten yet.
func (s *Store) carried(seg *segment) (n int) {
	for g, count := range seg.graves {
		if s.haunted(g, seg) {
			n += count
		}
	}
	return n
}

// haunted says whether a segment, other than the one given, may still have an entry of a record that was
// deleted: then the delete must stay in the log, or the record would be back after a start. A segment
// counts until its removal is on the disk.
func (s *Store) haunted(g grave, but *segment) bool {
	for _, seg := range s.segments {
		if n := uint32(seg.number); n >= g.first && n <= g.last && seg != but {
			return true
		}
	}
	return false
}

// move is the compaction of one segment.
type move struct {
	s     *Store
	seg   *segment
	scan  *scan
	bytes int64 // since the last pause
	batch []record
	size  int64 // of batch
	moved []moved
}

// moved is a record whose only entries were in the segment, and where it is now.
type moved struct {
	id store.ID
	to uint32
}

const moveBatch = 512 << 10

func (m *move) run(ctx context.Context) error {
	if err := m.collect(ctx); err != nil {
		return err
	}
	if err := m.bury(ctx); err != nil {
		return err
	}
	return m.finish()
}

// bury deletes the records that were given up, while what says that they were is still there.
func (m *move) bury(ctx context.Context) error {
	s := m.s
	s.write.Lock()
	for _, id := range slices.Sorted(maps.Keys(s.lost)) {
		if !s.lost[id] {
			r := record{found: found{entry: entry{kind: store.Delete, id: id, ref: place{0, s.highest}}}}
			m.batch = append(m.batch, r)
			m.size += r.size()
		}
	}
	s.write.Unlock()
	dead := slices.Clone(m.batch)
	if err := m.flush(ctx); err != nil {
		return err
	}
	s.write.Lock()
	defer s.write.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range dead {
		if s.index.get(r.id) == nil {
			s.lost[r.id] = true
		}
	}
	return nil
}

// collect goes through the segment. What is damaged in it was set aside before.
func (m *move) collect(ctx context.Context) error {
	for off := int64(headerSize); off < m.seg.end; {
		if err := ctx.Err(); err != nil {
			return err
		}
		e, known, whole, err := m.scan.entry(off, m.seg.end)
		if err != nil {
			return err
		}
		at := place{uint32(m.seg.number), uint32(off / unit)}
		switch {
		case !known:
			off += unit // a frame's header or trailer
			continue
		case !whole:
			err = m.s.spoiled(m.seg, &found{e, at})
		default:
			err = m.take(ctx, found{e, at})
		}
		if err != nil {
			return err
		}
		off += e.size()
	}
	return m.flush(ctx)
}

// take reads what is in use of an entry.
func (m *move) take(ctx context.Context, f found) error {
	use := m.use(&f)
	if use == nothing {
		return nil
	}
	r := record{found: f}
	var err error
	if use == wholeRecord {
		r.kind = store.Put
		err = m.read(&r)
	} else if f.kind == store.PutHead {
		r.head, err = read(m.scan.w, nil, f.offset()+entrySize, int64(f.headLen))
	}
	if err != nil {
		return err
	}
	m.batch = append(m.batch, r)
	m.size += r.size()
	if m.size >= moveBatch {
		return m.flush(ctx)
	}
	return nil
}

// use of an entry.
type use int

const (
	nothing     use = iota
	wholeRecord     // it has the body: head and body are written anew
	headOnly        // the body is elsewhere and stays there
	deletion
)

func (m *move) use(f *found) use {
	m.s.mu.RLock()
	defer m.s.mu.RUnlock()
	now := m.s.index.get(f.id)
	switch {
	case f.kind == store.Delete:
		if f.ref.segment < f.segment && m.s.haunted(grave{f.ref.segment, f.ref.units}, m.seg) {
			return deletion
		}
	case now == nil:
	case now.body == f.place:
		return wholeRecord
	case now.head == f.place:
		return headOnly
	}
	return nothing
}

// read gets the body from here and the head from wherever it is now.
func (m *move) read(r *record) error {
	b, err := read(m.scan.w, nil, r.offset()+entrySize, int64(r.headLen)+int64(r.bodyLen))
	if err != nil {
		return err
	}
	r.head, r.body = b[:r.headLen], b[r.headLen:]
	return nil
}

// flush writes the batch, but for what was changed in the meantime.
func (m *move) flush(ctx context.Context) error {
	if len(m.batch) == 0 {
		return nil
	}
	s := m.s
	s.write.Lock()
	err := m.write()
	s.write.Unlock()
	if err != nil {
		return err
	}
	m.bytes = m.size
	m.batch, m.size = m.batch[:0], 0
	return m.pause(ctx)
}

func (m *move) write() error {
	s := m.s
	if err := s.usable(); err != nil {
		return err
	}
	length := int64(frameSize + trailerSize)
	keep := m.batch[:0]
	for _, r := range m.batch {
		ok, err := m.current(&r)
		if err != nil {
			return err
		}
		if ok {
			keep = append(keep, r)
			length += r.size()
		}
	}
	if len(keep) == 0 {
		return nil
	}
	olds := make([]slot, len(keep))
	for i := range keep {
		if now := s.index.get(keep[i].id); now != nil {
			olds[i] = *now
		}
	}
	little := m.seg.live < s.cfg.Reserve/2 // it frees much more than it takes
	if err := s.append(keep, length, little, flagCopy); err != nil {
		return err
	}
	n := uint32(m.seg.number)
	for i, old := range olds {
		if old.id != 0 && old.first == n && old.head.segment == n && old.body.segment == n {
			m.moved = append(m.moved, moved{old.id, keep[i].segment})
		}
	}
	return nil
}

// current says whether an entry that was read is still in use, and gives it the head of now.
func (m *move) current(r *record) (bool, error) {
	now := m.s.index.get(r.id)
	switch {
	case r.kind == store.Delete && now == nil:
		return true, nil
	case r.kind == store.Delete: // the number is in use again, and that delete will speak for this one too
		m.s.mu.Lock()
		now.first = min(now.first, r.ref.segment)
		m.s.mu.Unlock()
		return false, nil
	case now == nil:
		return false, nil
	case r.kind == store.PutHead:
		return now.head == r.place, nil
	case now.body != r.place:
		return false, nil
	case now.head != r.place:
		head, sum, err := m.s.headAt(now)
		r.head, r.headLen, r.headSum = head, uint32(len(head)), sum
		return err == nil, err
	}
	return true, nil
}

// headAt reads a record's head, and checks it.
func (s *Store) headAt(at *slot) ([]byte, uint32, error) {
	seg, off := s.byNumber[at.head.segment], at.head.offset()
	b := make([]byte, entrySize+int(at.headLen))
	if _, err := seg.file.ReadAt(b, off); err != nil {
		return nil, 0, fmt.Errorf("head of record %d: read %s:%d: %w", at.id, seg.name, off, err)
	}
	e, ok := decodeEntry(b[:entrySize], seg.sum, off)
	if head := b[entrySize:]; ok && e.id == at.id && checksum(head) == e.headSum {
		return head, e.headSum, nil
	}
	return nil, 0, fmt.Errorf("head of record %d at %s:%d: %w", at.id, seg.name, off, store.ErrDamaged)
}

// finish removes the segment when all that was in it is on stable storage elsewhere.
func (m *move) finish() error {
	s := m.s
	s.write.Lock()
	err := m.leave()
	s.write.Unlock()
	if err != nil {
		return err
	}
	if err := s.remove(m.seg); err != nil {
		s.write.Lock()
		defer s.write.Unlock()
		return s.fail(err)
	}
	s.write.Lock()
	defer s.write.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.forget(m.seg)
	for _, r := range m.moved {
		if now := s.index.get(r.id); now != nil && now.first == uint32(m.seg.number) {
			now.first = r.to
		}
	}
	return nil
}

// leave makes sure that nothing refers to the segment any more.
func (m *move) leave() error {
	s := m.s
	if err := s.usable(); err != nil {
		return err
	}
	if err := s.syncActive(); err != nil {
		return err
	}
	if m.seg.entries != 0 || m.seg.pinned {
		return fmt.Errorf("%d of its records could not be moved", m.seg.entries)
	}
	s.mu.Lock()
	m.seg.leaving = true
	s.mu.Unlock()
	return s.saveList()
}

func (s *Store) forget(seg *segment) {
	delete(s.byNumber, uint32(seg.number))
	for i, other := range s.segments {
		if other == seg {
			s.segments = append(s.segments[:i:i], s.segments[i+1:]...)
			return
		}
	}
}

// pause keeps the pace, unless the disk fills faster than that.
func (m *move) pause(ctx context.Context) error {
	if m.s.cfg.Quiet || m.s.behind() {
		return ctx.Err()
	}
	t := time.NewTimer(time.Duration(m.bytes) * time.Second / time.Duration(m.s.cfg.CompactRate))
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
	return ctx.Err()
}

// behind says whether there is much more on the disk than is in use.
func (s *Store) behind() bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	var size, live int64
	for _, seg := range s.segments {
		size += seg.size
		live += seg.live
	}
	return size > 3*live+4*s.cfg.SegmentSize
}
