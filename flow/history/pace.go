// Package history says what earlier runs tell about another one: how long it will take, why a job ran again,
// what is different.
//
// It reads the state folder of package runs, and writes nothing there.
package history

import (
	"time"

	"github.com/geartrain/geartrain/flow"
	"github.com/geartrain/geartrain/flow/runs"
)

// maxLooked is how many runs are looked at for one answer, the last one first.
const maxLooked = 100

// Pace is how fast a stage was.
type Pace struct {
	Run  string        `json:"run"`
	Jobs int           `json:"jobs"` // that were done, and not only answered
	Took time.Duration `json:"-"`    // from the stage's begin to its end
}

// Paces are those of a pipeline's stages, each from the last run in which it did anything.
func Paces(state *runs.State, pipeline string) (map[string]Pace, error) {
	all, err := state.List()
	if err != nil {
		return nil, err
	}
	paces, looked := map[string]Pace{}, 0
	for _, r := range all {
		if r.Record.Pipeline != pipeline || !r.Record.Ended() {
			continue
		}
		if looked++; looked > maxLooked {
			break
		}
		report, err := r.Report()
		if err != nil || report == nil {
			continue // it is not whole any more, and tells nothing
		}
		for _, s := range report.Stages {
			jobs := s.Done + s.Failed - s.Answered - s.Joined
			if _, known := paces[s.Stage]; !known && jobs > 0 && s.EndedAt.After(s.StartedAt) {
				paces[s.Stage] = Pace{report.Run, jobs, s.EndedAt.Sub(s.StartedAt)}
			}
		}
	}
	return paces, nil
}

// Expected is how long a forecast run will take by these paces: in all, and each stage. Stages that cannot be
// foreseen count with what they took then. It is known only if each stage that has to do something has a pace.
func Expected(p *flow.Plan, f *flow.Forecast, paces map[string]Pace) (total time.Duration, stages map[string]time.Duration, known bool) {
	stages, known = map[string]time.Duration{}, true
	end := map[string]time.Duration{}
	for i := range p.Stages {
		s := &p.Stages[i]
		var begin time.Duration
		for _, name := range append(s.Uses(p), s.Needs...) {
			begin = max(begin, end[name])
		}
		took, ok := expected(f.Stages[i], paces[s.Name])
		if known = known && ok; ok {
			stages[s.Name] = took
		}
		end[s.Name] = begin + took
		total = max(total, end[s.Name])
	}
	return total, stages, known
}

func expected(f flow.StageForecast, pace Pace) (time.Duration, bool) {
	jobs := f.New + f.Attached
	switch {
	case f.Kind == flow.ForeseenSkip, f.Kind == flow.ForeseenJobs && jobs == 0:
		return 0, true
	case pace.Jobs == 0:
		return 0, false
	case f.Kind == flow.ForeseenJobs && !f.More:
		return time.Duration(float64(pace.Took) * float64(jobs) / float64(pace.Jobs)), true
	}
	return pace.Took, true
}
