package queue

// Config is how a queue behaves. The zero value works: nothing is limited.
type Config struct {
	// HandlePrefix stands before the number in every handle, as in "H:host:17". It is cut so that a
	// handle has at most 63 bytes. Default: "H:geartrain:".
	HandlePrefix string

	// JobRetries is how often a job is handed out at most. When the last of these attempts is lost
	// or times out, its clients get WORK_FAIL, and a background job becomes a dead letter. Zero or
	// less: no limit. A job with a rule for retries follows that instead.
	JobRetries int

	// WakeUp is how many sleeping workers a job wakes. Zero or less: 1.
	WakeUp int

	// DeadLetters is how many dead letters are kept; the oldest goes when one more comes. Zero:
	// 1000. Less than zero: none.
	DeadLetters int

	// DeadLetterBytes is how many bytes of them are kept: payloads and all. The oldest go when one
	// more would exceed it, and a dead letter that is larger is not kept. Zero: 64 MiB. Less than
	// zero: no limit.
	DeadLetterBytes int

	// Durable says that what [State.Ops] asks for is stored, and answered with [Committed] or
	// [NotCommitted]. Without it nothing is asked for.
	Durable bool

	// KeepBody is the longest payload or result that is kept in memory although it is in the store.
	// Zero: 256. Less than zero: none.
	KeepBody int

	// FirstSerial is the number of the first job, if no restored one is higher. A server gives the
	// microseconds of its clock, so that handles of two lives never meet. Zero: 1.
	FirstSerial uint64

	// Payloads is told where the memory of payloads goes that the queue keeps without copying. It is
	// called within [State.Apply]. Nil: nobody is.
	Payloads Payloads

	// Seed is where the jitter of delays comes from.
	Seed uint64

	// Exceptions makes every client get WORK_EXCEPTION, as if it had asked for the option.
	Exceptions bool

	// Policies say what holds for functions by name; the earlier ones go first.
	Policies []Policy

	Limits
}

// Payloads follows the memory of owned payloads, so that it can be used again.
type Payloads interface {
	// Keep: the queue refers to the payload from now on, until LetGo.
	Keep(payload []byte)
	// LetGo: it does no longer. Only with again is that true of all to whom it gave the payload but the
	// peers in its effects; without, a dead letter or the store may still have it.
	LetGo(payload []byte, again bool)
}

// Limits bound what peers can make the queue hold. What is over a limit is answered with ERROR and
// counted. Zero: no limit.
type Limits struct {
	MaxFunctions    int // functions known at a time
	MaxJobs         int // jobs in all
	MaxFunctionJobs int // jobs of one function
	MaxClients      int // attached clients of one job
	MaxHandles      int // jobs that one connection waits for
	MaxAbilities    int // functions of one worker
	MaxFunctionName int // bytes
	MaxUnique       int // bytes

	MaxResults     int   // retained results; the first to expire makes room
	MaxResultBytes int64 // of all retained results
	MaxResult      int   // bytes of one; a larger one is not retained
}

const (
	defaultPrefix      = "H:geartrain:"
	maxPrefix          = 63 - 20 // a handle without its longest number
	defaultDeadLetters = 1000
	defaultDeadBytes   = 64 << 20
	defaultKeepBody    = 256
	maxStored          = 1<<16 - 1 // bytes of a name in a record
)
