// Package cassette keeps what became of the jobs of a run in a folder, and plays it in tests, without
// workers and without a job server.
//
//	DIR/run.json      the parameters and the time of the run, how it ended, each stage's function and version
//	DIR/output.txt    what the run wrote
//	DIR/fetch.jsonl   of the stage fetch: a line for each job, in the order of their arguments
//
// A job is found by its function, its version and its key arguments, which are its key without the run. So
// a recording holds at any time and with other parameters, as far as the arguments are the same. The
// files are made for people: they can be read, compared and changed.
package cassette

import (
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/geartrain/geartrain/flow"
	"github.com/geartrain/geartrain/flow/change"
)

// Cassette is the recordings of one folder. It is a [flow.Tape]: one that was opened plays, a new one
// records. Its methods may be called from any goroutine.
type Cassette struct {
	Run RunInfo // what is known of the run that was recorded

	dir       string
	recording bool
	mask      func([]byte) []byte

	mu     sync.Mutex // guards what follows
	stages map[string]*track
	misses []Miss
	missed int
	masked int
}

// RunInfo is the run that was recorded, as run.json has it.
type RunInfo struct {
	Form        int                  `json:"cassette"` // of the folder: 1
	Pipeline    string               `json:"pipeline"`
	Params      map[string]string    `json:"params,omitempty"` // as on a command line: those that were given
	ScheduledAt time.Time            `json:"scheduled_at,omitzero"`
	Sample      int                  `json:"sample,omitempty"`
	Status      flow.Status          `json:"status,omitempty"`
	Stages      map[string]StageInfo `json:"stages"`
}

// StageInfo is what the keys of a stage begin with.
type StageInfo struct {
	Function string `json:"function"`
	Version  string `json:"version,omitempty"`
}

// Miss is a job that was asked for and is not in the recording.
type Miss struct {
	Stage     string
	Item      flow.Datum
	Arguments flow.Datum
	Function  string
	Version   string
	Why       string // what the recording has in its place
}

// maxMisses is how many of them are kept.
const maxMisses = 20

// track is the recordings of one stage, by key.
type track struct {
	info StageInfo // of its jobs, but for those that say otherwise: a stage may have unlike tasks
	ends map[string]*end
}

// end is what became of a job.
type end struct {
	info      StageInfo
	key       string
	canonical string // of the arguments
	arguments any
	kind      flow.KeyKind
	result    []byte
	failed    *failure
	played    bool
}

type failure struct {
	Reason  string `json:"reason"`
	Message string `json:"message"`
}

// New gives an empty cassette that records, for [Cassette.Save] to write into a folder. mask, which may be
// nil, takes secrets out of results.
func New(dir string, mask func([]byte) []byte) *Cassette {
	if mask == nil {
		mask = func(p []byte) []byte { return p }
	}
	return &Cassette{dir: dir, recording: true, mask: mask, stages: map[string]*track{}}
}

// Play is for [flow.Tape].
func (c *Cassette) Play(stage *flow.Stage, job *flow.JobRecord) bool {
	if c.recording {
		return false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	found, why := c.find(stage, job)
	switch {
	case found == nil:
		c.miss(stage, job, why)
		job.Outcome, job.Reason = flow.OutcomeFailed, "recording"
		job.Message = "no recording of this job\n" + why
	case found.failed != nil:
		found.played = true
		job.Outcome, job.Reason, job.Message = flow.OutcomeFailed, found.failed.Reason, found.failed.Message
	default:
		found.played = true
		job.Outcome, job.Result, job.Attempt = flow.OutcomeDone, slices.Clone(found.result), 1
	}
	return true
}

// find is the recording of a job, or why there is none.
func (c *Cassette) find(stage *flow.Stage, job *flow.JobRecord) (*end, string) {
	t := c.stages[job.Stage]
	if t == nil {
		return nil, "the recording has no stage of this name"
	}
	info := StageInfo{stage.Function, stage.Version}
	if !t.has(info) {
		return nil, fmt.Sprintf("it was recorded with %s, and is now %s", t.info, info)
	}
	wanted, err := newEnd(info, job.Arguments)
	if err != nil {
		return nil, err.Error()
	}
	if found := t.ends[wanted.key]; found != nil {
		return found, ""
	}
	return nil, t.nearest(wanted)
}

// has reports whether there are jobs with this function and version, or at least could be.
func (t *track) has(info StageInfo) bool {
	if t.info == info {
		return true
	}
	for _, e := range t.ends {
		if e.info == info {
			return true
		}
	}
	return false
}

func (i StageInfo) String() string {
	if i.Version == "" {
		return "function " + i.Function
	}
	return "function " + i.Function + ", version " + i.Version
}

// maxCompared is how many recordings are looked at for the nearest one.
const maxCompared = 1000

// nearest says which recording is most like the one that is wanted, and how they differ.
func (t *track) nearest(wanted *end) string {
	best, least := []change.Change(nil), 0
	for i, e := range t.sorted() {
		if i == maxCompared {
			break
		}
		changes, count := change.Between(e.arguments, wanted.arguments, 3)
		if best == nil || count < least {
			best, least = changes, count
		}
	}
	if best == nil {
		return "the recording of this stage is empty"
	}
	text := "the nearest recording differs:"
	for i, one := range best {
		if i > 0 {
			text += ";"
		}
		text += " " + one.String()
	}
	if least > len(best) {
		text += fmt.Sprintf("; and %d more", least-len(best))
	}
	return text
}

func (c *Cassette) miss(stage *flow.Stage, job *flow.JobRecord, why string) {
	if c.missed++; len(c.misses) < maxMisses {
		c.misses = append(c.misses, Miss{
			Stage: job.Stage, Function: stage.Function, Version: stage.Version, Why: why,
			Item: clone(job.Item), Arguments: clone(job.Arguments),
		})
	}
}

func clone(d flow.Datum) flow.Datum { return flow.Datum{Kind: d.Kind, Raw: slices.Clone(d.Raw)} }

// Misses is the first jobs that were asked for in vain, and how many there were in all.
func (c *Cassette) Misses() (first []Miss, count int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.misses), c.missed
}

// Unused is how many recordings of each stage were not played, for those that have any.
func (c *Cassette) Unused() map[string]int {
	c.mu.Lock()
	defer c.mu.Unlock()
	unused := map[string]int{}
	for name, t := range c.stages {
		for _, e := range t.ends {
			if !e.played {
				unused[name]++
			}
		}
	}
	return unused
}

// Record is for [flow.Tape].
func (c *Cassette) Record(stage *flow.Stage, job *flow.JobRecord) error {
	if job.Outcome != flow.OutcomeDone && job.Outcome != flow.OutcomeFailed {
		return nil
	}
	info := StageInfo{stage.Function, stage.Version}
	e, err := newEnd(info, job.Arguments)
	if err != nil {
		return fmt.Errorf("record a job of stage %q: %w", job.Stage, err)
	}
	if job.Outcome == flow.OutcomeFailed {
		e.failed = &failure{job.Reason, string(c.mask([]byte(job.Message)))}
	} else {
		e.result = slices.Clone(c.mask(job.Result))
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	t := c.stages[job.Stage]
	if t == nil {
		t = &track{info: info, ends: map[string]*end{}}
		c.stages[job.Stage] = t
	}
	if e.failed == nil && string(e.result) != string(job.Result) {
		c.masked++
	}
	t.ends[e.key] = e
	return nil
}

// Masked is how many results held a secret, which the recording does not have. Jobs that were made of them
// are not found when it is played.
func (c *Cassette) Masked() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.masked
}

// Count is how many jobs are recorded.
func (c *Cassette) Count() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	count := 0
	for _, t := range c.stages {
		count += len(t.ends)
	}
	return count
}
