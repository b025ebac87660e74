package queue

import (
	"bytes"
	"time"

	"github.com/geartrain/geartrain/gearman/protocol"
	"github.com/geartrain/geartrain/server/store"
)

// The life of a result:
//
//	         WORK_COMPLETE of a job              older than Fresh
//	         with a key and a retention
//	(nothing) ───────────────────────► fresh ──────────────────────► stale ───► (nothing)
//	                                     ▲                             │   expired, evicted, replaced
//	                                     └─────────────────────────────┘
//	                                        the background job that the first submission
//	                                        of a stale key makes has ended well
//
// A result answers submissions of its key at once, so no worker is woken for them. A failure is never
// kept, and leaves the result that is there.

// result is one retained result. It has no pointers.
type result struct {
	serial         uint64 // of its job
	ended, expires int64  // nanoseconds after epoch
	put            uint64 // the operation that stores it, while it is not known to be done; else 0
	digest         digest // of the payload
	hash           uint32 // of the key
	function       uint32
	unique, body   ref
	payloadLen     uint32
	size           uint32 // of the result
	timer          uint32 // 1 + its place among the expiries
	uniqueLen      uint16
	key            keyKind
	away           bool // it is only in the store
}

// textBytes is what of it is at hand.
func (r *result) textBytes() int64 {
	if r.away {
		return int64(r.uniqueLen)
	}
	return int64(r.uniqueLen) + int64(r.size)
}

// retention is how long the result of j is kept; not at all if it is zero or less.
func (s *State) retention(j *job) time.Duration {
	if j.key == noKey {
		return 0
	}
	if j.task != 0 {
		if d := s.tasks.at(j.task).retain; d != 0 {
			return d
		}
	}
	return s.functionSlab.at(j.function).policy.Retain
}

// keepResult makes a result of a job that is about to be removed, or takes the job out of the store, and
// returns what whoever hears of the job's end waits for. What was there for the key is of no use any
// more.
func (s *State) keepResult(j *job, data []byte) uint64 {
	f := s.functionSlab.at(j.function)
	old := uint32(0)
	if j.key != noKey && f.results > 0 {
		old = s.resultOfJob(f, j)
	}
	ttl := s.retention(j)
	keeps := ttl > 0 && s.mayKeep(data)
	after := uint64(0)
	if keeps {
		after = s.addResult(f, j, data, ttl)
	} else {
		after = s.dropRecord(j)
	}
	if old != 0 {
		s.counters.Kept.Replaced++
		s.dropResult(old)
	}
	if keeps {
		s.evict()
	}
	return after
}

// mayKeep says that a result is not too large.
func (s *State) mayKeep(data []byte) bool {
	if limit := s.cfg.MaxResult; limit > 0 && len(data) > limit {
		s.counters.Kept.TooLarge++
		return false
	}
	return true
}

func (s *State) addResult(f *function, j *job, data []byte, ttl time.Duration) uint64 {
	elapsed := s.elapsed()
	at, r := s.results.add()
	*r = result{
		serial: j.serial, ended: elapsed, expires: later(elapsed, ttl),
		digest: s.digest(j), hash: j.hash, function: j.function, key: j.key,
		unique: s.arena.put(s.unique(j)), uniqueLen: j.uniqueLen,
		payloadLen: j.payloadLen, size: uint32(len(data)),
	}
	data = bytes.Clone(data)
	if len(data) > 0 {
		r.body = s.arena.keep(data)
	}
	s.indexResult(f, at, r)
	s.counters.Kept.Results++
	if s.cfg.Durable {
		s.forgetRecord(j)
		r.put = s.op(store.Put, r.serial, s.resultHead(r), data, false)
		s.awaited = append(s.awaited, awaited{seq: r.put, slot: at, serial: r.serial, result: true})
	}
	return r.put
}

// indexResult makes a result to be found and counted.
func (s *State) indexResult(f *function, at uint32, r *result) {
	f.results++
	s.resultKeys.add(r.hash, at)
	s.expiries.add(at, r.serial, r.expires)
	s.resultText += r.textBytes()
	s.resultSize += int64(r.size)
}

// evict makes room within the limits. What would be the first to go goes first.
func (s *State) evict() {
	for s.tooManyResults() {
		t, _ := s.expiries.first()
		s.counters.Kept.Evicted++
		s.dropResult(t.slot)
	}
}

func (s *State) tooManyResults() bool {
	return s.cfg.MaxResults > 0 && s.results.n > s.cfg.MaxResults ||
		s.cfg.MaxResultBytes > 0 && s.resultSize > s.cfg.MaxResultBytes
}

// dropResult forgets a result, also in the store.
func (s *State) dropResult(at uint32) {
	r := s.results.at(at)
	if s.cfg.Durable {
		s.op(store.Delete, r.serial, nil, nil, false)
	}
	f := s.functionSlab.at(r.function)
	f.results--
	s.resultKeys.remove(r.hash, at)
	s.expiries.remove(at)
	s.resultText -= r.textBytes()
	s.resultSize -= int64(r.size)
	s.arena.drop(r.unique)
	s.arena.drop(r.body)
	s.results.drop(at)
	s.release(f)
}

// expireResults drops those whose time is over.
func (s *State) expireResults(elapsed int64) {
	for t, ok := s.expiries.first(); ok && t.at <= elapsed; t, ok = s.expiries.first() {
		s.counters.Kept.Expired++
		s.dropResult(t.slot)
	}
}

// findResult is the result of f's key that is not over, 0 if there is none.
func (s *State) findResult(f *function, key jobKey) uint32 {
	if key.kind == noKey || f.results == 0 {
		return 0
	}
	for found := s.resultKeys.find(s.hashKey(f, key)); ; {
		at := found.next()
		if at == 0 {
			return 0
		}
		r := s.results.at(at)
		if r.function != f.id || r.key != key.kind {
			continue
		}
		text := s.arena.get(r.unique, int(r.uniqueLen))
		if r.key == payloadKey {
			text = r.digest[:]
		}
		if bytes.Equal(text, key.text) {
			return at
		}
	}
}

// resultOfJob is the result under j's key.
func (s *State) resultOfJob(f *function, j *job) uint32 {
	key := jobKey{j.key, s.unique(j)}
	if j.key == payloadKey {
		s.scratch = s.digest(j)
		key.text = s.scratch[:]
	}
	return s.findResult(f, key)
}

// answer gives a submission the result of its key, if there is one that is young enough for it.
func (s *State) answer(p *peer, f *function, ev *Submit) bool {
	at := s.findResult(f, s.keyOf(ev))
	if at == 0 {
		return false
	}
	r := s.results.at(at)
	elapsed := s.elapsed()
	if !f.accepts(ev, elapsed-r.ended) || elapsed >= r.expires {
		return false
	}
	if int(r.payloadLen) != len(ev.Payload) || r.digest != s.eventDigest(ev) {
		if s.counters.Conflicts++; ev.rejects(f) {
			s.refuse(p, protocol.CodeKeyConflict, "Key belongs to a result of another payload", &s.counters.Refused.Conflict)
			return true
		}
	}
	s.counters.Kept.Answers++
	s.sendCreated(p, ev, r)
	if !ev.Background {
		s.sendResult(p, r)
	}
	if f.policy.Fresh > 0 && elapsed-r.ended > int64(f.policy.Fresh) {
		s.refresh(f, ev)
	}
	return true
}

// accepts says that a result of that age is an answer to a submission.
func (f *function) accepts(ev *Submit, age int64) bool {
	if ev.Options != nil && ev.Options.Fresh != 0 {
		return age <= int64(ev.Options.Fresh)
	}
	return f.policy.Fresh == 0 || age <= int64(f.policy.Fresh+f.policy.Stale)
}

// sendCreated answers a submission whose job is over, in the way that it asks for.
func (s *State) sendCreated(p *peer, ev *Submit, r *result) {
	handle := s.handleOf(r.serial)
	if ev.Options == nil || !ev.Options.Tell {
		s.send(p, protocol.JobCreated, handle)
		return
	}
	age := time.Duration(max(s.elapsed()-r.ended, 0))
	s.send(p, protocol.JobRetained, handle, s.number(uint64(age.Milliseconds())))
}

// sendResult follows the answer to a submission: its job is over.
func (s *State) sendResult(p *peer, r *result) {
	e := s.send(p, protocol.WorkComplete, s.handleOf(r.serial), s.arena.get(r.body, int(r.size)))
	e.After, e.Shared = r.put, r.body.own()
	if r.away {
		e.Body, e.N = store.ID(r.serial), 1
	}
}

// refresh makes a background job of a submission that was answered by a stale result, unless its key has
// a job already. Where there is no room for it, there is none.
func (s *State) refresh(f *function, ev *Submit) {
	if ev.NoMemory || s.jobs.n >= s.cfg.MaxJobs || s.findKey(f, s.keyOf(ev)) != 0 || !s.queueHasRoom(nil, f, ev.Priority) {
		return
	}
	s.counters.Kept.Refreshes++
	again := *ev
	again.Background = true
	slot, j := s.newJob(f, &again)
	if s.cfg.Durable {
		s.beginStored(slot, j, 0)
		return
	}
	s.begin(slot, j, 0)
}

// awaitedResult is the result of an operation, if it is still there.
func (s *State) awaitedResult(a awaited) *result {
	if s.results.has(a.slot) {
		if r := s.results.at(a.slot); r.serial == a.serial {
			return r
		}
	}
	return nil
}

// resultDelayed lets nobody wait any more for a result that the store has no room for now.
func (s *State) resultDelayed(a awaited) {
	if r := s.awaitedResult(a); r != nil {
		r.put = 0
	}
}

// resultStored carries on with a result that is in the store now.
func (s *State) resultStored(a awaited) {
	r := s.awaitedResult(a)
	if r == nil {
		return
	}
	r.put = 0
	if int(r.size) > s.cfg.KeepBody {
		s.resultText -= int64(r.size)
		s.arena.drop(r.body)
		r.body, r.away = 0, true
	}
}

// forgetLost drops a result that cannot be read any more.
func (s *State) forgetLost(id store.ID) bool {
	for at := range s.results.all() {
		if r := s.results.at(at); r.serial == uint64(id) {
			s.counters.Kept.BodiesLost++
			s.dropResult(at)
			return true
		}
	}
	return false
}
