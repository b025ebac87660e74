package flow

import (
	"container/heap"
	"time"

	"golang.org/x/time/rate"
)

// Sizes of gates.
const (
	gateBacklog = 1 << 16               // jobs that may wait in one gate
	gateBurst   = 10 * time.Millisecond // what a rate allows in this time may start at once
	idleGroups  = 1024                  // from so many groups on, those that are idle are forgotten
)

// gate holds jobs back so that no group of them starts faster than its rate. Groups do not wait for
// each other: the queue of each is its own.
//
//	offer ──► queue of the group ──► its turn has come ──► next
//
// The starts of a group are spread evenly; a rate of 5/s is one each 200 ms. A group that has
// nothing to wait for is forgotten. A gate is for one goroutine, and time comes in with the calls.
type gate struct {
	limit  rate.Limit
	burst  int
	groups map[string]*gateGroup
	turns  gateTurns // groups with waiting jobs, the next turn first
	queued int
}

type gateGroup struct {
	name    string
	limiter *rate.Limiter
	queue   []*job
	turn    time.Time // when the first in the queue may start
}

func newGate(r Rate) *gate {
	perSecond := float64(r.Limit) / r.Every.Seconds()
	return &gate{
		limit:  rate.Limit(perSecond),
		burst:  max(1, int(perSecond*gateBurst.Seconds())),
		groups: map[string]*gateGroup{},
	}
}

// full reports whether no more jobs should be offered for now.
func (g *gate) full() bool { return g.queued >= gateBacklog }

// offer puts a job at the end of its group's queue.
func (g *gate) offer(now time.Time, group string, j *job) {
	q := g.groups[group]
	if q == nil {
		if len(g.groups) >= idleGroups {
			g.forgetIdle(now)
		}
		q = &gateGroup{name: group, limiter: rate.NewLimiter(g.limit, g.burst)}
		g.groups[group] = q
	}
	q.queue = append(q.queue, j)
	g.queued++
	if len(q.queue) == 1 {
		g.schedule(now, q)
	}
}

// next gives the job whose turn has come. Without one it says how long to wait for it; false when no
// job waits at all.
func (g *gate) next(now time.Time) (j *job, wait time.Duration, ok bool) {
	if len(g.turns) == 0 {
		return nil, 0, false
	}
	q := g.turns[0]
	if wait := q.turn.Sub(now); wait > 0 {
		return nil, wait, true
	}
	heap.Pop(&g.turns)
	j = q.queue[0]
	q.queue[0] = nil
	q.queue = q.queue[1:]
	g.queued--
	if len(q.queue) > 0 {
		g.schedule(now, q)
	}
	return j, 0, true
}

// schedule takes the group's next turn from its rate.
func (g *gate) schedule(now time.Time, q *gateGroup) {
	q.turn = now.Add(q.limiter.ReserveN(now, 1).DelayFrom(now))
	heap.Push(&g.turns, q)
}

// forgetIdle drops the groups that a new group of the same name could not be told from.
func (g *gate) forgetIdle(now time.Time) {
	for name, q := range g.groups {
		if len(q.queue) == 0 && q.limiter.TokensAt(now) >= float64(g.burst) {
			delete(g.groups, name)
		}
	}
}

// empty takes out all that wait.
func (g *gate) empty() []*job {
	var all []*job
	for _, q := range g.groups {
		all = append(all, q.queue...)
		q.queue = nil
	}
	g.turns, g.queued = nil, 0
	return all
}

// gateTurns orders groups by turn, for container/heap.
type gateTurns []*gateGroup

func (t gateTurns) Len() int           { return len(t) }
func (t gateTurns) Less(a, b int) bool { return t[a].turn.Before(t[b].turn) }
func (t gateTurns) Swap(a, b int)      { t[a], t[b] = t[b], t[a] }

// Push is for container/heap.
func (t *gateTurns) Push(x any) { *t = append(*t, x.(*gateGroup)) }

// Pop is for container/heap.
func (t *gateTurns) Pop() any {
	last := (*t)[len(*t)-1]
	(*t)[len(*t)-1] = nil
	*t = (*t)[:len(*t)-1]
	return last
}
