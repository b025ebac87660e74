// Package flow is pipelines of task sets: written in Go here, or in YAML (package form), both
// become one [Plan], and a [Runner] runs it on Gearman job servers.
//
// # A stage is a task set
//
// Its jobs start as they are added, and it has ended when its input has ended and all its jobs have.
// Between stages there is a barrier, unless an edge is streamed:
//
//	            barrier (the default)              stream
//	a: ████████                            a: ████████
//	b:         │██████                     b:    ███████
//	c:                │███                 c:           │███  (needs both: a barrier again)
//
// The barrier is a counter with one owner; it opens once, whatever way the jobs end. A stage may feed
// itself ([Recurse], discover): it has ended when nothing is queued or running.
//
// # The life of a job
//
//	item ──► arguments, key ──► [rate] ──► submitted ──► result ──► kept, passed on
//	                              │            │  ▲
//	                              │            │  └ again, with the same key: joins it if it may still run
//	                              └ dropped    └──► failed ──► counted against the budget
//
// The key comes from function, version, scope and arguments ([KeyParts]). So a job that is tried again,
// or whose run is started again, is the same job and not a second one. Equal items of one stage are one
// job, and each gets the result.
//
// # Results
//
// A result is text, without its final line end; [Encoding] says how else it is read. Results are bytes
// on their way from stage to stage, decoded only where an expression looks at them. They are kept in a
// temporary file beyond a small size and read from there in order, so a run over millions of items takes
// the memory of its window: [Runner].Window jobs for each stage.
//
// Results are in the order of the input, also in a stage that takes its items as they arrive: a streamed
// pipeline gives the same as one with barriers.
//
// What must be in memory as a whole is bounded: a list that an expression asks for, and a list that is
// made into one job, are errors over 64 MiB, which [Batch] cures.
//
// # Ends
//
// A stage or a run ends in one of the ways of [Status]. Then its [Hooks] are done: commands in the runner's
// own process, which need no server, or jobs. They do not hold up other stages, and one that fails makes
// the run fail.
//
// # Reading order
//
// dsl.go and options.go are the Go form, plan.go is what it and the YAML form become.
// run.go is the life of a run, stage.go that of a stage; intake.go adds its jobs, answers.go takes what
// becomes of them, order.go keeps their order, hooks.go is what is done at the end. commands.go is the
// worker's side of run: and functions:.
// sample.go, forecast.go and tape.go are runs of another kind: of a few items, of none, and of jobs that
// were done before.
package flow
