// Package server is the Gearman job server around [queue.State]: listeners, connections, the one lock
// under which the queue is moved, the admin text protocol, limits and the graceful end. What a job
// server does with a job is decided in the queue package; here bytes become events and effects
// become bytes.
//
// # The way of a packet
//
//	socket ──Fill──► bytes ──Next──► packets ──┐ turn: the core's lock is taken once for all the
//	                                           │ packets that one read has brought
//	                   packets.go: packet ──► event ──► queue.Apply ──► effects
//	                                           │                           │
//	                                           │     outbox of each peer ◄─┘ encoded at once
//	                                           ▼ the lock is given back
//	                   each touched outbox is flushed once: one write that does not wait;
//	                   what the socket does not take is written when it takes more
//
// A reader never waits for another peer. A peer that does not read fills its own outbox: first it
// loses data, status and warning packets, then its connection.
//
// # The way of what is stored
//
// With [Config].Store a background job is accepted when its record is on stable storage, and a worker
// that hears anything after a result knows that the result is safe:
//
//	turn: Apply ──► operations ───► committer: one batch at a time, of all connections
//	          │                                   │ Commit, without the lock
//	          └──► effects that wait ──► held     ▼
//	               (and all behind them   │    turn: Committed ──► jobs are queued, workers woken
//	               for the same peer)     │       │
//	                                      └───────┴──► outboxes ──► JOB_CREATED, NO_JOB, ...
//
// Without a store, and for foreground jobs whose results are not retained, nothing of this costs
// anything. committer.go has what happens when the store is full or has failed, held.go how a payload
// that is only in the store gets between the packets of its peer, load.go how a server begins.
//
// # The life of a connection
//
//	accept ──► admit ──► Join ──► read, turn, read, turn ... ──► Leave ──► flush ──► close
//	             │                         │        │              ▲
//	             └ over a limit: ERROR     │        └ EOF, timeout, reset
//	               and close               └ a broken stream: ERROR, then the rest is
//	                                         read and thrown away so that it arrives
//
// Where package poll can watch sockets, one goroutine serves all of them in rounds: it reads what is
// ready, takes turns, and then flushes; round.go has the picture. Before a connection waits for
// anything else than its bytes, such as the store, it calls mayWait, and the goroutine hands over the
// rest. Other connections have a goroutine each, which at rest waits in a read. Either way a connection
// at rest has a small buffer and no outbox.
//
// # The life of a server
//
//	New ──► Serve ──► context ends ──► drain ──► close ──► last commit ──► Serve returns nil
//	        │         no new jobs      running foreground jobs
//	        └ load                     are delivered, up to DrainTimeout
//
// [Server.Close] leaves out the middle.
//
// # Memory
//
// What peers make the server hold is bounded in three ways: each single thing by a limit of its own,
// each peer's unread answers by [Config].MaxOutbox, and all of it together by [Config].MaxMemory. At
// that one, what came last goes first: new jobs are refused, then large packets are not read any
// further, and results of running work are the last to be refused; budget.go has the picture.
//
// # Locks
//
// The core's lock guards the queue and what is held for the store, and is the outer one; an outbox's
// lock guards its buffers and is taken inside it. Neither is ever held over I/O. Who has set the
// committer's writing is the only one to call Commit, and owns what belongs to the writer.
package server
