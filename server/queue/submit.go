package queue

import (
	"bytes"
	"hash/maphash"
	"math"
	"time"

	"github.com/geartrain/geartrain/gearman/protocol"
)

func (s *State) submit(ev *Submit) {
	p := s.peer(ev.Peer)
	if p == nil || !s.namesFit(p, ev) {
		return
	}
	f := s.functions[string(ev.Function)]
	if f != nil && f.results > 0 && s.answer(p, f, ev) || !ev.Background && !s.mayWait(p) {
		return
	}
	if f != nil {
		if slot := s.findKey(f, s.keyOf(ev)); slot != 0 {
			s.joinJob(p, slot, ev)
			return
		}
	}
	switch {
	case ev.NoMemory:
		s.refuse(p, protocol.CodeLimit, "Server is out of memory for new jobs", &s.counters.Refused.Memory)
		return
	case s.jobs.n >= s.cfg.MaxJobs:
		s.refuse(p, protocol.CodeQueueError, "Job queue is full", &s.counters.Refused.Jobs)
		return
	}
	if f = s.functionFor(p, ev.Function); f == nil || !s.queueHasRoom(p, f, ev.Priority) {
		return
	}
	s.counters.Submitted++
	slot, j := s.newJob(f, ev)
	if !ev.Background {
		s.attach(slot, j, p)
	}
	if created := s.send(p, protocol.JobCreated, s.handle(j)); s.cfg.Durable && ev.Background {
		created.After = s.beginStored(slot, j, runAt(ev))
	} else {
		s.begin(slot, j, runAt(ev))
	}
}

// runAt is the time that a submission asks for, in unix nanoseconds, 0 if it asks for none.
func runAt(ev *Submit) int64 {
	if ev.RunAt.IsZero() {
		return 0
	}
	return unixNano(ev.RunAt)
}

func (s *State) namesFit(p *peer, ev *Submit) bool {
	limit := s.cfg.MaxUnique
	if limit <= 0 || limit > math.MaxUint16 {
		limit = math.MaxUint16
	}
	switch {
	case len(ev.Function) == 0:
		s.refuse(p, protocol.CodeInvalidPacket, "Function name is empty", &s.counters.Refused.FunctionName)
	case len(ev.Unique) > limit:
		s.refuse(p, protocol.CodeArgumentTooLarge, "Unique id is too long", &s.counters.Refused.Unique)
	case s.cfg.Durable && len(ev.Function) > maxStored:
		s.refuse(p, protocol.CodeArgumentTooLarge, "Function name is too long", &s.counters.Refused.FunctionName)
	case len(ev.Reducer) > math.MaxUint16:
		s.refuse(p, protocol.CodeArgumentTooLarge, "Reducer is too long", &s.counters.Refused.FunctionName)
	default:
		return true
	}
	return false
}

// mayWait says that p can wait for one more job.
func (s *State) mayWait(p *peer) bool {
	if limit := s.cfg.MaxHandles; limit > 0 && p.waiting >= limit {
		s.refuse(p, protocol.CodeLimit, "This connection waits for too many jobs", &s.counters.Refused.Handles)
		return false
	}
	return true
}

func (s *State) queueHasRoom(p *peer, f *function, prio Priority) bool {
	if limit := f.maxQueue[prio]; limit > 0 && f.jobsAt(prio) >= limit {
		s.refuse(p, protocol.CodeQueueError, "Job queue is full", &s.counters.Refused.MaxQueue)
		return false
	}
	if limit := s.cfg.MaxFunctionJobs; limit > 0 && f.jobs() >= limit {
		s.refuse(p, protocol.CodeQueueError, "Job queue of this function is full", &s.counters.Refused.FunctionJobs)
		return false
	}
	return true
}

// newJob makes a job that is in no state yet.
func (s *State) newJob(f *function, ev *Submit) (uint32, *job) {
	slot, j := s.jobs.add()
	s.serial++
	j.serial = s.serial
	j.function = f.id
	j.priority = ev.Priority
	j.background = ev.Background
	j.uniqueLen, j.reducerLen, j.payloadLen = uint16(len(ev.Unique)), uint16(len(ev.Reducer)), uint32(len(ev.Payload))
	small := len(ev.Payload) <= inlineLimit-len(ev.Unique)-len(ev.Reducer)
	if s.cfg.Durable && ev.Background && len(ev.Payload) > s.cfg.KeepBody {
		small = false // so that it can be let go
	}
	switch {
	case small:
		j.text = s.arena.put(ev.Unique, ev.Reducer, ev.Payload)
	case ev.Owned:
		j.text, j.body = s.arena.put(ev.Unique, ev.Reducer), s.arena.keep(ev.Payload)
		if s.cfg.Payloads != nil {
			s.cfg.Payloads.Keep(ev.Payload)
		}
	default:
		j.text, j.body = s.arena.put(ev.Unique, ev.Reducer), s.arena.keep(bytes.Clone(ev.Payload))
	}
	s.index(slot, j, f, s.keyOf(ev))
	if ev.Options != nil {
		s.keepTask(j, ev.Options)
	}
	return slot, j
}

// index makes a new job to be found and counted.
func (s *State) index(slot uint32, j *job, f *function, key jobKey) {
	s.textBytes += j.textBytes()
	s.serials.add(uint32(j.serial), slot)
	if key.kind != noKey {
		j.key, j.hash = key.kind, s.hashKey(f, key)
		s.keys.add(j.hash, slot)
	}
}

// joinJob attaches a submission to the job that has its key. Nothing gets weaker by that: the job
// takes the higher priority, the earlier time, and stays if any submission was a background one.
func (s *State) joinJob(p *peer, slot uint32, ev *Submit) {
	j := s.jobs.at(slot)
	if !s.samePayload(j, ev) {
		s.counters.Conflicts++
		if ev.rejects(s.functionSlab.at(j.function)) {
			s.refuse(p, protocol.CodeKeyConflict, "Key belongs to a job with another payload", &s.counters.Refused.Conflict)
			return
		}
	}
	if !ev.Background && !s.hasSeat(p, j) {
		return
	}
	s.counters.Joined++
	s.send(p, protocol.JobCreated, s.handle(j)).After = s.joinRecord(slot, j, ev)
	if !ev.Background {
		s.attach(slot, j, p)
		s.sendLastStatus(j, p)
	}
	changed := s.hasten(slot, j, ev)
	if s.keepTask(j, ev.Options) || changed {
		s.changeRecord(j)
	}
}

// hasSeat says that one more client can wait for j.
func (s *State) hasSeat(p *peer, j *job) bool {
	if limit := s.cfg.MaxClients; limit > 0 && int(j.clients) >= limit {
		s.refuse(p, protocol.CodeLimit, "Too many clients for one job", &s.counters.Refused.Clients)
		return false
	}
	return true
}

// joinRecord makes a job a background one if a submission that joins it is, and returns what the answer
// waits for.
func (s *State) joinRecord(slot uint32, j *job, ev *Submit) uint64 {
	switch {
	case !ev.Background || j.background:
	case !s.cfg.Durable:
		j.background = true
	case !j.joining:
		j.joining = true
		return s.keepRecord(slot, j, 0)
	default:
		return s.uncommitted(j)
	}
	if j.state == Pending {
		return s.uncommitted(j)
	}
	return 0
}

// hasten gives a job that waits the priority and the time of a submission that joined it, if they
// are higher and earlier. The delay before another attempt is nobody's to shorten. It says whether there
// is something to store.
func (s *State) hasten(slot uint32, j *job, ev *Submit) (changed bool) {
	prio := min(j.priority, ev.Priority)
	changed = prio < j.priority
	switch {
	case j.state == Queued && prio < j.priority:
		s.detach(slot, j)
		j.priority = prio
		s.enqueue(slot, j, false)
	case j.state == Scheduled && j.retrying:
		f := s.functionSlab.at(j.function)
		f.scheduled[j.priority]--
		f.scheduled[prio]++
		j.priority = prio
	case j.state == Scheduled:
		at := s.schedule.heap[j.timer-1].at
		changed = changed || runAt(ev) < at
		s.detach(slot, j)
		j.priority = prio
		switch {
		case ev.RunAt.IsZero() || !ev.RunAt.After(s.now):
			s.enqueue(slot, j, false)
			s.wake(s.functionSlab.at(j.function), s.cfg.WakeUp)
		default:
			s.deferUntil(slot, j, min(at, unixNano(ev.RunAt)))
		}
	case j.state == Pending:
		f, r := s.functionSlab.at(j.function), s.records.at(j.record)
		f.pending[j.priority]--
		f.pending[prio]++
		j.priority = prio
		if at := runAt(ev); at < r.runAt {
			r.runAt, changed = at, true
		}
	case j.state == Running:
		f := s.functionSlab.at(j.function)
		f.running[j.priority]--
		f.running[prio]++
		j.priority = prio
	}
	return changed
}

// unixNano is t, or the last moment that fits.
func unixNano(t time.Time) int64 {
	if t.Unix() >= math.MaxInt64/int64(time.Second) {
		return math.MaxInt64
	}
	return t.UnixNano()
}

// jobKey is what submissions to one function are joined by.
type jobKey struct {
	kind keyKind
	text []byte
}

// keyOf is the key of a submission. The digest stands for a payload.
func (s *State) keyOf(ev *Submit) jobKey {
	switch {
	case len(ev.Unique) == 0:
		return jobKey{}
	case string(ev.Unique) != "-":
		return jobKey{uniqueKey, ev.Unique}
	case len(ev.Payload) == 0:
		return jobKey{}
	}
	s.eventDigest(ev)
	return jobKey{payloadKey, s.fresh[:]}
}

// hasKey says that key is the key of j.
func (s *State) hasKey(j *job, key jobKey) bool {
	switch {
	case j.key != key.kind:
		return false
	case j.key == uniqueKey:
		return bytes.Equal(s.unique(j), key.text)
	}
	d := s.digest(j)
	return bytes.Equal(d[:], key.text)
}

// findKey is the job of f with a key, 0 if there is none.
func (s *State) findKey(f *function, key jobKey) uint32 {
	if key.kind == noKey {
		return 0
	}
	for found := s.keys.find(s.hashKey(f, key)); ; {
		slot := found.next()
		if slot == 0 {
			return 0
		}
		if j := s.jobs.at(slot); j.function == f.id && s.hasKey(j, key) {
			return slot
		}
	}
}

// hashKey is seeded, so that nobody outside can choose keys that meet in one line.
func (s *State) hashKey(f *function, key jobKey) uint32 {
	h := maphash.Bytes(s.seed, key.text)
	h ^= (uint64(f.id)<<1 | uint64(key.kind)&1) * 0x9e3779b97f4a7c15
	return uint32(h ^ h>>32)
}
