package flow

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/geartrain/geartrain/flow/expression"
	"github.com/geartrain/geartrain/flow/value"
	"github.com/geartrain/geartrain/gearman"
)

// DefaultParts is how many runs of other pipelines a stage has open at once, if it does not say.
const DefaultParts = 8

// given is what a run of the pipeline is given: its parameters.
func (in *Include) given(scope *expression.Scope) (item, error) {
	v, err := in.Params.Eval(scope)
	if err != nil {
		return item{}, fmt.Errorf("params: %w", err)
	}
	if v == nil {
		v = map[string]any{}
	}
	it, err := itemOf(v)
	return it, err
}

// runPart is a job that is a run of another pipeline, until it has ended well or for good. The run's id
// comes from the job's key, so the same job is the same run, and its jobs have the same keys:
//
//	job ──► key f1.abc… ──► run r1.abc… ──► its jobs ──► its output is the job's result
//	           ▲                                │
//	           └──────── again, the same run ◄──┘ failed
func (j *job) runPart() {
	retry := j.maker.spec.Retry
	for attempt := 1; ; attempt++ {
		result, err := j.part(attempt)
		switch {
		case err == nil:
			j.take(result, attempt)
			return
		case errors.Is(err, ErrDrained):
			j.lose()
			return
		case attempt >= retry.Attempts || !retriesPart(retry.On, err):
			j.fail(&jobError{partReason(err), err})
			return
		}
		j.retried(attempt, err)
		if !pause(j.stage.jobs, retry.Wait(attempt)) {
			j.fail(context.Cause(j.stage.jobs))
			return
		}
	}
}

// pause reports whether the time went by before the context ended.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return ctx.Err() == nil
	case <-ctx.Done():
		return false
	}
}

// part is one attempt.
func (j *job) part(attempt int) ([]byte, error) {
	s, spec := j.stage, j.maker.spec
	ctx := s.jobs
	if spec.Timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, spec.Timeout, gearman.ErrTimeout)
		defer cancel()
	}
	params, err := value.DecodeJSON(j.payload)
	if err != nil {
		return nil, err
	}
	given, _ := params.(map[string]any)
	var out []byte
	run, err := spec.Pipeline.Plan.start(ctx, s.run.runner, s.run.partOptions(j, given, attempt), func(r *Run) (err error) {
		out, err = r.outputValue()
		return err
	})
	if err != nil {
		return nil, err
	}
	defer context.AfterFunc(s.run.adding, func() {
		if errors.Is(context.Cause(s.run.adding), ErrDrained) {
			run.Drain()
		}
	})()
	run.CloseInput()
	_, err = run.Wait()
	return out, err
}

// partOptions are those of a run that is the job.
func (r *Run) partOptions(j *job, params map[string]any, attempt int) RunOptions {
	o := RunOptions{
		ID:     runIDForm + strings.TrimPrefix(j.key, keyForm),
		Params: params, ScheduledAt: r.values.ScheduledAt, Attempt: r.values.Attempt + attempt - 1,
		Retain: r.retention, Sample: r.sample,
	}
	if j.stage.force {
		o.Force = []string{ForceAll}
	}
	if r.journal != nil {
		o.Journal = &partJournal{Journal: r.journal, stage: j.stage.spec.Name, run: o.ID}
	}
	return o
}

// outputValue is what the run gives as a JSON value: its Output; else the result of the last stage when
// that was done once, or the list of its results.
func (r *Run) outputValue() ([]byte, error) {
	if len(r.stages) == 0 {
		return []byte("null"), nil
	}
	if !r.plan.Output.IsZero() {
		v, err := r.plan.Output.Eval(r.scope(r.plan.Output))
		if err != nil {
			return nil, fmt.Errorf("output: %w", err)
		}
		return value.EncodeJSON(v)
	}
	last := r.stages[len(r.stages)-1]
	list := batch{}
	var one item
	for p, err := range last.inOrder() {
		if err == nil {
			one = last.kept(p)
			err = list.add(incoming{item: one})
		}
		if err != nil {
			return nil, err
		}
	}
	if last.isSingle() && list.count <= 1 {
		return one.appendJSON(nil)
	}
	return list.take().item.raw, nil
}

// isSingle reports whether the stage is one job.
func (s *stageRun) isSingle() bool {
	in := s.spec.Input
	return len(s.spec.Tasks) == 0 && (in.Kind == Once || in.Gather)
}

// partReason is the reason of a failure in one word.
func partReason(err error) string {
	if errors.Is(err, gearman.ErrTimeout) {
		return "timeout"
	}
	return "part"
}

// retriesPart reports whether a run that ended so is tried again.
func retriesPart(on []gearman.Reason, err error) bool {
	if len(on) == 0 {
		return true
	}
	for _, reason := range on {
		if (reason == gearman.TimedOut) == errors.Is(err, gearman.ErrTimeout) {
			return true
		}
	}
	return false
}

// partJournal keeps the jobs of a part with those of the run that it is a part of, under names of their own.
type partJournal struct {
	Journal
	stage string
	run   string
}

func (p *partJournal) name(stage string) string { return p.stage + "." + stage }

// Job is that of [Journal].
func (p *partJournal) Job(stage *Stage, r *JobRecord) error {
	r.Stage = p.name(r.Stage)
	return p.Journal.Job(stage, r)
}

// Stage is that of [Journal].
func (p *partJournal) Stage(r *StageRecord) error {
	r.Stage = p.name(r.Stage)
	return p.Journal.Stage(r)
}

// Hook is that of [Journal].
func (p *partJournal) Hook(id HookID) (HookRecord, bool) {
	id.Stage = p.run + "." + id.Stage
	return p.Journal.Hook(id)
}

// HookDone is that of [Journal].
func (p *partJournal) HookDone(r *HookRecord) error {
	r.ID.Stage = p.run + "." + r.ID.Stage
	return p.Journal.HookDone(r)
}
