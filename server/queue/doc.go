// Package queue is what a Gearman job server is, as a pure state machine: events go in, effects come
// out. It does no I/O, reads no clock and starts no goroutine. Whoever owns the [State] calls
// [State.Apply] with what happened and when, and carries out the effects, which are packets for
// peers. The same events always give the same effects.
//
// # The life of a job
//
//	            SUBMIT_JOB            GRAB_JOB              WORK_COMPLETE, _FAIL, _EXCEPTION
//	(nothing) ─────────────► queued ────────────► running ──────────────────────────► (gone)
//	    │                    ▲ ▲  │                │ │ │                           or a result
//	    │ with a time        │ │  │                │ │ │ worker lost, timeout: to the head
//	    ▼          time has  │ │  └────────────────│─│─│─────────► (gone)
//	scheduled ───────────────┘ └───────────────────┘ │ │  last client left, cancelled
//	    ▲          come                              │ │
//	    └────────────────────────────────────────────┘ └─ after the last attempt: WORK_FAIL, and
//	        failed, lost or timed out under a              a background job becomes a dead letter
//	        rule for retries: after a delay
//
// A job has a serial, the number in its handle, which is never used again. Submissions with its
// (function, key) join it as long as it lives. Joining makes nothing weaker: the job takes the higher
// priority and the earlier time, and one background submission keeps it whoever leaves. A foreground
// job that nobody waits for any more is removed at once, unless it runs.
//
// # After the end
//
// If the function's [Policy] or the task says so, what WORK_COMPLETE brought is kept under the key for a
// while, and answers submissions of that key at once; retain.go has the picture of its life. A failure is
// never kept. A job that comes to nothing is tried again if there is a rule for it, see retry.go; without
// one it fails as it does with gearmand, and only a lost worker or a timeout gives it another attempt.
//
// # Durability
//
// With [Config].Durable a background job is in the store from before its JOB_CREATED to its end; a
// foreground job never is, unless a background submission joins it. The queue does not write: an event
// asks for operations, see [State.Ops], and what must not be said before one of them is done carries its
// number, see [Effect]. What became of them is told by [Committed] and [NotCommitted]; durable.go has the
// picture. Retained results and dead letters are records too. A job whose record is on its way is
// pending: it has its key but nobody can have it, so that what is refused never runs. A worker that
// reports an end is told nothing more before that end is stored. After a restart
// [State.Restore] takes the records; what was running is queued again, with the attempts that had been lost
// before, and the order is that of the numbers. Only an attempt that was going on when the process was
// killed is not counted: that would be a write for each assignment. Payloads over [Config].KeepBody are not kept
// in memory once they are stored; a digest of them is.
//
// # Attempts
//
// Each assignment is an attempt with a number. Only the worker of the current attempt can say
// anything about a job; what others say is counted and dropped. Only a peer that never had a job
// is answered, with ERROR JOB_NOT_FOUND, as gearmand's own tests want it. If the task asked for it, the
// result of an attempt that has timed out is taken as long as the job has no other. A worker that
// asked for it gets the number with the handle. To the others an attempt is known by connection and
// handle alone; so a connection whose attempt timed out is not given that very job again until it has
// reported the end of the old attempt, or is a new connection.
//
// # Who gets which job
//
// Priorities are global: a worker gets a job of high priority of any of its functions before any of
// normal priority. Among functions of one priority it goes round; within (function, priority) the
// first one in is the first one out, and a job whose attempt was lost goes to the head. How this is
// found without looking at every function of a worker or every worker of a function is told at the
// type ability; how no wake-up gets lost, in wake.go.
//
// # Memory
//
// A queued job of 64 bytes costs about 205 bytes: 88 for itself, text for its key and payload, and 28
// for two indexes. One of any size whose payload is in the store costs about 190, and a retained result as
// much. What only some jobs have, a record or options, lies elsewhere. Jobs, texts and indexes are pages
// of plain numbers that the garbage collector does not look into, and a page is given back when its last
// entry is. Bodies over 1 KiB
// have memory of their own, which goes from the submission to the assignment without a copy if it
// was given to the queue.
package queue
