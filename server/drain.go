package server

import (
	"context"
	"time"

	"github.com/geartrain/geartrain/server/queue"
)

// drain is the graceful end under way. All of it is guarded by the core's lock, but idle is only
// closed under it.
type drain struct {
	running []string      // handles of foreground jobs that ran when the drain began; some have ended
	idle    chan struct{} // closed when all of them have
}

// check notices that the last of the running jobs has ended. No job can begin to run any more, so it
// is enough to look at one that still runs. It does nothing on nil.
func (d *drain) check(state *queue.State) {
	if d == nil || d.running == nil {
		return
	}
	for n := len(d.running) - 1; n >= 0; n-- {
		if job, ok := state.Job(d.running[n]); ok && awaited(&job) {
			return
		}
		d.running = d.running[:n]
	}
	d.running = nil
	close(d.idle)
}

// awaited reports whether the graceful end has to wait for a job.
func awaited(j *queue.JobInfo) bool { return j.State == queue.Running && j.Clients > 0 }

// drain takes no new work, and waits until what runs for clients has been delivered, until
// DrainTimeout is over, or until the server is closed.
func (s *Server) drain(ctx context.Context) {
	s.mu.Lock()
	s.phase = draining
	lns := s.listeners
	s.listeners = nil
	s.mu.Unlock()
	closeAll(lns)

	deadline := time.NewTimer(max(s.cfg.DrainTimeout, 0))
	defer deadline.Stop()
	d := s.beginDrain()
	s.cfg.Logger.Info("draining: no new jobs", "reason", context.Cause(ctx), "timeout", s.cfg.DrainTimeout)
	select {
	case <-d.idle:
		s.flushAll()
	case <-deadline.C:
		s.overdue(d)
	case <-s.closed:
	}
}

// overdue tells what the end of the drain costs.
func (s *Server) overdue(d *drain) {
	s.core.mu.Lock()
	n := len(d.running)
	s.core.mu.Unlock()
	if n > 0 {
		s.cfg.Logger.Warn("drain timeout: clients lose the foreground jobs that still run", "jobs_at_most", n)
	}
}

// beginDrain makes the next turn, and every one after it, part of the drain.
func (s *Server) beginDrain() *drain {
	d := &drain{running: []string{}, idle: make(chan struct{})}
	t := turn{core: s.core}
	t.begin()
	for job := range t.state.Jobs() {
		if awaited(&job) {
			d.running = append(d.running, job.Handle)
		}
	}
	t.draining = d
	t.end()
	return d
}

// flushAll waits until the clients have their last results, or a little while.
func (s *Server) flushAll() {
	deadline := time.Now().Add(lastWords)
	for _, c := range s.open() {
		c.waitHeld(time.Until(deadline))
		c.out.wait(time.Until(deadline))
	}
}
