package queue

import (
	"bytes"
	"crypto/sha256"
	"slices"

	"github.com/geartrain/geartrain/gearman/protocol"
	"github.com/geartrain/geartrain/server/store"
)

// The life of a background job in the store:
//
//	          SUBMIT_JOB_BG            Committed
//	(nothing) ─────────────► pending ────────────► queued or scheduled, and so on
//	              Put           │ NotCommitted                │ the end
//	                            ▼                             ▼ Delete, or a Put or PutHead that
//	                         (gone)                      (nothing)  makes it a result or a dead letter
//
// A pending job has its key, so that others join it, but nobody can have it. What its clients are told
// waits for the operation, as its JOB_CREATED does. A foreground job that a background submission joins
// is not pending: it goes on, and is a background job when its record is stored.

// record is what a job that is in the store has beside the others.
type record struct {
	digest  digest // of the payload
	put     uint64 // the operation that stores it, while it is not known to be done; else 0
	created int64  // unix nanoseconds
	runAt   int64  // of a pending job, unix nanoseconds; 0: at once
	changed bool   // the head was another one when put was asked for
}

// digest stands for a payload that is not at hand.
type digest [16]byte

func digestOf(payload []byte) (d digest) {
	sum := sha256.Sum256(payload)
	copy(d[:], sum[:])
	return d
}

// awaited is an operation whose end somebody waits for.
type awaited struct {
	seq    uint64
	slot   uint32 // of the job, or of the result
	serial uint64
	result bool
}

// unsaid is the end of a job that was cancelled before it was stored. A client that joined it hears of it
// after JOB_CREATED, and nothing if it hears ERROR instead.
type unsaid struct {
	put    uint64 // the operation that stores the job
	after  uint64 // that which deletes it
	peer   Peer
	serial uint64
}

// sayLater keeps the end of a pending job back from its clients.
func (s *State) sayLater(slot uint32, j *job, after uint64) {
	if j.clients == 0 {
		return
	}
	put := s.awaited[slices.IndexFunc(s.awaited, func(a awaited) bool { return a.slot == slot && a.serial == j.serial })].seq
	for at := j.first; at != 0; at = s.seats.at(at).nextOfJob {
		s.unsaid = append(s.unsaid, unsaid{put, after, s.peerSlab.at(s.seats.at(at).client).id, j.serial})
	}
}

// sayUpTo tells the ends of jobs whose operations up to seq are done.
func (s *State) sayUpTo(seq uint64) {
	s.unsaid = slices.DeleteFunc(s.unsaid, func(u unsaid) bool {
		if p := s.peer(u.peer); p != nil && u.put <= seq {
			s.send(p, protocol.WorkFail, s.handleOf(u.serial)).After = u.after
		}
		return u.put <= seq
	})
}

// Ops are the operations that the last event asked for, or all of [State.Restore] together. The slice is
// the state's until the next event. The bytes in it are never written to again, and live as long as
// anyone refers to them.
func (s *State) Ops() []Op { return s.ops }

// op asks for a change of the store.
func (s *State) op(kind store.Kind, serial uint64, head, body []byte, refusable bool) uint64 {
	s.seq++
	record := store.Record{ID: store.ID(serial), Head: head, Body: body}
	s.ops = append(s.ops, Op{Seq: s.seq, Op: store.Op{Kind: kind, Record: record}, Refusable: refusable})
	return s.seq
}

// keepRecord gives a job a record, whose Put is refusable. Its payload must be at hand.
func (s *State) keepRecord(slot uint32, j *job, runAt int64) uint64 {
	payload := s.payload(j)
	at, r := s.records.add()
	*r = record{digest: s.digest(j), created: s.now.UnixNano(), runAt: runAt}
	j.record = at
	if !j.body.own() {
		payload = bytes.Clone(payload)
	}
	r.put = s.op(store.Put, j.serial, s.jobHead(j), payload, true)
	s.awaited = append(s.awaited, awaited{seq: r.put, slot: slot, serial: j.serial})
	return r.put
}

// changeRecord writes the head of a job again, and returns the operation. While its Put is on its way that
// has to wait.
func (s *State) changeRecord(j *job) uint64 {
	if j.record == 0 {
		return 0
	}
	if r := s.records.at(j.record); r.put != 0 {
		r.changed = true
		return 0
	}
	return s.op(store.PutHead, j.serial, s.jobHead(j), nil, false)
}

// dropRecord takes a job out of the store, and returns what whoever hears of its end waits for.
func (s *State) dropRecord(j *job) uint64 {
	if j.record == 0 {
		return 0
	}
	s.forgetRecord(j)
	return s.op(store.Delete, j.serial, nil, nil, false)
}

func (s *State) forgetRecord(j *job) {
	if j.record != 0 {
		s.records.drop(j.record)
		j.record = 0
	}
	j.joining = false
}

// uncommitted is the operation that stores j, 0 if it is stored or never will be.
func (s *State) uncommitted(j *job) uint64 {
	if j.record == 0 {
		return 0
	}
	return s.records.at(j.record).put
}

// committed carries on with everything that waited for operations up to seq.
func (s *State) committed(seq uint64) {
	n := 0
	for n < len(s.awaited) && s.awaited[n].seq <= seq {
		if a := s.awaited[n]; a.result {
			s.resultStored(a)
		} else {
			s.jobStored(a)
		}
		n++
	}
	s.awaited = append(s.awaited[:0], s.awaited[n:]...)
	s.sayUpTo(seq)
}

// notCommitted gives up what could not be stored.
func (s *State) notCommitted(ev *NotCommitted) {
	if ev.First > 0 {
		s.committed(ev.First - 1)
	}
	s.unsaid = slices.DeleteFunc(s.unsaid, func(u unsaid) bool { return u.put <= ev.Last })
	kept := s.awaited[:0]
	for _, a := range s.awaited {
		switch {
		case a.seq > ev.Last:
			kept = append(kept, a)
		case a.result:
			s.resultDelayed(a)
			kept = append(kept, a)
		default:
			s.jobRefused(a)
		}
	}
	s.awaited = kept
}

// awaitedJob is the job of an operation, if it still waits for it.
func (s *State) awaitedJob(a awaited) *job {
	slot := s.find(a.serial)
	if slot == 0 || slot != a.slot {
		return nil
	}
	if j := s.jobs.at(slot); s.uncommitted(j) == a.seq {
		return j
	}
	return nil
}

func (s *State) jobStored(a awaited) {
	j := s.awaitedJob(a)
	if j == nil {
		return
	}
	r := s.records.at(j.record)
	r.put = 0
	if j.joining {
		j.joining, j.background = false, true
	}
	if i := s.reviving(j.serial); i >= 0 {
		s.counters.DeadRetried++
		s.dropDeadAt(i)
	}
	if r.changed {
		r.changed = false
		s.changeRecord(j)
	}
	s.letBodyGo(j)
	if j.state == Pending {
		s.detach(a.slot, j)
		s.begin(a.slot, j, r.runAt)
	}
}

func (s *State) jobRefused(a awaited) {
	j := s.awaitedJob(a)
	if j == nil {
		return
	}
	s.counters.Refused.Store++
	s.forgetRecord(j)
	if i := s.reviving(j.serial); i >= 0 {
		s.dead[i].again = 0
	}
	switch {
	case j.state == Pending:
		s.remove(a.slot, j)
	case !j.wanted() && j.state != Running:
		s.counters.Abandoned++
		s.remove(a.slot, j)
	}
}

// letBodyGo forgets a payload that is in the store and larger than the limit.
func (s *State) letBodyGo(j *job) {
	if j.body == 0 || int(j.payloadLen) <= s.cfg.KeepBody {
		return
	}
	s.dropBody(j, false)
	j.away = true
	s.textBytes -= int64(j.payloadLen)
}

// digest is that of j's payload, wherever it is.
func (s *State) digest(j *job) digest {
	if j.record != 0 {
		return s.records.at(j.record).digest
	}
	return digestOf(s.payload(j))
}

// samePayload says that a submission brings what j has already.
func (s *State) samePayload(j *job, ev *Submit) bool {
	switch {
	case int(j.payloadLen) != len(ev.Payload):
		return false
	case j.away:
		return s.digest(j) == s.eventDigest(ev)
	}
	return bytes.Equal(s.payload(j), ev.Payload)
}

// eventDigest is the digest of the payload of the event being applied.
func (s *State) eventDigest(ev *Submit) digest {
	if !s.digested {
		s.fresh, s.digested = digestOf(ev.Payload), true
	}
	return s.fresh
}
