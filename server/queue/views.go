package queue

import (
	"iter"
	"maps"
	"slices"
	"strconv"
	"time"
)

// FunctionInfo is one function in a listing.
type FunctionInfo struct {
	Name      string
	Queued    [3]int // ready to be grabbed, by Priority
	Scheduled int    // waiting for their time
	Pending   int    // waiting to be stored
	Running   int
	Workers   int // connections that can do it
	Paused    bool
	Results   int    // retained
	MaxQueue  [3]int // as set; zero: no limit
}

// Waiting is the number of jobs that no worker has.
func (f *FunctionInfo) Waiting() int {
	return f.Queued[High] + f.Queued[Normal] + f.Queued[Low] + f.Scheduled + f.Pending
}

// Total is the number of jobs, as in the first column of the admin command "status".
func (f *FunctionInfo) Total() int { return f.Waiting() + f.Running }

// WorkerInfo is one connection in a listing, whether it is a worker's or not.
type WorkerInfo struct {
	Peer      Peer
	Address   string
	ID        string   // SET_CLIENT_ID; empty if none was sent
	Functions []string // in the order of CAN_DO
	Asleep    bool     // PRE_SLEEP, and no NOOP since
	Running   int      // attempts it has
}

// JobInfo is one job in a listing.
type JobInfo struct {
	Handle      string
	Function    string
	Unique      string
	State       JobState
	Priority    Priority
	Background  bool
	Stored      bool      // or on its way to the store
	Attempts    int       // how often it was handed out
	Clients     int       // attached
	Size        int       // bytes of payload
	RunAt       time.Time // while it is scheduled
	Retrying    bool      // it is scheduled because an attempt came to nothing
	Run, Stage  string    // of a pipeline, as its client said
	Worker      Peer      // while it is running
	Started     time.Time // the running attempt
	Numerator   string    // of the last WORK_STATUS of the running attempt
	Denominator string
}

// Counters count since the start; none ever falls.
type Counters struct {
	Submitted uint64 // new jobs
	Joined    uint64 // submissions that joined a job with their key
	Conflicts uint64 // of those and of Refused.Conflict: the payload was another one
	Refused   Refused

	Assigned    uint64 // attempts
	Completed   uint64 // jobs ended by WORK_COMPLETE
	Failed      uint64 // jobs ended by WORK_FAIL
	Exceptions  uint64 // jobs ended by WORK_EXCEPTION
	Exhausted   uint64 // jobs ended because JobRetries attempts were lost or timed out
	Cancelled   uint64 // jobs ended by CancelJob, LeaveJob or DropFunction
	Abandoned   uint64 // foreground jobs removed because their last client had left
	Timeouts    uint64 // attempts taken away by CAN_DO_TIMEOUT
	Lost        uint64 // attempts whose worker left
	Requeues    uint64 // jobs put back, for either reason
	LateReports uint64 // dropped reports from others than the current attempt
	Wakeups     uint64 // NOOPs
	DeadLetters uint64 // jobs that became dead letters
	DeadDropped uint64 // dead letters that had to make room
	DeadRetried uint64 // dead letters that became jobs again

	Kept  Kept
	Tried Tried
}

// Kept counts what has to do with records and results.
type Kept struct {
	Results    uint64 // retained
	Answers    uint64 // submissions answered by one
	Refreshes  uint64 // jobs made because such an answer was stale
	Replaced   uint64 // by a newer one of their key
	Expired    uint64
	Evicted    uint64 // to keep to a limit
	TooLarge   uint64 // not retained
	BodiesLost uint64 // payloads and results that could not be read
}

// Tried counts what has to do with retries by the server.
type Tried struct {
	Retries   uint64 // attempts that are followed by another one after a delay
	Failures  uint64 // of these, those that ended by WORK_FAIL or WORK_EXCEPTION
	LateTaken uint64 // jobs ended by the result of an attempt that was over
}

// Refused counts submissions and CAN_DOs answered with ERROR, by reason.
type Refused struct {
	Functions, Jobs, FunctionJobs, Clients, Handles, Abilities, Unique uint64 // over that limit
	FunctionName                                                       uint64 // too long or empty
	Memory, MaxQueue, Conflict, Option                                 uint64
	Store                                                              uint64 // [NotCommitted]
	NotFound                                                           uint64 // nothing to attach to
}

// Levels is how much there is now.
type Levels struct {
	Functions, Connections, Workers, Asleep int
	Queued, Scheduled, Running, DeadLetters int
	Pending                                 int // jobs that wait to be stored

	Results     int   // retained
	ResultBytes int64 // of these, wherever they are

	Bytes int64 // of memory, see [State.Bytes]
}

// Functions lists the functions by name. The state must not change while it is iterated; that goes
// for all listings.
func (s *State) Functions() iter.Seq[FunctionInfo] {
	return func(yield func(FunctionInfo) bool) {
		for _, name := range slices.Sorted(maps.Keys(s.functions)) {
			if !yield(s.functionInfo(s.functions[name])) {
				return
			}
		}
	}
}

// Function is one function, if it is known.
func (s *State) Function(name string) (FunctionInfo, bool) {
	f := s.functions[name]
	if f == nil {
		return FunctionInfo{}, false
	}
	return s.functionInfo(f), true
}

// Workers lists all connections in the order of their numbers.
func (s *State) Workers() iter.Seq[WorkerInfo] {
	return func(yield func(WorkerInfo) bool) {
		for _, id := range slices.Sorted(maps.Keys(s.peers)) {
			if !yield(workerInfo(s.peers[id])) {
				return
			}
		}
	}
}

// Worker is one connection by its number.
func (s *State) Worker(id Peer) (WorkerInfo, bool) {
	p := s.peer(id)
	if p == nil {
		return WorkerInfo{}, false
	}
	return workerInfo(p), true
}

// Jobs lists all jobs, in no particular order.
func (s *State) Jobs() iter.Seq[JobInfo] {
	return func(yield func(JobInfo) bool) {
		for slot := range s.jobs.all() {
			if !yield(s.jobInfo(s.jobs.at(slot))) {
				return
			}
		}
	}
}

// JobsFrom is a part of that list, so that nobody need hold the state for all of it: the jobs from
// place on, each with its place. A list begins at place 0 and goes on behind the last place it has
// seen; jobs that live all the while are in it exactly once.
func (s *State) JobsFrom(place uint32) iter.Seq2[uint32, JobInfo] {
	return func(yield func(uint32, JobInfo) bool) {
		for slot := range s.jobs.from(place) {
			if !yield(slot, s.jobInfo(s.jobs.at(slot))) {
				return
			}
		}
	}
}

// FunctionNames are the names of all functions, in no particular order.
func (s *State) FunctionNames() []string { return slices.Collect(maps.Keys(s.functions)) }

// Peers are the numbers of all connections, in no particular order.
func (s *State) Peers() []Peer { return slices.Collect(maps.Keys(s.peers)) }

// Job is one job by its bare handle.
func (s *State) Job(handle string) (JobInfo, bool) {
	slot := s.findHandle([]byte(handle))
	if slot == 0 {
		return JobInfo{}, false
	}
	return s.jobInfo(s.jobs.at(slot)), true
}

// Counters is a copy of the counters.
func (s *State) Counters() Counters { return s.counters }

// Conflicts is that counter alone.
func (s *State) Conflicts() uint64 { return s.counters.Conflicts }

// Levels counts what there is. It looks at every function and connection, but at no job.
func (s *State) Levels() Levels {
	l := Levels{Functions: len(s.functions), Connections: len(s.peers), DeadLetters: len(s.dead), Results: s.results.n, ResultBytes: s.resultSize, Bytes: s.Bytes()}
	for _, f := range s.functions {
		l.Queued += f.ready()
		l.Scheduled += f.deferred()
		l.Pending += f.waiting() - f.ready() - f.deferred()
		l.Running += f.taken()
	}
	for _, p := range s.peers {
		if p.abilities.n > 0 {
			l.Workers++
		}
		if p.asleep {
			l.Asleep++
		}
	}
	return l
}

func (s *State) functionInfo(f *function) FunctionInfo {
	info := FunctionInfo{
		Name:      string(f.name),
		Scheduled: f.deferred(),
		Pending:   f.waiting() - f.ready() - f.deferred(),
		Running:   f.taken(),
		Workers:   f.workers,
		Paused:    f.paused,
		Results:   f.results,
		MaxQueue:  f.maxQueue,
	}
	for i := range f.queues {
		info.Queued[i] = f.queues[i].n
	}
	return info
}

func workerInfo(p *peer) WorkerInfo {
	info := WorkerInfo{Peer: p.id, Address: p.address, ID: p.name, Asleep: p.asleep, Running: p.running}
	for a := p.abilities.first; a != nil; a = a.links[ownerLink].next {
		info.Functions = append(info.Functions, string(a.function.name))
	}
	return info
}

func (s *State) jobInfo(j *job) JobInfo {
	info := JobInfo{
		Handle:     s.cfg.HandlePrefix + strconv.FormatUint(j.serial, 10),
		Function:   string(s.functionSlab.at(j.function).name),
		Unique:     string(s.unique(j)),
		State:      j.state,
		Priority:   j.priority,
		Background: j.background,
		Stored:     j.record != 0,
		Attempts:   int(j.attempts),
		Clients:    int(j.clients),
		Size:       int(j.payloadLen),
	}
	if o := s.options(j); o != nil {
		info.Run, info.Stage = o.Run, o.Stage
	}
	switch j.state {
	case Scheduled:
		info.RunAt, info.Retrying = time.Unix(0, s.dueAt(j)), j.retrying
	case Running:
		a := s.attempts.at(j.attempt)
		numerator, denominator := s.lastStatus(j)
		info.Worker, info.Started = a.worker.id, a.startedAt()
		info.Numerator, info.Denominator = string(numerator), string(denominator)
	}
	return info
}
