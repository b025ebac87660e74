package load

import (
	"context"
	"errors"
	"fmt"
)

// Scenario is one kind of load. Those that there are come from [Scenarios] and [Find].
type Scenario interface {
	// Name is one word.
	Name() string
	// About is one line: what the load is, and what it shows.
	About() string

	// complete fills in the defaults, or says which setting the scenario cannot follow.
	complete(Config) (Config, error)
	// run does it and fills the report in. It returns the first thing that was wrong.
	run(*rig, *Report) error
}

// Scenarios are all there are, in the order in which they are best run.
func Scenarios() []Scenario {
	return []Scenario{
		syncScenario{}, floodScenario{}, coalesceScenario{}, idleScenario{},
		payloadScenario{}, latencyScenario{}, tasksetScenario{},
	}
}

// Find is the scenario of this name.
func Find(name string) (s Scenario, ok bool) {
	for _, s := range Scenarios() {
		if s.Name() == name {
			return s, true
		}
	}
	return nil, false
}

// Run puts the load of s on the server and checks every answer. It blocks until all its goroutines
// and connections are gone. The report is complete as far as the measurement came, also with an error:
// a [CheckError] for what the server did wrong; ErrConfig; ErrUnreachable; the end of ctx; and
// context.DeadlineExceeded when cfg.Timeout is over, which is how a lost job shows.
func Run(ctx context.Context, s Scenario, cfg Config) (Report, error) {
	report := Report{Scenario: s.Name()}
	err := run(ctx, s, cfg, &report)
	report.OK = err == nil
	if err != nil {
		report.Error = err.Error()
		err = fmt.Errorf("%s: %w", s.Name(), err)
	}
	return report, err
}

func run(ctx context.Context, s Scenario, cfg Config, report *Report) error {
	cfg, err := s.complete(cfg)
	if err != nil {
		return err
	}
	if err := errors.Join(cfg.validate(), process(cfg.PID).check()); err != nil {
		return err
	}
	report.Config = cfg
	if cfg.Timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, cfg.Timeout)
		defer cancel()
	}
	r := newRig(ctx, cfg)
	defer r.close()
	err = s.run(r, report)
	report.Executions = r.executed.get()
	if errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("no end within %s (%d jobs submitted, %d created, %d executed): %w",
			cfg.Timeout, r.ledger.submitted(), r.created.get(), r.executed.get(), err)
	}
	return err
}
