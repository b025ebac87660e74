// Package sim is a simulation of a whole site around the job server, for tests only: many clients and
// workers, good and bad ones, whose packets, delays, deaths and mistakes are drawn from one seed. It
// has no code outside its tests.
//
//	clients ──┐  lanes: in order,   ┌─────────────┐ what went in and out,   ┌───────┐
//	workers ──┼─────────────────────► system      ├────────────────────────►│ judge │
//	operator ─┘  after random time  │ queue alone │ batch by batch          └───────┘
//	    ▲                           │ or server   │
//	    └───────────────────────────┤ over pipes  │
//	       answers, after some time └─────────────┘
//
// The world of a seed has two phases. In the first one everything happens that may happen. Then the
// faults stop, all that is bad leaves, and some steady workers come, which grab a job only when they
// were sent a NOOP. Within a minute of the simulated time everything that was acknowledged must have
// ended.
//
// The judge knows what the server promises and nothing of how it keeps it. What goes in at the same
// time is a batch: with the queue alone it is one packet, so that the order is known and every rule
// holds to the letter; with the server it is several, which its goroutines take in any order, and the
// judge asks only for what holds in all of them.
//
// # Seeds
//
// GEARTRAIN_SIM_SEEDS=N plays the first N seeds instead of a few, GEARTRAIN_SIM_SEED=S only the seed
// S, or those from S on if both are set. A failure names its seed and shows what happened to the job
// or the peer in question; with -v, a single seed shows everything.
package sim
