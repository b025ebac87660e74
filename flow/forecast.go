package flow

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/geartrain/geartrain/flow/expression"
	"github.com/geartrain/geartrain/gearman"
)

// Forecast is what a run would do, see [Plan.Forecast].
type Forecast struct {
	Pipeline    string          `json:"pipeline"`
	Run         string          `json:"run"`
	ScheduledAt time.Time       `json:"scheduled_at"`
	Stages      []StageForecast `json:"stages"`
	Note        string          `json:"note,omitempty"` // what could not be found out
}

// StageForecast is what a run would do in a stage. Jobs is the sum of the counts after it.
type StageForecast struct {
	Stage    string   `json:"stage"`
	Kind     Foreseen `json:"kind"`
	Jobs     int      `json:"jobs"`
	Answered int      `json:"answered"` // there is a result that counts
	Attached int      `json:"attached"` // queued or running on a server now
	New      int      `json:"new"`
	Joined   int      `json:"joined"` // equal to another item of the stage
	Failed   int      `json:"failed"` // items that no job can be made of

	LeftOut int      `json:"left_out,omitempty"` // not in the sample
	More    bool     `json:"more,omitempty"`     // the jobs that are not answered may find more
	After   []string `json:"after,omitempty"`    // stages whose results are not all there yet
	Reason  string   `json:"reason,omitempty"`   // of a skip or a failure
}

// Foreseen is how much is known of a stage.
type Foreseen string

// How much can be known of a stage.
const (
	ForeseenJobs  Foreseen = "jobs"  // all its items
	ForeseenSkip  Foreseen = "skip"  // it does not run
	ForeseenLater Foreseen = "after" // that its items depend on results that are not there yet
	ForeseenError Foreseen = "error" // that it cannot go well
)

// Answers finds earlier results, as [Journal] does.
type Answers interface {
	Answer(stage *Stage, key string) (Answer, bool)
}

// pending is the status of a stage whose jobs do not all have results yet. It is seen in forecasts only.
const pending Status = "pending"

var errPending = errors.New("results are not there yet")

// Forecast goes through a run without doing it: each job is looked up, in the answers of earlier runs and
// with the runner's client on the servers, and nothing is submitted. What depends on results is foreseen as
// far as they are there. Either of known and the client may be nil. Of the options Input, Output and Journal
// are not used.
func (p *Plan) Forecast(ctx context.Context, runner *Runner, o RunOptions, known Answers) (*Forecast, error) {
	alone := *runner
	alone.Tape = nil
	f := &foresight{client: alone.Client, ask: make(chan *job, findBatch)}
	alone.Client, alone.submitter = nil, noServer{}
	o.Input, o.Output, o.Journal = nil, nil, nil
	if known != nil {
		o.Journal = readOnly{known}
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	o.foresight = f
	f.ctx = ctx
	run, err := p.Start(ctx, &alone, o)
	if err != nil {
		return nil, err
	}
	var finder sync.WaitGroup
	finder.Go(f.find)
	run.CloseInput()
	_, err = run.Wait()
	close(f.ask)
	finder.Wait()
	if cause := context.Cause(ctx); cause != nil {
		return nil, errors.Join(cause, err)
	}
	if f.err != nil {
		return nil, f.err
	}
	return f.forecast(run), nil
}

// readOnly is a journal that keeps nothing.
type readOnly struct{ Answers }

func (readOnly) Job(*Stage, *JobRecord) error   { return nil }
func (readOnly) Stage(*StageRecord) error       { return nil }
func (readOnly) Hook(HookID) (HookRecord, bool) { return HookRecord{}, false }
func (readOnly) HookDone(*HookRecord) error     { return nil }
func (readOnly) Flush() error                   { return nil }

// findBatch is how many keys are asked for at once.
const findBatch = 1000

// foresight finds out what becomes of the jobs of one forecast.
//
//	job ──► ask ──► the servers' word, many at once ──► retained: attach, take the result
//	                                               └──► queued, running, unknown: counted, and no more
type foresight struct {
	client *gearman.Client
	ctx    context.Context
	ask    chan *job
	err    error  // set by find, read when it has ended
	note   string // likewise
}

// foreseen is the count of a stage's jobs without a result. The stage's lock guards it.
type foreseen struct {
	attached, new, joined int
	after                 []string
}

// foresee counts a job that has no answer here, if the run is a forecast.
func (j *job) foresee() bool {
	f := j.stage.run.foresight
	switch {
	case f == nil:
		return false
	case f.client == nil || j.maker.spec.Pipeline != nil:
		j.putOff(gearman.JobNone)
	default:
		f.ask <- j
	}
	return true
}

// putOff ends a job that has no result yet.
func (j *job) putOff(state gearman.JobState) {
	s := j.stage
	twins := s.land(j, answer{j.place, true})
	s.mu.Lock()
	if state == gearman.JobQueued || state == gearman.JobRunning || state == gearman.JobScheduled {
		s.foreseen.attached++
	} else {
		s.foreseen.new++
	}
	s.foreseen.joined += len(twins)
	s.mu.Unlock()
	for range 1 + len(twins) {
		s.drop()
	}
	s.bell.ring()
}

// putOffTwin ends a job that is equal to one that was put off.
func (j *job) putOffTwin() bool {
	s := j.stage
	if s.run.foresight == nil {
		return false
	}
	s.mu.Lock()
	s.foreseen.joined++
	s.mu.Unlock()
	s.drop()
	return true
}

// find asks the servers until no more jobs come.
func (f *foresight) find() {
	for first := range f.ask {
		batch := map[string][]*job{}
		add := func(j *job) { batch[j.function()] = append(batch[j.function()], j) }
		add(first)
		for n := 1; n < findBatch; n++ {
			select {
			case j, ok := <-f.ask:
				if ok {
					add(j)
					continue
				}
			default:
			}
			break
		}
		for function, jobs := range batch {
			f.findJobs(function, jobs)
		}
	}
}

func (f *foresight) findJobs(function string, jobs []*job) {
	keys := make([]string, len(jobs))
	for i, j := range jobs {
		keys[i] = j.key
	}
	found := make([]gearman.Found, len(jobs))
	if f.err == nil && f.note == "" {
		all, err := f.client.FindAll(f.ctx, function, keys)
		switch {
		case errors.Is(err, gearman.ErrUnsupported):
			f.note = "the server does not say which jobs it has; what runs there counts as new"
		case err != nil:
			f.err = fmt.Errorf("forecast: %w", err)
		default:
			found = all
		}
	}
	set := f.client.NewTaskSet(f.ctx)
	for i, j := range jobs {
		if found[i].State == gearman.JobRetained && j.takes(found[i].For) {
			set.Attach(gearman.Task{Function: function, Key: j.key, OnComplete: j.retained, OnFail: j.notRetained})
		} else {
			j.putOff(found[i].State)
		}
	}
	_ = set.Wait() // what cannot be had counts as new
}

// takes reports whether a result of this age is an answer.
func (j *job) takes(age time.Duration) bool {
	fresh := j.maker.spec.Fresh
	return !j.stage.force && (fresh.For == 0 || age <= fresh.For)
}

func (j *job) retained(r gearman.Result) {
	j.outcome = OutcomeAnswered
	j.completed(r)
}

func (j *job) notRetained(error) { j.putOff(gearman.JobNone) }

func (j *job) function() string { return j.maker.spec.Function }

// lacksResults reports whether the stage cannot be foreseen before others have their results, and notes which.
// What it uses has ended when all that it needs has.
func (s *stageRun) lacksResults() bool {
	if s.run.foresight == nil {
		return false
	}
	var after []string
	for _, name := range s.spec.Uses(s.run.plan) {
		if from := s.run.stage(name); from != nil && from.status() == pending {
			after = appendNew(after, name)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.foreseen.after = after
	return len(after) > 0
}

// isPending reports whether there are jobs that were put off.
func (s *stageRun) isPending() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.foreseen.new+s.foreseen.attached > 0
}

// Uses is the stages whose results or values a stage's items and jobs are made of, some of them more than once.
func (s *Stage) Uses(p *Plan) []string {
	var names []string
	for _, w := range append(s.Works(), s) {
		names = append(names, w.Input.From...)
		for _, t := range w.templates(p) {
			names = append(names, t.Stages()...)
		}
	}
	return names
}

// templates are all that decide about a stage's jobs.
func (s *Stage) templates(p *Plan) []expression.Template {
	all := append([]expression.Template{s.If, s.Args, s.Stdin, s.Key, s.Input.Each, s.Priorities}, s.Sources...)
	if s.Command != nil {
		all = append(all, s.Command.Argv...)
		all = slices.AppendSeq(all, maps.Values(p.Env))
	}
	all = slices.AppendSeq(all, maps.Values(s.Env))
	if s.Pipeline != nil {
		all = append(all, s.Pipeline.Params)
	}
	if s.Rate != nil {
		all = append(all, s.Rate.Per)
	}
	if s.Discover != nil {
		all = append(all, discoverTemplates(s.Discover)...)
	}
	if m := s.Input.Matrix; m != nil {
		all = append(all, m.Exclude, m.Include)
		for _, axis := range m.Axes {
			all = append(all, axis.Values)
		}
	}
	return all
}

// forecast puts together what was found out.
func (f *foresight) forecast(r *Run) *Forecast {
	out := &Forecast{Pipeline: r.plan.Name, Run: r.id, ScheduledAt: r.values.ScheduledAt, Note: f.note}
	for _, s := range r.stages {
		out.Stages = append(out.Stages, s.forecast())
	}
	return out
}

func (s *stageRun) forecast() StageForecast {
	p, err := s.snapshot(), s.endError()
	s.mu.Lock()
	f := s.foreseen
	s.mu.Unlock()
	out := StageForecast{
		Stage: s.spec.Name, Kind: ForeseenJobs, Answered: p.Answered, Attached: f.attached, New: f.new,
		Joined: p.Joined + f.joined, Failed: p.Failed, LeftOut: p.LeftOut,
		More: s.spec.Discover != nil && f.attached+f.new > 0,
	}
	out.Jobs = out.Answered + out.Attached + out.New + out.Joined + out.Failed
	switch {
	case p.Status == Skipped:
		out.Kind, out.Reason = ForeseenSkip, "if: "+s.spec.If.String()
	case len(f.after) > 0:
		out.Kind, out.After = ForeseenLater, f.after
	case p.Status != pending && !p.Status.Good():
		out.Kind = ForeseenError
		if err != nil {
			out.Reason = err.Error()
		}
	}
	return out
}
