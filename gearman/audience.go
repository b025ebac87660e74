package gearman

import "slices"

// audience is the submissions that wait for one job on one link, in their order. The server sends
// each report, and the end, once for each of them, so everyone gets what is sent in turn.
type audience struct {
	handle   string
	waiting  []*submission
	turn     int            // who gets the next report
	excepted bool           // a WORK_EXCEPTION came
	ending   *ending        // how it ended, while there are submissions that were not told
	first    [1]*submission // memory for the usual case
}

func newAudience(handle string) *audience {
	a := &audience{handle: handle}
	a.waiting = a.first[:0]
	return a
}

// join adds a submission. The server does not mix its JOB_CREATED with reports that it sends to all.
func (a *audience) join(sub *submission) {
	a.waiting = append(a.waiting, sub)
	a.turn = 0
}

// next is whose turn it is to get a report.
func (a *audience) next() *submission {
	sub := a.waiting[a.turn]
	a.turn = (a.turn + 1) % len(a.waiting)
	return sub
}

// leave takes out the submission that is told the end.
func (a *audience) leave() *submission {
	sub := a.waiting[0]
	a.waiting = a.waiting[1:]
	a.turn = 0
	return sub
}

// remove takes out the submissions of a task that nobody wants told any more, and says how many those were:
// more than one if it was tried again.
func (a *audience) remove(p *pending) int {
	before := len(a.waiting)
	a.waiting = slices.DeleteFunc(a.waiting, func(sub *submission) bool { return sub.task == p })
	a.turn = 0
	return before - len(a.waiting)
}
