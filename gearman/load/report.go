package load

import (
	"encoding/json"
	"time"
)

// Report is what a measurement found. As JSON, durations are in microseconds, under names that end
// in _us, except for seconds.
type Report struct {
	Scenario string `json:"scenario"`
	OK       bool   `json:"ok"`              // every check held; the figures of another one mean little
	Error    string `json:"error,omitempty"` // why not
	Config   Config `json:"config"`          // with the scenario's defaults

	Jobs       int `json:"jobs"`       // submissions: a job that several clients submit counts for each
	Executions int `json:"executions"` // assignments to workers

	Elapsed       time.Duration `json:"-"`               // from the first submission to the last answer
	JobsPerSecond float64       `json:"jobs_per_second"` // Jobs by Elapsed

	P50   time.Duration `json:"-"` // from submission to answer
	P99   time.Duration `json:"-"`
	Max   time.Duration `json:"-"`
	First time.Duration `json:"-"` // the first answer, from the beginning

	// CPU is the server's seconds of CPU for a million jobs while they were timed, 0 without
	// [Config].PID. The clock of /proc has steps of 10 ms.
	CPU float64 `json:"server_cpu_s_per_million,omitempty"`

	// Details are the scenario's own figures, each with its unit in its name.
	Details map[string]float64 `json:"details,omitempty"`
}

// MarshalJSON gives durations as numbers with a unit.
func (r Report) MarshalJSON() ([]byte, error) {
	type fields Report // without this method
	return json.Marshal(struct {
		fields
		Seconds float64 `json:"seconds"`
		P50     float64 `json:"p50_us"`
		P99     float64 `json:"p99_us"`
		Max     float64 `json:"max_us"`
		First   float64 `json:"first_us"`
	}{fields(r), r.Elapsed.Seconds(), microseconds(r.P50), microseconds(r.P99), microseconds(r.Max), microseconds(r.First)})
}

// fill takes the figures that all scenarios have from a span and the clients that were at work in it.
func (r *Report) fill(s span, clients []*client) {
	var all histogram
	for _, c := range clients {
		all.merge(&c.latency)
		r.Jobs += c.answered
		if first := c.first - s.start; c.answered > 0 && (r.First == 0 || first < r.First) {
			r.First = first
		}
	}
	r.Elapsed = s.elapsed
	r.JobsPerSecond = rate(r.Jobs, s.elapsed)
	r.P50, r.P99, r.Max = all.quantile(0.50), all.quantile(0.99), all.max
	r.CPU = share(1e6*s.cpu.Seconds(), r.Jobs)
}

// detail adds a figure of the scenario's own.
func (r *Report) detail(name string, value float64) {
	if r.Details == nil {
		r.Details = make(map[string]float64)
	}
	r.Details[name] = value
}

func rate(n int, d time.Duration) float64 { return float64(n) / max(d.Seconds(), 1e-9) }

// share is a part for each of n, 0 for none.
func share(sum float64, n int) float64 { return sum / float64(max(n, 1)) }

func microseconds(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
