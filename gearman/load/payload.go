package load

// payloadScenario shows how often a server copies what it passes on.
type payloadScenario struct{}

// How many payloads there are by default: so many bytes in all, within bounds.
const (
	payloadBytes      = 1 << 30
	payloadBytesBrief = 1 << 26
	minPayloads       = 8
	maxPayloads       = 20_000
)

func (payloadScenario) Name() string { return "payload" }

func (payloadScenario) About() string { return "big payloads there and back, one at a time" }

func (payloadScenario) complete(c Config) (Config, error) {
	c = c.or(Config{Clients: 1, Window: 1, Workers: 1, Size: 1 << 20})
	total := payloadBytes
	if c.Brief {
		total = payloadBytesBrief
	}
	return c.or(Config{Jobs: min(max(total/max(c.Size, 1), minPayloads), maxPayloads)}), nil
}

func (payloadScenario) run(r *rig, report *Report) error {
	if err := (syncScenario{}).run(r, report); err != nil {
		return err
	}
	report.detail("megabytes_per_second", report.JobsPerSecond*float64(r.cfg.Size)/1e6)
	return nil
}
