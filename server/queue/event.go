package queue

import (
	"time"

	"github.com/geartrain/geartrain/gearman/protocol"
	"github.com/geartrain/geartrain/server/store"
)

// Peer is a connection, numbered by the server. Numbers are never used again. The zero Peer is nobody.
type Peer uint64

// Priority of a job; the lower value is served first.
type Priority uint8

const (
	High Priority = iota
	Normal
	Low
)

// Event is something that happened to the queue from outside. The set is closed; every event is a
// pointer to one of the structs below, so that a caller can use its structs again. Byte slices in an
// event belong to the caller and are copied, unless the event says otherwise.
type Event interface{ event() }

// Submit asks for work: every SUBMIT_JOB packet, and SUBMIT_TASK. It is answered with JOB_CREATED or ERROR;
// where a retained result is the answer, WORK_COMPLETE follows at once.
type Submit struct {
	Peer       Peer
	Function   []byte
	Unique     []byte // empty: never coalesced; "-": the payload is the key (unless it is empty)
	Payload    []byte
	Owned      bool // Payload's memory is given to the queue, which keeps it without copying
	Priority   Priority
	Background bool
	RunAt      time.Time // not before; zero: now
	Reducer    []byte    // SUBMIT_REDUCE_JOB; handed through to GRAB_JOB_ALL workers
	NoMemory   bool      // a new job is refused; it can still join one

	// Options are those of SUBMIT_TASK, nil for other packets. Their Background, Priority and At are not
	// looked at: whoever makes the event puts them into its own fields.
	Options *protocol.TaskOptions
}

// CanDo: the worker takes jobs of Function. An assignment of it that has not ended after Timeout is
// taken away; zero: never.
type CanDo struct {
	Peer     Peer
	Function []byte
	Timeout  time.Duration
}

// CantDo: the worker takes no more jobs of Function; those it has stay with it.
type CantDo struct {
	Peer     Peer
	Function []byte
}

// ResetAbilities is CantDo for every function.
type ResetAbilities struct{ Peer Peer }

// PreSleep: the worker wants one NOOP as soon as there may be a job for it.
type PreSleep struct{ Peer Peer }

// Detail is how much of a job the worker wants to be told: which JOB_ASSIGN packet answers.
type Detail uint8

const (
	Plain      Detail = iota // JOB_ASSIGN
	WithUnique               // JOB_ASSIGN_UNIQ
	WithAll                  // JOB_ASSIGN_ALL if the job has a reducer, else JOB_ASSIGN_UNIQ
)

// Grab asks for a job. It is answered with a JOB_ASSIGN packet or NO_JOB. With Later set it is answered
// only if there is a job; else the caller applies it again in a moment, without Later, and before any
// other event of that peer. If a job comes until then, no sleeper is woken for it. See [State.Coming].
type Grab struct {
	Peer   Peer
	Detail Detail
	Later  bool
}

// Report is what a worker says about a job it has. From anyone but the current attempt's owner it is
// dropped and counted; a peer that never had a job hears ERROR JOB_NOT_FOUND.
type Report struct {
	Peer   Peer
	Kind   ReportKind
	Handle []byte
	Data   []byte // of data, warning, complete and exception; WORK_STATUS: the numerator
	Second []byte // WORK_STATUS: the denominator
	Owned  bool   // Data's memory is given away
}

// ReportKind is the kind of a Report.
type ReportKind uint8

const (
	Data ReportKind = iota
	Warning
	Status
	Complete
	Fail
	Exception
)

// GetStatus asks how far the job with a handle is; answered with STATUS_RES.
type GetStatus struct {
	Peer   Peer
	Handle []byte
}

// GetStatusUnique asks the same by unique id; answered with STATUS_RES_UNIQUE.
type GetStatusUnique struct {
	Peer   Peer
	Unique []byte
}

// SetClientID names the peer for the workers listing.
type SetClientID struct {
	Peer Peer
	ID   []byte
}

// SetOption turns on one of the protocol's options for the peer; answered with OPTION_RES, or ERROR
// UNKNOWN_OPTION.
type SetOption struct {
	Peer   Peer
	Option []byte
}

// Join: a connection was accepted. It is the first event of its peer. Address is for listings.
type Join struct {
	Peer    Peer
	Address string
}

// Leave: a connection is gone. It is the last event of its peer.
type Leave struct{ Peer Peer }

// Tick: time has passed. The queue asks for it with [State.NextDeadline].
type Tick struct{}

// CancelJob ends a job by its handle, whoever waits for it: queued ones vanish, a running one is
// taken from its worker, and clients get WORK_FAIL. Peer, if it is somebody, gets CANCEL_RES.
type CancelJob struct {
	Peer   Peer
	Handle []byte
}

// CancelKey is CancelJob by the key of the job.
type CancelKey struct {
	Peer          Peer
	Function, Key []byte
}

// LeaveJob takes back one submission of a client for a job. A job that nobody wants any more ends as by
// CancelJob.
type LeaveJob struct {
	Peer   Peer
	Handle []byte
}

// AttachJob asks for the end of the job with a key, and never makes one. It is answered like Submit; if
// there is neither a job nor a retained result, with ERROR JOB_NOT_FOUND.
type AttachJob struct {
	Peer          Peer
	Function, Key []byte
}

// FindJob asks for the state of a key; answered with FIND_RES.
type FindJob struct {
	Peer          Peer
	Function, Key []byte
}

// PauseFunction lets no job of a function be handed out until it is resumed. Submissions are taken. A
// restart resumes it.
type PauseFunction struct{ Function []byte }

// ResumeFunction undoes PauseFunction.
type ResumeFunction struct{ Function []byte }

// SetMaxQueue limits a function's jobs per priority, those that run included; zero or less: no limit. It holds also
// when the function does not exist yet.
type SetMaxQueue struct {
	Function []byte
	Max      [3]int // by Priority
}

// CreateFunction makes a function known to listings before anyone uses it.
type CreateFunction struct{ Function []byte }

// DropFunction forgets a function that has no workers, with all its queued jobs; their clients get
// WORK_FAIL. It stays while it has workers or running jobs; see [State.Function].
type DropFunction struct{ Function []byte }

func (*Submit) event()          {}
func (*CanDo) event()           {}
func (*CantDo) event()          {}
func (*ResetAbilities) event()  {}
func (*PreSleep) event()        {}
func (*Grab) event()            {}
func (*Report) event()          {}
func (*GetStatus) event()       {}
func (*GetStatusUnique) event() {}
func (*SetClientID) event()     {}
func (*SetOption) event()       {}
func (*Join) event()            {}
func (*Leave) event()           {}
func (*Tick) event()            {}
func (*CancelJob) event()       {}
func (*CancelKey) event()       {}
func (*LeaveJob) event()        {}
func (*AttachJob) event()       {}
func (*FindJob) event()         {}
func (*PauseFunction) event()   {}
func (*ResumeFunction) event()  {}
func (*SetMaxQueue) event()     {}
func (*CreateFunction) event()  {}
func (*DropFunction) event()    {}

// RetryDead makes a dead letter a queued job again, under a new handle and with no attempts behind
// it. If its key is in use it stays. If the payload is in the store, Payload brings it.
type RetryDead struct{ Handle, Payload []byte }

// DropDead forgets a dead letter.
type DropDead struct{ Handle []byte }

func (*RetryDead) event() {}
func (*DropDead) event()  {}

// Committed: all operations up to Seq are on stable storage.
type Committed struct{ Seq uint64 }

// NotCommitted: the refusable operations among First to Last are not stored and never will be. The
// others of them will be. Operations before First are stored.
type NotCommitted struct {
	First, Last uint64
	Full        bool // for want of space; else the store has failed for good
}

// BodyLost: the body of a record that an effect asked for cannot be read. A job is set aside as a dead
// letter without a payload, with WORK_FAIL to its clients; a retained result is forgotten. The first
// effect is what Peer gets in place of the packet: NO_JOB, or WORK_FAIL for a result.
type BodyLost struct {
	Peer   Peer
	ID     store.ID
	Result bool // the packet was WORK_COMPLETE
}

func (*Committed) event()    {}
func (*NotCommitted) event() {}
func (*BodyLost) event()     {}
