package server

import (
	"cmp"
	"context"
	"slices"
	"time"
)

// The memory budget, in eighths of [Config].MaxMemory. What came later in the life of a job is
// refused later, so that work that was accepted can end:
//
//	0 ─────────────────────── 7 ───────────────── 8 ──────────────────── 10
//	  all goes on               new jobs are        large packets are      so are those of
//	                            answered with       not read further       workers with jobs,
//	                            ERROR, slow peers                          and smaller ones
//	                            are closed
const (
	budgetJobs    = 7
	budgetPackets = 8
	budgetResults = 10
)

// slowTime is for how long a peer may owe the reading of something when memory is short.
const slowTime = 250 * time.Millisecond

// resultWaits is how often a worker waits a quarter of slowTime for memory.
const resultWaits = 40

// slowSize is what is worth closing a connection for.
const slowSize = 64 << 10

// over reports whether extra more bytes would be over so many eighths of the budget.
func (l *limits) over(eighths int64, extra int64) bool {
	limit := l.cfg.MaxMemory
	return limit > 0 && l.memory.Load()+l.jobs.Load()+extra > limit/8*eighths
}

// mayReadOn reports whether the budget has room for more of the packet that c sends. A worker that has
// jobs is kept waiting for it, a little, since its results are what gives memory back.
func (c *conn) mayReadOn() bool {
	l := c.server.limits
	if !l.over(budgetPackets, 0) {
		return true
	}
	c.turn.begin()
	worker, _ := c.turn.state.Worker(c.id)
	c.turn.end()
	c.mayWait()
	for range resultWaits {
		if !l.over(budgetResults, 0) {
			return c.charged < progress || worker.Running > 0
		}
		if worker.Running == 0 {
			return false
		}
		select {
		case <-c.server.closed:
			return false
		case <-time.After(slowTime / 4):
		}
	}
	return false
}

// charge tells the budget of d more bytes held for a peer.
func (l *limits) charge(d int) {
	l.memory.Add(int64(d))
	if d > 0 && l.over(budgetJobs, 0) {
		select {
		case l.short <- struct{}{}:
		default: // it is known already
		}
	}
}

// shed closes slow peers whenever the budget is used up, until ctx ends.
func (s *Server) shed(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.limits.short:
		}
		for s.limits.over(budgetJobs, 0) {
			slow := s.backlogs()
			select {
			case <-ctx.Done():
				return
			case <-time.After(slowTime):
			}
			s.closeSlow(slow)
		}
	}
}

// backlog is what one peer has not read.
type backlog struct {
	conn *conn
	size int
}

// backlogs are the peers that would be worth closing now.
func (s *Server) backlogs() []backlog {
	var all []backlog
	for _, c := range s.open() {
		if n := c.out.backlog(); n >= slowSize {
			all = append(all, backlog{c, n})
		}
	}
	return all
}

// closeSlow closes those peers that still have not read what they had not read before, the worst
// first, until there is memory for packets and jobs.
func (s *Server) closeSlow(slow []backlog) {
	for i := range slow {
		slow[i].size = min(slow[i].size, slow[i].conn.out.backlog())
	}
	slices.SortFunc(slow, func(a, b backlog) int { return cmp.Compare(b.size, a.size) })
	for _, b := range slow {
		if b.size < slowSize || !s.limits.over(budgetJobs, 0) {
			return
		}
		b.conn.out.abandon()
	}
}

// backlog is how many bytes wait to be sent.
func (o *outbox) backlog() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.size
}

// abandon ends the connection of a peer that does not read.
func (o *outbox) abandon() {
	o.mu.Lock()
	o.fail(errOverflow)
	o.settle()
	o.mu.Unlock()
	o.conn.Close() // the reader finds out and ends the connection
}
