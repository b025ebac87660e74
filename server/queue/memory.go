package queue

// What the parts of the state cost beside the bytes that peers have sent, each with its share of
// slabs, indexes and the rounding up of its text.
const (
	jobBytes      = 144
	recordBytes   = 56
	taskBytes     = 96
	resultBytes   = 160
	seatBytes     = 32
	attemptBytes  = 128
	abilityBytes  = 256
	peerBytes     = 512
	functionBytes = 640
	deadBytes     = 256
	lossBytes     = 128 // one lost attempt of a history
)

// Bytes is about how much memory the state holds: jobs with all they brought, who waits for them and
// who has them, functions, connections and dead letters. It takes no time.
func (s *State) Bytes() int64 {
	return s.textBytes + s.deadBytes + s.resultText +
		int64(s.tasks.n)*taskBytes +
		int64(s.results.n)*resultBytes +
		int64(s.jobs.n)*jobBytes +
		int64(s.records.n)*recordBytes +
		int64(s.seats.n)*seatBytes +
		int64(s.attempts.n)*attemptBytes +
		int64(len(s.abilities))*abilityBytes +
		int64(len(s.peers))*peerBytes +
		int64(len(s.functions))*functionBytes
}

// JobBytes is about how much of [State.Bytes] a new job would take.
func JobBytes(ev *Submit) int64 {
	return jobBytes + seatBytes + int64(len(ev.Unique)+len(ev.Reducer)+len(ev.Payload))
}
