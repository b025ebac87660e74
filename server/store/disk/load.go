package disk

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/geartrain/geartrain/server/store"
)

// Load reads the log twice: once from end to end, checking every byte, to find out what there is; then the
// records in the order of their numbers.
func (s *Store) Load(ctx context.Context, inline int, fn func(store.Record) error) error {
	s.write.Lock()
	defer s.write.Unlock()
	if s.loaded {
		return errors.New("store: load: it was loaded before")
	}
	if !s.cfg.Strict { // Open has done it
		if err := s.replay(ctx); err != nil {
			return err
		}
	}
	if err := s.give(ctx, inline, fn); err != nil {
		return err
	}
	s.loaded = true
	s.begin()
	return nil
}

// replay makes the index.
func (s *Store) replay(ctx context.Context) error {
	r := &replay{s: s, orphans: make(map[store.ID]place), damage: s.astray, pulse: time.Now()}
	for _, seg := range s.segments {
		r.total += seg.size
	}
	for i, seg := range s.segments {
		if err := r.segment(ctx, seg, i == len(s.segments)-1); err != nil {
			return err
		}
	}
	r.shortened()
	r.judgeOrphans()
	if s.cfg.Strict && len(r.damage) > 0 {
		return &DamagedError{Damage: r.damage}
	}
	for _, d := range r.damage {
		s.setAside(s.named(d.File), d)
	}
	if err := s.moveStrays(); err != nil {
		return err
	}
	return s.mend(r.torn)
}

// mend makes the newest segment ready to be written to: an unfinished frame at its end was promised to
// nobody, and must not be taken for anything later. It also removes what creating a segment may have left.
func (s *Store) mend(torn int64) error {
	names, err := s.fs.ReadDir(s.cfg.Dir)
	if err != nil {
		return fmt.Errorf("store: load: %w", err)
	}
	for _, name := range names {
		if strings.HasSuffix(name, suffix+newSuffix) {
			if err := s.fs.Remove(filepath.Join(s.cfg.Dir, name)); err != nil {
				return fmt.Errorf("store: load: remove an unfinished segment: %w", err)
			}
		}
	}
	if len(s.segments) == 0 {
		if s.log = s.cfg.logNumber; s.log == 0 {
			s.log = rand.Uint64() | 1
		}
		return nil
	}
	s.active = s.segments[len(s.segments)-1]
	if err := s.sync(s.active); err != nil { // a process that was killed may have left it to the system
		return fmt.Errorf("store: load: sync %s: %w", s.active.name, err)
	}
	if torn > 0 {
		s.cut.Add(uint64(torn))
		s.active.dirty = true
		if err := s.clean(); err != nil && !isFull(err) {
			return fmt.Errorf("store: load: cut an unfinished batch off %s: %w", s.active.name, err)
		}
	}
	if s.list.equal(s.listNow()) {
		return nil
	}
	return s.saveList()
}

// named gives a segment by its file; nil if that was not loaded.
func (s *Store) named(file string) *segment {
	i := slices.IndexFunc(s.segments, func(seg *segment) bool { return seg.name == file })
	if i < 0 {
		return nil
	}
	return s.segments[i]
}

// replay is the first reading.
type replay struct {
	s           *Store
	orphans     map[store.ID]place // new heads of bodies that were not there
	damage      []Damage
	torn        int64
	done, total int64
	pulse       time.Time
}

func (r *replay) segment(ctx context.Context, seg *segment, final bool) error {
	s := r.s
	if seg.headless && seg.first == 0 {
		seg.first = s.seq + 1
	}
	if p := s.byNumber[uint32(seg.number-1)]; p != nil {
		r.ends(p, seg.first-1)
	}
	if seg.scarred {
		seg.hurt = true
		r.damage = append(r.damage, Damage{File: seg.name, Length: min(headerSize, seg.size), Reason: "the file's header is damaged"})
	}
	c := &scan{seg: seg, w: newWindow(seg, 1<<20), final: final, last: seg.first - 1, least: s.list.synced}
	c.found = func(f found) { r.take(&f) }
	c.gone = r.giveUp
	c.damage = func(d Damage) {
		seg.hurt = true
		r.damage = append(r.damage, d)
	}
	if err := c.run(ctx); err != nil {
		return err
	}
	seg.last = c.last
	r.torn = c.torn
	s.seq, s.synced = c.last, c.last
	r.done += seg.size
	r.progress()
	return nil
}

// ends says that the last batch of a segment should have been another one.
func (r *replay) ends(seg *segment, with uint64) {
	last, missing := len(r.damage)-1, int(with-r.s.seq)
	switch {
	case missing == 0:
	case seg.hurt && last >= 0 && r.damage[last].File == seg.name:
		r.damage[last].Records = max(r.damage[last].Records, missing)
	case missing < 0:
		seg.hurt = true
		r.damage = append(r.damage, Damage{File: seg.name, Offset: seg.end,
			Reason: fmt.Sprintf("it ends with batch %d, and the next file begins with %d", r.s.seq, with+1)})
	default:
		seg.hurt = true
		r.damage = append(r.damage, Damage{File: seg.name, Offset: seg.end, Records: missing,
			Reason: fmt.Sprintf("batches %d to %d are missing at the end", r.s.seq+1, with)})
	}
}

// shortened: what the list says was synced is not at the end of the last segment.
func (r *replay) shortened() {
	s, n := r.s, len(r.s.segments)
	if n == 0 || s.list.synced <= s.seq {
		return
	}
	if seg := s.segments[n-1]; s.byNumber[s.highest] == seg { // else it is in one that is missing
		r.ends(seg, s.list.synced)
	}
	s.seq, s.synced = s.list.synced, s.list.synced
}

func (r *replay) progress() {
	if r.s.cfg.Progress != nil {
		r.s.cfg.Progress(r.done, r.total)
	}
	if now := time.Now(); now.Sub(r.pulse) >= 2*time.Second {
		r.pulse = now
		r.s.cfg.Logger.Info("the log is being read", "percent", r.done*100/max(r.total, 1), "records", r.s.index.n)
	}
}

func (r *replay) take(f *found) {
	orphan, orphaned := r.orphans[f.id]
	if f.kind == store.PutHead && !r.s.hasBody(f) {
		// The body's entry is damaged, or was moved: then the whole record comes later.
		if !orphaned {
			r.orphans[f.id] = f.place
		}
		return
	}
	r.s.apply(f)
	if orphaned {
		delete(r.orphans, f.id)
		if slot := r.s.index.get(f.id); slot != nil {
			slot.first = min(slot.first, orphan.segment)
		}
	}
}

// judgeOrphans: what has a head but no body was lost with its body.
func (r *replay) judgeOrphans() {
	ids := make([]store.ID, 0, len(r.orphans))
	for id := range r.orphans {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	for _, id := range ids {
		at := r.orphans[id]
		seg := r.s.byNumber[at.segment]
		seg.hurt = true
		r.damage = append(r.damage, Damage{File: seg.name, Offset: at.offset(), Records: 1,
			Reason: fmt.Sprintf("record %d has lost its body", id)})
		r.giveUp(id) // an older version has another body
	}
}

// giveUp: of this record nothing is known any more but that all of before is out of date.
func (r *replay) giveUp(id store.ID) {
	delete(r.orphans, id)
	r.s.giveUp(id)
}

// give is the second reading.
func (s *Store) give(ctx context.Context, inline int, fn func(store.Record) error) error {
	rd := &reader{s: s, windows: make(map[uint32]*window)}
	var err error
	n := 0
	s.index.each(func(slot *slot) bool {
		if n++; n%1024 == 0 && ctx.Err() != nil {
			err = fmt.Errorf("store: load: %w", ctx.Err())
			return false
		}
		var r store.Record
		if r, err = rd.record(slot, inline); err == nil {
			err = fn(r)
		}
		return err == nil
	})
	return err
}

// reader reads records through a few windows.
type reader struct {
	s       *Store
	windows map[uint32]*window
	recent  []uint32 // their segments, the last used one last
	head    []byte
	body    []byte
}

const readerWindows = 8

func (r *reader) window(number uint32) *window {
	if n := len(r.recent); n > 0 && r.recent[n-1] == number {
		return r.windows[number]
	}
	w := r.windows[number]
	r.recent = slices.DeleteFunc(r.recent, func(n uint32) bool { return n == number })
	if w == nil && len(r.recent) == readerWindows {
		delete(r.windows, r.recent[0])
		r.recent = slices.Delete(r.recent, 0, 1)
	}
	if w == nil {
		w = newWindow(r.s.byNumber[number], copyBuffer)
		r.windows[number] = w
	}
	r.recent = append(r.recent, number)
	return w
}

// record reads what a slot says; its bytes are valid until the next one.
func (r *reader) record(at *slot, inline int) (store.Record, error) {
	rec := store.Record{ID: at.id}
	e, w, err := r.entry(at.id, at.head)
	if err != nil {
		return rec, err
	}
	off := at.head.offset() + entrySize
	if r.head, err = read(w, r.head, off, int64(e.headLen)); err != nil {
		return rec, err
	}
	rec.Head = r.head
	if int64(at.bodyLen) > int64(inline) {
		return rec, nil
	}
	if at.body != at.head {
		if e, w, err = r.entry(at.id, at.body); err != nil {
			return rec, err
		}
		off = at.body.offset() + entrySize
	}
	r.body, err = read(w, r.body, off+int64(e.headLen), int64(at.bodyLen))
	rec.Body = r.body
	return rec, err
}

func (r *reader) entry(id store.ID, at place) (entry, *window, error) {
	w := r.window(at.segment)
	b, err := w.bytes(at.offset(), entrySize)
	if err != nil {
		return entry{}, nil, err
	}
	e, ok := decodeEntry(b, r.s.byNumber[at.segment].sum, at.offset())
	if !ok || e.id != id {
		return e, nil, fmt.Errorf("store: load: %s:%d changed while it was read: %w", w.name, at.offset(), store.ErrDamaged)
	}
	return e, w, nil
}

// read copies n bytes into b's memory.
func read(w *window, b []byte, off, n int64) ([]byte, error) {
	b = b[:0]
	err := w.spans(off, off+n, func(part []byte) bool {
		b = append(b, part...)
		return true
	})
	return b, err
}
