package load

import (
	"hash/maphash"
	"slices"
	"sync/atomic"
)

// The ledger's pages: only those of jobs that exist take memory.
const (
	pageSize = 1 << 13
	maxJobs  = 1 << 30
)

// ledger knows of every job what became of it. It is safe for concurrent use.
type ledger struct {
	jobs    int // how many there may be
	seed    maphash.Seed
	pages   []atomic.Pointer[page]
	taken   atomic.Int64 // numbers asked for, may exceed jobs
	stopped atomic.Bool
}

type page [pageSize]record

// record is of one job. Handles are kept as their hashes, 0 for none.
type record struct {
	created    atomic.Uint64 // the handle that its clients were given
	assigned   atomic.Uint64 // the handle that its worker was given
	answers    atomic.Uint32
	executions atomic.Uint32
}

func newLedger(jobs int) *ledger {
	return &ledger{
		jobs:  jobs,
		seed:  maphash.MakeSeed(),
		pages: make([]atomic.Pointer[page], (jobs+pageSize-1)/pageSize),
	}
}

// take gives out the next number; ok is false when all are given out or the ledger is stopped.
func (l *ledger) take() (job int, ok bool) {
	if l.stopped.Load() {
		return 0, false
	}
	job = int(l.taken.Add(1)) - 1
	return job, job < l.jobs
}

// stop ends the giving out.
func (l *ledger) stop() { l.stopped.Store(true) }

// submitted is how many numbers were given out.
func (l *ledger) submitted() int { return min(int(l.taken.Load()), l.jobs) }

// hash is what the ledger keeps of a handle.
func (l *ledger) hash(handle []byte) uint64 { return maphash.Bytes(l.seed, handle) | 1 }

// create notes the handle that a client was given. All clients of a job are given the same.
func (l *ledger) create(job int, handle uint64) error {
	r := l.record(job)
	if !r.created.CompareAndSwap(0, handle) && r.created.Load() != handle {
		return wrong(job, ErrHandle, "another client of the job was given another one")
	}
	return nil
}

// execute notes that a worker was given the job.
func (l *ledger) execute(job int, handle uint64) error {
	if job >= l.submitted() {
		return wrong(job, ErrPayload, "of a job that was not submitted")
	}
	r := l.record(job)
	if n := r.executions.Add(1); n > 1 {
		return wrong(job, ErrExecutions, "assigned %d times", n)
	}
	r.assigned.Store(handle)
	return nil
}

// answer notes that a client was told the job's end.
func (l *ledger) answer(job int) { l.record(job).answers.Add(1) }

// answered reports whether a client has been told the job's end.
func (l *ledger) answered(job int) bool {
	return job < l.submitted() && l.record(job).answers.Load() > 0
}

// verify checks the books once all is quiet: each job was executed once, under the handle that its
// clients know and no other job has, and answered so many times.
func (l *ledger) verify(answers int) error {
	handles := make([]uint64, l.submitted())
	for job := range handles {
		r := l.record(job)
		handles[job] = r.created.Load()
		switch {
		case r.answers.Load() != uint32(answers):
			return wrong(job, ErrAnswers, "%d times, %d clients asked", r.answers.Load(), answers)
		case r.executions.Load() != 1:
			return wrong(job, ErrExecutions, "%d times", r.executions.Load())
		case handles[job] != r.assigned.Load():
			return wrong(job, ErrHandle, "the worker was given another one than the client")
		}
	}
	slices.Sort(handles)
	for i := range len(handles) - 1 {
		if handles[i] == handles[i+1] {
			return wrong(noJob, ErrHandle, "two jobs were given the same one")
		}
	}
	return nil
}

func (l *ledger) record(job int) *record {
	p := &l.pages[job/pageSize]
	if p.Load() == nil {
		p.CompareAndSwap(nil, new(page))
	}
	return &p.Load()[job%pageSize]
}
