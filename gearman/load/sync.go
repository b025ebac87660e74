package load

import "github.com/geartrain/geartrain/gearman/protocol"

// syncScenario is the everyday load: results are waited for, many at a time.
type syncScenario struct{}

func (syncScenario) Name() string { return "sync" }

func (syncScenario) About() string {
	return "clients keep a window of foreground jobs under way, workers echo them"
}

func (syncScenario) complete(c Config) (Config, error) {
	d := Config{Jobs: 200_000, Clients: 4, Window: 64, Workers: 8, Size: 64}
	if c.Brief {
		d.Jobs = 10_000
	}
	return c.or(d), nil
}

func (syncScenario) run(r *rig, report *Report) error {
	workers, err := r.startWorkers()
	if err != nil {
		return err
	}
	return roundTrips(r, report, workers)
}

// roundTrips is the load that most scenarios share: clients keep a window of jobs under way, workers
// who sleep at first echo them.
func roundTrips(r *rig, report *Report, workers []*worker) error {
	clients, err := r.connectClients(protocol.SubmitJob)
	if err != nil {
		return err
	}
	s, err := r.measure(func() error { return r.drive(clients) })
	if err != nil {
		return err
	}
	report.fill(s, clients)
	if err := r.settle(clients, workers); err != nil {
		return err
	}
	report.detail("noops_per_job", share(float64(r.noops.Load()), report.Jobs))
	return r.ledger.verify(1)
}
