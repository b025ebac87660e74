// Package gearman asks for work and does it: clients, task sets and workers for Gearman job servers.
// It speaks to the server of this module and to a stock gearmand alike.
//
// A task is a request for work as its client sees it; a job is the same as the server and a worker see
// it. The key, Gearman's unique id, makes tasks one: while a job is queued or running, every task with
// its function and key joins it.
//
// # The way of a job
//
//	TaskSet.Add ──SUBMIT_JOB──► server ──JOB_ASSIGN──► Worker ──► handler
//	     ▲                        │  ▲                                │
//	     └──── OnComplete ◄───────┘  └────────── WORK_COMPLETE ◄──────┘
//
// Work starts at Add. Wait is the barrier: it returns when every task of the set has ended.
//
//	set := client.NewTaskSet(ctx)
//	for _, url := range urls {
//		set.Add(gearman.Task{Function: "fetch", Payload: []byte(url), OnComplete: save})
//	}
//	err := set.Wait()
//
// A [Func] is the typed form: a function's name with what goes in and what comes out, declared once
// and imported by who asks and who works.
//
// # The life of a task
//
//	Add ──► submitted ──► OnCreated ──► OnData, OnWarning, OnStatus ... ──► OnComplete
//	            ▲             │
//	            │             ├── no attempt left ──► OnFail
//	            └── OnRetry ◄─┘ failed, timed out or refused
//
// [TaskSet.Attach] adds a task that joins or takes what is there and never makes a job; [Client.Find]
// looks and [Client.Cancel] ends one. With a server of this module results can be kept, so that all
// of that holds after the end of a job too: see [Task].
//
// Each task ends once, with its result or with a [TaskError]. A lost connection is no end: the task
// is submitted again, under its key, as soon as a server can be reached, and joins its job if that is
// still there. So work is done at least once; a handler that must not do it twice looks at the key.
package gearman
