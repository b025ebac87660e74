package queue

// JobState is where a job is in its life; doc.go has the picture.
type JobState uint8

const (
	Scheduled JobState = iota + 1 // waits for its time
	Queued                        // waits for a worker
	Running                       // a worker has it
	Pending                       // waits for its record to be stored; nobody can have it yet
)

// String is the state in lower case.
func (s JobState) String() string {
	switch s {
	case Scheduled:
		return "scheduled"
	case Queued:
		return "queued"
	case Running:
		return "running"
	case Pending:
		return "pending"
	}
	return "none"
}

// keyKind is what a job's key is.
type keyKind uint8

const (
	noKey      keyKind = iota // nothing joins it
	uniqueKey                 // its unique id
	payloadKey                // its payload: the unique id is "-"
)

// job is one job of any state. It holds no pointers, so that a million of them cost the collector
// nothing: everything is a slot in some slab.
type job struct {
	serial     uint64 // the number in its handle
	since      int64  // when it came into its state, nanoseconds after epoch
	next, prev uint32 // its neighbours in its queue
	hash       uint32 // of its key
	function   uint32
	text       ref // unique, reducer and, if it is short, payload
	body       ref // payload, if it is not
	payloadLen uint32
	uniqueLen  uint16
	reducerLen uint16
	first      uint32 // attached clients: seats, in the order of their coming
	last       uint32
	clients    uint32
	attempt    uint32 // while it is running
	attempts   uint32 // how often it was handed out
	timer      uint32 // 1 + its place among the timers, 0: none
	record     uint32 // if it is in the store, or on its way there
	task       uint32 // if its client said more than the old packets can
	priority   Priority
	state      JobState
	key        keyKind
	background bool
	joining    bool // a foreground job that is a background one once its record is stored
	away       bool // its payload is only in the store
	retrying   bool // it is scheduled because an attempt came to nothing
}

// wanted says that the job has somebody to run for.
func (j *job) wanted() bool { return j.background || j.joining || j.clients > 0 }

// textBytes is the size of everything that the submission brought and is at hand.
func (j *job) textBytes() int64 {
	n := int64(j.uniqueLen) + int64(j.reducerLen)
	if !j.away {
		n += int64(j.payloadLen)
	}
	return n
}

// attempt is one assignment of a job: who has it, and what was said about it.
type attempt struct {
	job        uint32
	number     uint32
	worker     *peer
	next, prev uint32 // among its worker's
	started    int64  // unix nanoseconds
	status     ref    // the last WORK_STATUS: numerator and denominator
	numerator  uint8  // their lengths
	denom      uint8
	numbered   bool // the handle was assigned with the attempt's number
}

// seat is one client's attachment to one job. A client that asked twice has two.
type seat struct {
	job, client          uint32
	nextOfJob, prevOfJob uint32
	next, prev           uint32 // among its client's
}

// queue is the ready jobs of one function and priority, linked through the jobs.
type queue struct {
	first, last uint32
	n           int
}

func (q *queue) pushBack(jobs *slab[job], slot uint32) {
	j := jobs.at(slot)
	j.next, j.prev = 0, q.last
	if q.last == 0 {
		q.first = slot
	} else {
		jobs.at(q.last).next = slot
	}
	q.last = slot
	q.n++
}

func (q *queue) pushFront(jobs *slab[job], slot uint32) {
	j := jobs.at(slot)
	j.next, j.prev = q.first, 0
	if q.first == 0 {
		q.last = slot
	} else {
		jobs.at(q.first).prev = slot
	}
	q.first = slot
	q.n++
}

func (q *queue) remove(jobs *slab[job], slot uint32) {
	j := jobs.at(slot)
	if j.prev == 0 {
		q.first = j.next
	} else {
		jobs.at(j.prev).next = j.next
	}
	if j.next == 0 {
		q.last = j.prev
	} else {
		jobs.at(j.next).prev = j.prev
	}
	j.next, j.prev = 0, 0
	q.n--
}
