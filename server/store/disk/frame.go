package disk

import (
	"github.com/geartrain/geartrain/server/store"
	"github.com/geartrain/geartrain/server/store/files"
)

// writeFrame writes a frame behind the last one. It counts only when written says so.
func (s *Store) writeFrame(batch []record, length int64, flags uint32) error {
	a := s.active
	if s.buf == nil {
		s.buf = make([]byte, 0, copyBuffer)
	}
	out := &output{file: a.file, at: a.end, buf: s.buf[:0]}
	var b [max(frameSize, entrySize)]byte
	f := frame{length: uint64(length), seq: s.seq + 1, synced: s.synced, count: uint32(len(batch)), flags: flags}
	f.encode(b[:frameSize], a.sum, a.end)
	out.write(b[:frameSize])
	for i := range batch {
		r := &batch[i]
		r.encode(b[:entrySize], a.sum, r.offset())
		out.write(b[:entrySize])
		out.write(r.head)
		out.write(r.body)
		out.write(padding[:r.size()-entrySize-int64(len(r.head)+len(r.body))])
	}
	out.write(trailer[:])
	out.flush()
	return out.err
}

var padding [unit]byte

// written says that the frame is there.
func (s *Store) written(length int64, synced bool) {
	s.seq++
	if synced {
		s.synced = s.seq
	}
	a := s.active
	a.last, a.marked = s.seq, false
	s.mu.Lock()
	a.end += length
	a.solid = a.size
	s.mu.Unlock()
}

// output gathers small pieces and passes large ones on.
type output struct {
	file files.File
	at   int64
	buf  []byte
	err  error
}

func (o *output) write(b []byte) {
	if len(o.buf)+len(b) > cap(o.buf) {
		o.flush()
	}
	if len(b) > cap(o.buf) {
		o.put(b)
		return
	}
	o.buf = append(o.buf, b...)
}

func (o *output) flush() {
	o.put(o.buf)
	o.buf = o.buf[:0]
}

func (o *output) put(b []byte) {
	if o.err != nil || len(b) == 0 {
		return
	}
	_, o.err = o.file.WriteAt(b, o.at)
	o.at += int64(len(b))
}

// apply makes the index say what an entry of the log does. It needs both locks.
func (s *Store) apply(f *found) {
	var old slot
	if now := s.index.get(f.id); now != nil {
		old = *now
		s.charge(&old, -1)
	}
	next := f.next(old)
	if _, lost := s.lost[f.id]; lost {
		next.first = 0 // nobody knows where else it is
		delete(s.lost, f.id)
	}
	if next.id != 0 {
		s.charge(&next, +1)
		s.index.set(next)
	} else if old.id != 0 {
		s.index.remove(f.id)
	}
	if f.kind == store.Delete && f.ref.segment < f.segment {
		s.byNumber[f.segment].graves[grave{f.ref.segment, f.ref.units}]++
	}
}

// next is what becomes of a slot by an entry; one without a number is none.
func (f *found) next(old slot) slot {
	switch f.kind {
	case store.Put:
		n := slot{id: f.id, head: f.place, body: f.place, headLen: f.headLen, bodyLen: f.bodyLen, first: f.segment}
		if old.id != 0 {
			n.first = min(old.first, f.segment)
		}
		return n
	case store.PutHead:
		old.head, old.headLen = f.place, f.headLen
		return old
	}
	return slot{}
}

// charge adds a record to what its segments have in use, or takes it out.
func (s *Store) charge(at *slot, sign int64) {
	head, body := s.byNumber[at.head.segment], s.byNumber[at.body.segment]
	head.entries += sign
	head.live += sign * (entrySize + int64(at.headLen))
	body.live += sign * int64(at.bodyLen)
	if at.body != at.head {
		body.entries += sign
		body.live += sign * entrySize
	}
	if sign < 0 && (head != s.active && head.wasteful() || body != s.active && body.wasteful()) {
		s.wasteful = true
	}
}

// hasBody says whether the body that an entry with another head refers to is there.
func (s *Store) hasBody(f *found) bool {
	now := s.index.get(f.id)
	return now != nil && now.body == f.ref
}
