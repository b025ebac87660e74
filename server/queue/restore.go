package queue

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/geartrain/geartrain/server/store"
)

// Restore puts what a record stands for into the state, as it was when the record was written. It is
// called once for each record, in the order of their numbers, before the first event; after the last one
// [State.Ops] may ask for something. What is running by its record is queued again. Limits do not hold
// for what is restored. An error names the record, of which nothing was taken: [ErrNewer] or
// [ErrRecord], wrapped.
func (s *State) Restore(now time.Time, r store.Record) error {
	if s.epoch.IsZero() {
		s.epoch = now
	}
	s.now = now
	h, err := parseHead(r.Head)
	if err == nil {
		err = s.restore(uint64(r.ID), &h, r.Body)
	}
	if err != nil {
		return fmt.Errorf("record %d: %w", r.ID, err)
	}
	s.serial = max(s.serial, uint64(r.ID))
	return nil
}

func (s *State) restore(serial uint64, h *head, body []byte) error {
	switch {
	case body != nil && len(body) != int(h.bodySize()):
		return fmt.Errorf("%w: a body of %d bytes instead of %d", ErrRecord, len(body), h.bodySize())
	case s.find(serial) != 0 || s.jobs.n >= maxSlot:
		return fmt.Errorf("%w: its number is in use", ErrRecord)
	case h.kind == deadRecord:
		s.restoreDead(serial, h, body)
		return nil
	case h.kind == resultRecord:
		return s.restoreResult(serial, h, body)
	}
	return s.restoreJob(serial, h, body)
}

// bodySize is how long the record's body is.
func (h *head) bodySize() uint32 {
	if h.kind == resultRecord {
		return h.length
	}
	return h.size
}

func (s *State) restoreJob(serial uint64, h *head, body []byte) error {
	f := s.functions[string(h.function)]
	if f == nil {
		f = s.newFunction(h.function)
	}
	key := h.jobKey()
	if s.findKey(f, key) != 0 {
		return fmt.Errorf("%w: its key is that of another job", ErrRecord)
	}
	slot, j := s.jobs.add()
	j.serial, j.function, j.priority, j.background, j.attempts = serial, f.id, h.priority, true, h.attempts
	j.uniqueLen, j.reducerLen, j.payloadLen = uint16(len(h.unique)), uint16(len(h.reducer)), h.size
	switch {
	case h.size == 0:
		j.text = s.arena.put(h.unique, h.reducer)
	case body == nil || len(body) > s.cfg.KeepBody:
		j.text, j.away = s.arena.put(h.unique, h.reducer), true
	case len(body) <= inlineLimit-len(h.unique)-len(h.reducer):
		j.text = s.arena.put(h.unique, h.reducer, body)
	default:
		j.text, j.body = s.arena.put(h.unique, h.reducer), s.arena.keep(bytes.Clone(body))
	}
	at, r := s.records.add()
	*r = record{digest: h.digest, created: h.created}
	j.record = at
	s.index(slot, j, f, key)
	s.keepTask(j, h.options)
	if len(h.history) > 0 {
		s.history[serial] = h.history
	}
	if h.retrying {
		rule, _ := s.retryOf(j)
		s.waitFor(slot, j, min(time.Duration(h.runAt-s.now.UnixNano()), rule.longest()))
	} else {
		s.begin(slot, j, h.runAt)
	}
	return nil
}

// restoreResult keeps a result for as long as it has left, but never longer than it would have had from
// the start: the clock may have been set. Of two of one key the later one is taken.
func (s *State) restoreResult(serial uint64, h *head, body []byte) error {
	key := h.jobKey()
	if key.kind == noKey {
		return fmt.Errorf("%w: a result without a key", ErrRecord)
	}
	f := s.functions[string(h.function)]
	if f == nil {
		f = s.newFunction(h.function)
	}
	elapsed, now := s.elapsed(), s.now.UnixNano()
	if left := min(h.expires-now, h.expires-h.ended); left <= 0 {
		s.counters.Kept.Expired++
		s.op(store.Delete, serial, nil, nil, false)
		s.release(f)
		return nil
	}
	old := s.findResult(f, key)
	at, r := s.results.add()
	*r = result{
		serial: serial, ended: elapsed - max(now-h.ended, 0), expires: elapsed + min(h.expires-now, h.expires-h.ended),
		digest: h.digest, hash: s.hashKey(f, key), function: f.id, key: key.kind,
		unique: s.arena.put(h.unique), uniqueLen: uint16(len(h.unique)),
		payloadLen: h.size, size: h.length,
	}
	if h.length > 0 && (body == nil || len(body) > s.cfg.KeepBody) {
		r.away = true
	} else if h.length > 0 {
		r.body = s.arena.put(body)
	}
	s.indexResult(f, at, r)
	if old != 0 {
		s.counters.Kept.Replaced++
		s.dropResult(old)
	}
	s.evict()
	return nil
}

// resultHead is the head of r's record.
func (s *State) resultHead(r *result) []byte {
	elapsed, now := s.elapsed(), s.now.UnixNano()
	h := head{
		kind:     resultRecord,
		function: s.functionSlab.at(r.function).name, unique: s.arena.get(r.unique, int(r.uniqueLen)),
		digest: r.digest, size: r.payloadLen,
		ended: now - (elapsed - r.ended), expires: later(now, time.Duration(r.expires-elapsed)),
		length: r.size,
	}
	return h.append(make([]byte, 0, headSize+len(h.function)+len(h.unique)))
}

// jobKey is what the job of a record is joined by.
func (h *head) jobKey() jobKey {
	switch {
	case len(h.unique) == 0 || string(h.unique) == "-" && h.size == 0:
		return jobKey{}
	case string(h.unique) == "-":
		return jobKey{payloadKey, h.digest[:]}
	}
	return jobKey{uniqueKey, h.unique}
}

func (s *State) restoreDead(serial uint64, h *head, body []byte) {
	d := &deadLetter{
		DeadLetter: DeadLetter{
			Handle:   s.cfg.HandlePrefix + fmt.Sprint(serial),
			Function: string(h.function),
			Unique:   string(h.unique),
			Priority: h.priority,
			Size:     int(h.size),
			Died:     time.Unix(0, h.died),
			History:  h.history,
		},
		serial: serial, digest: h.digest, created: h.created, options: h.options, stored: true,
		reducer: bytes.Clone(h.reducer),
	}
	if body != nil && len(body) <= s.cfg.KeepBody {
		d.Payload = bytes.Clone(body)
	} else if h.size > 0 {
		d.Body = store.ID(serial)
	}
	i, _ := slices.BinarySearchFunc(s.dead, d, func(a, b *deadLetter) int {
		return cmp.Or(a.Died.Compare(b.Died), cmp.Compare(a.serial, b.serial))
	})
	s.dead = slices.Insert(s.dead, i, d)
	s.deadBytes += d.bytes()
	limit := int64(s.cfg.DeadLetterBytes)
	for len(s.dead) > max(s.cfg.DeadLetters, 0) || limit > 0 && s.deadBytes > limit {
		s.counters.DeadDropped++
		s.dropDeadAt(0)
	}
}

// jobHead is the head of j's record.
func (s *State) jobHead(j *job) []byte {
	r := s.records.at(j.record)
	h := head{
		kind:     jobRecord,
		function: s.functionSlab.at(j.function).name, unique: s.unique(j), reducer: s.reducer(j),
		priority: j.priority,
		attempts: j.attempts,
		created:  r.created, runAt: r.runAt,
		digest: r.digest, size: j.payloadLen,
		history:  s.history[j.serial],
		retrying: j.retrying,
		options:  s.options(j),
	}
	if j.state != Pending {
		h.runAt = s.dueAt(j)
	}
	return h.append(make([]byte, 0, headSize+len(h.function)+len(h.unique)+len(h.reducer)))
}

// headSize is enough for a head without texts and history.
const headSize = 64

// dueAt is when a scheduled job's time comes, in unix nanoseconds, 0 for another one.
func (s *State) dueAt(j *job) int64 {
	switch {
	case j.state != Scheduled:
		return 0
	case j.retrying:
		return s.now.UnixNano() + s.retries.heap[j.timer-1].at - s.elapsed()
	}
	return s.schedule.heap[j.timer-1].at
}

// head is the head of a dead letter's record.
func (d *deadLetter) head() []byte {
	h := head{
		kind:     deadRecord,
		function: []byte(d.Function), unique: []byte(d.Unique), reducer: d.reducer,
		priority: d.Priority,
		created:  d.created,
		digest:   d.digest, size: uint32(d.Size),
		options: d.options,
		history: d.History,
		died:    d.Died.UnixNano(),
	}
	return h.append(nil)
}
