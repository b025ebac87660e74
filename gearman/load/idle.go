package load

// idleScenario is a server with many workers and little to do: whom does a job wake, and what does a
// sleeping worker cost.
type idleScenario struct{}

func (idleScenario) Name() string { return "idle" }

func (idleScenario) About() string { return "many workers sleep, one job at a time wakes them" }

func (idleScenario) complete(c Config) (Config, error) {
	d := Config{Jobs: 1000, Clients: 1, Window: 1, Workers: 5000, Size: 64}
	if c.Brief {
		d.Jobs, d.Workers = 200, 200
	}
	return c.or(d), nil
}

func (idleScenario) run(r *rig, report *Report) error {
	before, start := r.server.memory(), r.now()
	workers, err := r.startWorkers()
	if err != nil {
		return err
	}
	report.detail("registration_ms", milliseconds(r.now()-start))
	if r.server != 0 {
		report.detail("memory_bytes_per_worker", share(float64(r.server.memory()-before), len(workers)))
	}
	return roundTrips(r, report, workers)
}
