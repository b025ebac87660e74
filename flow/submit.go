package flow

import (
	"context"

	"github.com/geartrain/geartrain/gearman"
)

// submitter opens task sets. It is a client of a job server; in tests it can be less.
type submitter interface {
	// open returns an empty set. Its tasks fail when ctx ends, with the context's cause. No more than
	// limit of them are unanswered at once, those aside that wait for a retry. Those that find a queue full
	// wait for room in it.
	open(ctx context.Context, limit int) taskSet
}

// taskSet is what a stage needs of a [gearman.TaskSet]: the work starts at add, one of OnComplete and
// OnFail is called for each task, and no two callbacks run at the same time.
type taskSet interface {
	add(t gearman.Task) // waits while the limit is reached; never called from a callback
	wait()              // until all tasks have ended and no callback runs
}

// clientSubmitter is a submitter in earnest.
type clientSubmitter struct{ client *gearman.Client }

func (c clientSubmitter) open(ctx context.Context, limit int) taskSet {
	set := c.client.NewTaskSet(ctx)
	set.SetLimit(limit)
	set.AwaitRoom()
	return clientSet{set}
}

type clientSet struct{ set *gearman.TaskSet }

func (c clientSet) add(t gearman.Task) { c.set.Add(t) }

// wait leaves the set's error out: each failure in it has come to a task's OnFail.
func (c clientSet) wait() { _ = c.set.Wait() }
