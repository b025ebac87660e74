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
	if p == nil || !s.namesFit(p, ev) || !ev.Background && !s.mayWait(p) {
		return
	}
	f := s.functions[string(ev.Function)]
	if f != nil {
		if slot := s.findKey(f, keyOf(ev)); slot != 0 {
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
	s.send(p, protocol.JobCreated, s.handle(j))
	if !ev.RunAt.IsZero() && ev.RunAt.After(s.now) {
		s.deferUntil(slot, j, unixNano(ev.RunAt))
		return
	}
	s.enqueue(slot, j, false)
	s.wake(f, s.cfg.WakeUp)
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
	if limit := f.maxQueue[prio]; limit > 0 && f.waitingAt(prio) >= limit {
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
	switch small := len(ev.Payload) <= inlineLimit-len(ev.Unique)-len(ev.Reducer); {
	case small:
		j.text = s.arena.put(ev.Unique, ev.Reducer, ev.Payload)
	case ev.Owned:
		j.text, j.body = s.arena.put(ev.Unique, ev.Reducer), s.arena.keep(ev.Payload)
	default:
		j.text, j.body = s.arena.put(ev.Unique, ev.Reducer), s.arena.keep(bytes.Clone(ev.Payload))
	}
	s.textBytes += j.textBytes()
	s.serials.add(uint32(j.serial), slot)
	if key := keyOf(ev); key.kind != noKey {
		j.key, j.hash = key.kind, s.hashKey(f, key)
		s.keys.add(j.hash, slot)
	}
	return slot, j
}

// joinJob attaches a submission to the job that has its key. Nothing gets weaker by that: the job
// takes the higher priority, the earlier time, and stays if any submission was a background one.
func (s *State) joinJob(p *peer, slot uint32, ev *Submit) {
	j := s.jobs.at(slot)
	if !bytes.Equal(s.payload(j), ev.Payload) {
		s.counters.Conflicts++
		if s.functionSlab.at(j.function).conflict == Reject {
			s.refuse(p, protocol.CodeKeyConflict, "Key belongs to a job with another payload", &s.counters.Refused.Conflict)
			return
		}
	}
	if limit := s.cfg.MaxClients; limit > 0 && !ev.Background && int(j.clients) >= limit {
		s.refuse(p, protocol.CodeLimit, "Too many clients for one job", &s.counters.Refused.Clients)
		return
	}
	s.counters.Joined++
	j.background = j.background || ev.Background
	s.send(p, protocol.JobCreated, s.handle(j))
	if !ev.Background {
		s.attach(slot, j, p)
		s.sendLastStatus(j, p)
	}
	s.hasten(slot, j, ev)
}

// hasten gives a job that waits the priority and the time of a submission that joined it, if they
// are higher and earlier.
func (s *State) hasten(slot uint32, j *job, ev *Submit) {
	prio := min(j.priority, ev.Priority)
	switch {
	case j.state == Queued && prio < j.priority:
		s.detach(slot, j)
		j.priority = prio
		s.enqueue(slot, j, false)
	case j.state == Scheduled:
		at := s.schedule.heap[j.timer-1].at
		s.detach(slot, j)
		j.priority = prio
		switch {
		case ev.RunAt.IsZero() || !ev.RunAt.After(s.now):
			s.enqueue(slot, j, false)
			s.wake(s.functionSlab.at(j.function), s.cfg.WakeUp)
		default:
			s.deferUntil(slot, j, min(at, unixNano(ev.RunAt)))
		}
	default:
		j.priority = prio
	}
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

func keyOf(ev *Submit) jobKey {
	switch {
	case len(ev.Unique) == 0:
		return jobKey{}
	case string(ev.Unique) != "-":
		return jobKey{uniqueKey, ev.Unique}
	case len(ev.Payload) == 0:
		return jobKey{}
	}
	return jobKey{payloadKey, ev.Payload}
}

func (s *State) keyOfJob(j *job) jobKey {
	switch j.key {
	case uniqueKey:
		return jobKey{uniqueKey, s.unique(j)}
	case payloadKey:
		return jobKey{payloadKey, s.payload(j)}
	}
	return jobKey{}
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
		j := s.jobs.at(slot)
		if j.function == f.id && j.key == key.kind && bytes.Equal(s.keyOfJob(j).text, key.text) {
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
