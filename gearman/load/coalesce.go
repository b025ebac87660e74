package load

import (
	"context"
	"fmt"
	"time"

	"github.com/geartrain/geartrain/gearman/protocol"
)

// coalesceScenario is a stampede: everybody wants the same, and it must be done once.
type coalesceScenario struct{}

// coalesceTime is how long the job takes at least. It ends only after all clients have joined it, so
// that a second execution is never the fault of slow clients.
const coalesceTime = 10 * time.Millisecond

func (coalesceScenario) Name() string { return "coalesce" }

func (coalesceScenario) About() string {
	return "all clients submit one function and key at once, round by round; the job takes 10 ms"
}

func (coalesceScenario) complete(c Config) (Config, error) {
	if c.Window > 1 {
		return c, fmt.Errorf("%w: coalesce has no window, each client waits for one job", ErrConfig)
	}
	d := Config{Jobs: 20, Clients: 1000, Window: 1, Workers: 1, Size: 64}
	if c.Brief {
		d.Jobs, d.Clients = 5, 100
	}
	return c.or(d), nil
}

func (s coalesceScenario) run(r *rig, report *Report) error {
	r.hold = func(job int) error { return s.hold(r, job) }
	workers, err := r.startWorkers()
	if err != nil {
		return err
	}
	clients, err := r.connectClients(protocol.SubmitJob)
	if err != nil {
		return err
	}
	var rounds histogram
	span, err := r.measure(func() error { return s.rounds(r, clients, &rounds) })
	if err != nil {
		return err
	}
	report.fill(span, clients)
	report.detail("round_ms", milliseconds(rounds.quantile(0.5)))
	if err := r.settle(clients, workers); err != nil {
		return err
	}
	report.detail("executions_per_round", share(float64(r.executed.get()), r.ledger.submitted()))
	return r.ledger.verify(len(clients))
}

// hold is the job's work: until every client of its round, the latest one, has joined.
func (coalesceScenario) hold(r *rig, job int) error {
	select {
	case <-time.After(coalesceTime):
	case <-r.ctx.Done():
		return context.Cause(r.ctx)
	}
	return r.created.await(r.ctx, (job+1)*r.cfg.Clients)
}

func (coalesceScenario) rounds(r *rig, clients []*client, rounds *histogram) error {
	for end := r.now() + r.cfg.Duration; r.cfg.Duration == 0 || r.now() < end; {
		job, ok := r.ledger.take()
		if !ok {
			return nil
		}
		start := r.now()
		err := r.each(clients, func(c *client) error {
			c.now = r.now()
			if err := c.submit(job); err != nil {
				return err
			}
			return c.finish()
		})
		if err != nil {
			return err
		}
		rounds.add(r.now() - start)
	}
	return nil
}
