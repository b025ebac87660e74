package queue

import (
	"bytes"
	"iter"
	"slices"
	"time"

	"github.com/geartrain/geartrain/gearman/protocol"
	"github.com/geartrain/geartrain/server/store"
)

// DeadLetter is a background job that used up its attempts.
type DeadLetter struct {
	Handle, Function, Unique string
	Priority                 Priority
	Size                     int    // of the payload
	Payload                  []byte // the state's own; not to be changed
	Died                     time.Time

	// Body says that the payload is in the store, in the record of that number. Zero: it is Payload.
	Body store.ID

	History []LostAttempt // the last ones, oldest first
}

// LostAttempt is one attempt that came to nothing.
type LostAttempt struct {
	Number         int
	Worker         string // its id or, without one, its address
	Started, Ended time.Time
	Reason         string // "timeout", "worker lost", "failed", "exception" or "payload lost"
	Detail         string // the beginning of what the worker said of it
}

// maxHistory is how many lost attempts are remembered of one job.
const maxHistory = 16

// maxDetail is how much of what a worker said of each.
const maxDetail = 512

// deadLetter is a DeadLetter and what else makes it a job again.
type deadLetter struct {
	DeadLetter
	serial  uint64
	reducer []byte
	digest  digest
	created int64
	options *protocol.TaskOptions
	stored  bool   // there is a record of it
	again   uint64 // the job it becomes as soon as that is stored; 0: it is a dead letter
}

// DeadLetters lists the dead letters, the oldest first.
func (s *State) DeadLetters() iter.Seq[DeadLetter] {
	return func(yield func(DeadLetter) bool) {
		for _, d := range s.dead {
			if d.again == 0 && !yield(d.DeadLetter) {
				return
			}
		}
	}
}

// DeadLetter is one of them by its handle.
func (s *State) DeadLetter(handle string) (DeadLetter, bool) {
	i := s.findDead([]byte(handle))
	if i < 0 {
		return DeadLetter{}, false
	}
	return s.dead[i].DeadLetter, true
}

// bytes is about what it costs to keep.
func (d *deadLetter) bytes() int64 {
	return deadBytes + int64(len(d.Handle)+len(d.Function)+len(d.Unique)+len(d.Payload)+len(d.reducer)) +
		int64(len(d.History))*lossBytes + d.detailBytes()
}

func (d *deadLetter) detailBytes() (n int64) {
	for i := range d.History {
		n += int64(len(d.History[i].Detail))
	}
	return n
}

// deadFits says that one more of n bytes may be kept beside those there are.
func (s *State) deadFits(n int64) bool {
	limit := int64(s.cfg.DeadLetterBytes)
	return len(s.dead) < s.cfg.DeadLetters && (limit < 0 || s.deadBytes+n <= limit)
}

// forgetDead takes the i-th dead letter out.
func (s *State) forgetDead(i int) {
	s.deadBytes -= s.dead[i].bytes()
	if s.dead[i].again != 0 {
		s.revivals--
	}
	s.dead = slices.Delete(s.dead, i, i+1)
}

func (s *State) findDead(handle []byte) int {
	return slices.IndexFunc(s.dead, func(d *deadLetter) bool { return d.again == 0 && d.Handle == string(handle) })
}

// reviving is the dead letter that becomes the job with that serial, -1 if none does.
func (s *State) reviving(serial uint64) int {
	if s.revivals == 0 {
		return -1
	}
	return slices.IndexFunc(s.dead, func(d *deadLetter) bool { return d.again == serial })
}

// dropDeadAt forgets the i-th dead letter, also in the store.
func (s *State) dropDeadAt(i int) {
	if d := s.dead[i]; d.stored {
		s.op(store.Delete, d.serial, nil, nil, false)
	}
	s.forgetDead(i)
}

// recordLoss notes that the running attempt of j came to nothing.
func (s *State) recordLoss(j *job, reason string) {
	if s.maxAttempts(j) > 0 { // else it will never be a dead letter
		s.noteLoss(j, reason, nil)
	}
}

func (s *State) noteLoss(j *job, reason string, detail []byte) {
	a := s.attempts.at(j.attempt)
	worker := a.worker.name
	if worker == "" {
		worker = a.worker.address
	}
	h := s.history[j.serial]
	if len(h) == maxHistory {
		h = slices.Delete(h, 0, 1)
	}
	s.history[j.serial] = append(h, LostAttempt{
		Number:  int(a.number),
		Worker:  worker,
		Started: a.startedAt(),
		Ended:   s.now,
		Reason:  reason,
		Detail:  string(detail[:min(len(detail), maxDetail)]),
	})
}

// bury makes a dead letter of a job that is about to be removed, if it is a background job. The oldest
// ones make room for it. It returns what whoever hears of the job's end waits for.
func (s *State) bury(j *job) uint64 {
	if !j.background {
		return s.dropRecord(j)
	}
	s.counters.DeadLetters++
	d := s.deadLetterOf(j)
	n := d.bytes()
	if limit := int64(s.cfg.DeadLetterBytes); s.cfg.DeadLetters < 0 || limit > 0 && n > limit {
		s.counters.DeadDropped++
		return s.dropRecord(j)
	}
	d.Payload = bytes.Clone(d.Payload)
	for !s.deadFits(n) {
		s.counters.DeadDropped++
		s.dropDeadAt(0)
	}
	s.dead = append(s.dead, d)
	s.deadBytes += n
	if j.record == 0 {
		return 0
	}
	s.forgetRecord(j)
	d.stored = true
	kind := store.PutHead
	if d.Size == 0 { // perhaps since it was lost
		kind = store.Put
	}
	return s.op(kind, d.serial, d.head(), nil, false)
}

// deadLetterOf describes j. The payload is j's own.
func (s *State) deadLetterOf(j *job) *deadLetter {
	d := &deadLetter{
		DeadLetter: DeadLetter{
			Handle:   string(s.handle(j)),
			Function: string(s.functionSlab.at(j.function).name),
			Unique:   string(s.unique(j)),
			Priority: j.priority,
			Size:     int(j.payloadLen),
			Payload:  s.payload(j),
			Died:     s.now,
			History:  s.history[j.serial],
		},
		serial:  j.serial,
		reducer: bytes.Clone(s.reducer(j)),
		options: s.options(j),
	}
	if j.record != 0 {
		r := s.records.at(j.record)
		d.digest, d.created = r.digest, r.created
	}
	if j.away {
		d.Payload, d.Body = nil, store.ID(j.serial)
	}
	return d
}

func (s *State) retryDead(ev *RetryDead) {
	i := s.findDead(ev.Handle)
	if i < 0 || s.jobs.n >= s.cfg.MaxJobs {
		return
	}
	d := s.dead[i]
	payload := d.Payload
	if d.Body != 0 {
		if payload = ev.Payload; digestOf(payload) != d.digest {
			return
		}
	}
	again := &Submit{
		Function:   []byte(d.Function),
		Unique:     []byte(d.Unique),
		Payload:    payload,
		Owned:      true,
		Priority:   d.Priority,
		Background: true,
		Reducer:    d.reducer,
		Options:    d.options,
	}
	f := s.functionFor(nil, again.Function)
	if f == nil {
		return
	}
	if s.findKey(f, s.keyOf(again)) != 0 {
		s.release(f)
		return
	}
	slot, j := s.newJob(f, again)
	if s.cfg.Durable {
		d.again = j.serial
		s.revivals++
		s.beginStored(slot, j, 0)
		return
	}
	s.forgetDead(i)
	s.counters.DeadRetried++
	s.begin(slot, j, 0)
}

func (s *State) dropDead(ev *DropDead) {
	if i := s.findDead(ev.Handle); i >= 0 {
		s.dropDeadAt(i)
	}
}

// bodyLost sets a job aside whose payload cannot be read, or forgets a result.
func (s *State) bodyLost(ev *BodyLost) {
	p := s.peer(ev.Peer)
	if p == nil {
		return
	}
	if ev.Result {
		s.send(p, protocol.WorkFail, s.handleOf(uint64(ev.ID)))
		s.forgetLost(ev.ID)
		return
	}
	s.send(p, protocol.NoJob)
	slot := s.find(uint64(ev.ID))
	if slot == 0 {
		return
	}
	j := s.jobs.at(slot)
	if !j.away || j.state != Running || s.attempts.at(j.attempt).worker != p {
		return
	}
	s.counters.Kept.BodiesLost++
	s.noteLoss(j, reasonPayload, nil)
	j.away, j.payloadLen = false, 0
	s.failAfter(slot, j, s.bury(j))
}
