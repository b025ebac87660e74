package load

import "github.com/geartrain/geartrain/gearman/protocol"

// floodScenario is a queue that fills while nobody works, and is then emptied.
type floodScenario struct{}

func (floodScenario) Name() string { return "flood" }

func (floodScenario) About() string {
	return "background jobs are queued without a worker, then workers drain them"
}

func (floodScenario) complete(c Config) (Config, error) {
	d := Config{Jobs: 200_000, Clients: 4, Window: 1000, Workers: 8, Size: 64}
	if c.Brief {
		d.Jobs = 20_000
	}
	return c.or(d), nil
}

func (f floodScenario) run(r *rig, report *Report) error {
	clients, err := r.connectClients(protocol.SubmitJobBg)
	if err != nil {
		return err
	}
	if err := f.fill(r, report, clients); err != nil {
		return err
	}
	workers, err := r.connectWorkers()
	if err != nil {
		return err
	}
	if err := f.drain(r, report, workers); err != nil {
		return err
	}
	if err := r.settle(clients, workers); err != nil {
		return err
	}
	return r.ledger.verify(1)
}

// fill submits all jobs.
func (floodScenario) fill(r *rig, report *Report, clients []*client) error {
	before := r.server.memory()
	s, err := r.measure(func() error { return r.drive(clients) })
	if err != nil {
		return err
	}
	report.fill(s, clients)
	if r.server != 0 {
		report.detail("memory_bytes_per_job", share(float64(r.server.memory()-before), report.Jobs))
	}
	return nil
}

// drain lets the workers in, until they have seen all jobs.
func (floodScenario) drain(r *rig, report *Report, workers []*worker) error {
	s, err := r.measure(func() error {
		r.serve(workers)
		return r.executed.await(r.ctx, report.Jobs)
	})
	if err != nil {
		return err
	}
	report.detail("drained_per_second", rate(report.Jobs, s.elapsed))
	if r.server != 0 {
		report.detail("drain_cpu_s_per_million", share(1e6*s.cpu.Seconds(), report.Jobs))
	}
	return nil
}
