package load

import (
	"fmt"

	"github.com/geartrain/geartrain/gearman/protocol"
)

// tasksetScenario is a task set and its barrier: everything is submitted at once while results
// already stream back.
type tasksetScenario struct{}

// writeSize is how many bytes of submissions go into one write.
const writeSize = 64 << 10

func (tasksetScenario) Name() string { return "taskset" }

func (tasksetScenario) About() string {
	return "one connection submits all jobs without waiting, results stream back until the barrier"
}

func (tasksetScenario) complete(c Config) (Config, error) {
	if c.Clients > 1 || c.Window > 0 || c.Duration > 0 {
		return c, fmt.Errorf("%w: taskset has one client, no window and no duration: it submits all jobs at once", ErrConfig)
	}
	d := Config{Jobs: 100_000, Clients: 1, Workers: 8, Size: 64}
	if c.Brief {
		d.Jobs = 10_000
	}
	c = c.or(d)
	c.Window = c.Jobs
	return c, nil
}

func (s tasksetScenario) run(r *rig, report *Report) error {
	workers, err := r.startWorkers()
	if err != nil {
		return err
	}
	clients, err := r.connectClients(protocol.SubmitJob)
	if err != nil {
		return err
	}
	for range r.cfg.Jobs {
		r.ledger.take()
	}
	span, err := r.measure(func() error {
		return r.each(clients, func(c *client) error { return s.submitAll(r, c) })
	})
	if err != nil {
		return err
	}
	report.fill(span, clients)
	report.detail("barrier_ms", milliseconds(span.elapsed))
	if err := r.settle(clients, workers); err != nil {
		return err
	}
	return r.ledger.verify(1)
}

// submitAll writes in one goroutine and reads in another, as a task set does.
func (s tasksetScenario) submitAll(r *rig, c *client) error {
	c.now = r.now()
	r.group.Go(func() { r.fail(s.pour(r, newPeer(c.name, c.conn, r.cfg.Size))) })
	for job := range r.cfg.Jobs {
		c.expect(job)
	}
	return c.finish()
}

// pour writes all submissions.
func (tasksetScenario) pour(r *rig, p *peer) error {
	for job := range r.cfg.Jobs {
		if err := r.submit(p, protocol.SubmitJob, job); err != nil {
			return err
		}
		if len(p.out) >= writeSize {
			if err := p.flush(); err != nil {
				return err
			}
		}
	}
	return p.flush()
}
