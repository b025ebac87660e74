package load

// latencyScenario is what one job costs when there is no other: the wake-ups on its way.
type latencyScenario struct{}

func (latencyScenario) Name() string { return "latency" }

func (latencyScenario) About() string { return "one client, one worker, one job at a time" }

func (latencyScenario) complete(c Config) (Config, error) {
	d := Config{Jobs: 20_000, Clients: 1, Window: 1, Workers: 1, Size: 64}
	if c.Brief {
		d.Jobs = 2_000
	}
	return c.or(d), nil
}

func (latencyScenario) run(r *rig, report *Report) error {
	return syncScenario{}.run(r, report)
}
