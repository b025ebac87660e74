// Package load puts a measured load on any Gearman job server and checks every answer. It speaks the
// wire itself, over gearman/protocol, so that what it measures is the server and not a client library.
//
// # A measurement
//
//	connect workers ──► all asleep ──► clients submit, workers echo ──► settle ──► verify ──► Report
//	    each connection is                the span that is timed          │
//	    tried with ECHO_REQ                                               ├ each client: ECHO_REQ, and nothing may come before its answer
//	                                                                      └ each worker: the same, then asleep again
//
// What is checked, and ends a measurement with a [CheckError]: each payload arrives at its worker, and
// each result at its client, as it was sent; a result carries the handle of its own job; a worker is
// given the handle that the job's clients were given, and no two jobs share one; each job is executed
// once and answered once to every client that asked; nothing comes after the end; no ERROR, no
// WORK_FAIL, no packet that has no place there.
//
// # The parts
//
//	Scenario ──► rig ──┬── client, worker: one goroutine and one peer (a connection) each
//	                   ├── ledger: what became of each job
//	                   └── payloads: how a job's payload is made and recognised
//
// A worker asks again in the write that carries its result, as a good worker library does. Each
// measurement uses a function of its own, with a random name. One that is broken off may leave queued
// jobs of that name in the server.
package load
