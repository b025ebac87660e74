package flow

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/geartrain/geartrain/flow/expression"
	"github.com/geartrain/geartrain/flow/value"
)

// Run is one execution of a pipeline. Its methods may be called from any goroutine.
//
//	Start ──► stages run, each when what it needs has ended ──► output ──► Wait returns
//	   │             ▲
//	   └─ Send ──────┘      Drain: no more jobs are added; those that run may end
//	                        the context ends, or Timeout is over: they are given up
type Run struct {
	plan      *Plan
	runner    *Runner
	submitter submitter
	id        string
	values    expression.RunValues
	params    map[string]any
	env       map[string]string
	output    io.Writer
	journal   Journal // nil: none
	force     []string
	retention time.Duration
	sample    int        // items of each stage; 0: all
	foresight *foresight // of a forecast
	atEnd     func(*Run) error
	stages    []*stageRun
	events    events
	startedAt time.Time

	hooks  context.Context         // never ends before the hooks have
	jobs   context.Context         // its end gives running jobs up
	adding context.Context         // its end stops adding
	drain  context.CancelCauseFunc // ends adding

	input     chan []byte
	closing   sync.Once
	inputOver chan struct{} // closed by CloseInput

	done   chan struct{} // closed when report and err are final
	report *Report
	err    error
}

// Start begins a run and returns at once. What is wrong with the plan or the parameters is an error
// here and nothing has begun; all else comes with [Run.Wait], which must be called.
func (p *Plan) Start(ctx context.Context, runner *Runner, o RunOptions) (*Run, error) {
	return p.start(ctx, runner, o, nil)
}

// start begins a run; at its end, while its results are there, atEnd may take them. Nil: nobody does.
func (p *Plan) start(ctx context.Context, runner *Runner, o RunOptions, atEnd func(*Run) error) (*Run, error) {
	r := &Run{
		atEnd: atEnd,
		plan:  p, runner: runner, submitter: runner.submits(), output: o.Output,
		journal: o.Journal, force: o.Force, retention: cmp.Or(o.Retain, DefaultRetain),
		sample: max(o.Sample, 0), foresight: o.foresight,
		input: make(chan []byte), inputOver: make(chan struct{}), done: make(chan struct{}),
	}
	err := r.identify(o)
	if err == nil {
		err = r.addStages()
	}
	if err != nil {
		return nil, fmt.Errorf("pipeline %q: %w", p.Name, err)
	}
	r.startedAt = time.Now()
	ended := func() {}
	r.hooks, r.jobs = context.WithoutCancel(ctx), ctx
	if p.Timeout > 0 {
		r.jobs, ended = context.WithTimeoutCause(ctx, p.Timeout, ErrRunTimeout)
	}
	r.adding, r.drain = context.WithCancelCause(r.jobs)
	go func() {
		defer close(r.done)
		defer ended()
		defer r.drain(nil)
		r.do()
	}()
	return r, nil
}

// identify settles parameters, logical time and id, and what depends on them.
func (r *Run) identify(o RunOptions) (err error) {
	at := o.ScheduledAt
	if at.IsZero() {
		at = time.Now().Truncate(time.Millisecond)
	}
	r.values = expression.RunValues{ID: o.ID, Name: r.plan.Name, ScheduledAt: at.UTC(), Attempt: max(o.Attempt, 1)}
	if r.params, err = r.resolveParams(o.Params); err != nil {
		return err
	}
	if r.values.ID == "" {
		if r.values.ID, err = RunID(r.plan.Name, r.params, at); err != nil {
			return err
		}
	}
	r.id = r.values.ID
	if err = r.resolveEnv(); err != nil {
		return err
	}
	r.plan, err = r.plan.settled(&expression.Scope{Params: r.params, Env: r.env, Run: r.values})
	return err
}

// resolveParams checks what was given and puts in the defaults.
func (r *Run) resolveParams(given map[string]any) (map[string]any, error) {
	all := make(map[string]any, len(r.plan.Params))
	wrong := &ParamError{Pipeline: r.plan.Name}
	var known []string
	for i := range r.plan.Params {
		p := &r.plan.Params[i]
		known = append(known, p.Name)
		v, err := r.param(p, given)
		if err != nil {
			wrong.Problems = append(wrong.Problems, ParamProblem{p.Name, err.Error()})
		}
		all[p.Name] = v
	}
	for _, name := range slices.Sorted(maps.Keys(all)) {
		if r.runner.Secrets.isIn(all[name]) {
			wrong.Problems = append(wrong.Problems, ParamProblem{name, fmt.Sprintf("the parameter %q holds a secret, which would be in keys, jobs and logs", name)})
		}
	}
	for _, name := range slices.Sorted(maps.Keys(given)) {
		if !slices.Contains(known, name) {
			wrong.Problems = append(wrong.Problems, ParamProblem{name, unknownParam(name, known)})
		}
	}
	if len(wrong.Problems) > 0 {
		return nil, wrong
	}
	return all, nil
}

func (r *Run) param(p *Param, given map[string]any) (any, error) {
	v, ok := given[p.Name]
	if !ok || v == nil && !p.Required {
		return p.value(nil, &expression.Scope{Run: r.values})
	}
	v, err := value.Normalize(v)
	if err != nil {
		return nil, fmt.Errorf("the parameter %q: %w", p.Name, err)
	}
	return v, p.Check(v)
}

// resolveEnv evaluates the pipeline's env for the expressions that use it. What depends on a stage or an
// item has no value there.
func (r *Run) resolveEnv() error {
	env := make(map[string]string, len(r.plan.Env))
	for name, t := range r.plan.Env {
		if t.Uses(expression.ContextItem) || t.Uses(expression.ContextIndex) || len(t.Stages()) > 0 {
			continue
		}
		v, err := t.Eval(&expression.Scope{Params: r.params, Run: r.values})
		if err == nil {
			env[name], err = value.Text(v)
		}
		if err != nil {
			return fmt.Errorf("env: %s: %w", name, err)
		}
	}
	r.env = env
	return nil
}

// addStages makes the stages and joins them up.
func (r *Run) addStages() error {
	byName := map[string]*stageRun{}
	for i := range r.plan.Stages {
		spec := &r.plan.Stages[i]
		s := newStageRun(r, spec)
		for _, name := range spec.Input.From {
			from := byName[name]
			if from == nil {
				return fmt.Errorf("stage %q takes the results of %q, which is no stage before it", spec.Name, name)
			}
			s.from = append(s.from, from)
			if s.streams() {
				from.readers = append(from.readers, s)
			} else {
				s.needs = append(s.needs, from)
			}
		}
		for _, name := range spec.waitsFor() {
			need := byName[name]
			if need == nil {
				return fmt.Errorf("stage %q needs %q, which is no stage before it", spec.Name, name)
			}
			s.needs = append(s.needs, need)
		}
		s.setOrder()
		if byName[spec.Name] != nil {
			return fmt.Errorf("stage %q is there twice", spec.Name)
		}
		byName[spec.Name] = s
		r.stages = append(r.stages, s)
	}
	return nil
}

// do is the whole run.
func (r *Run) do() {
	r.events.report(Event{Run: r.id, Kind: RunStarted})
	var stages sync.WaitGroup
	for _, s := range r.stages {
		stages.Go(func() { s.do(r.adding) })
	}
	stages.Wait()
	r.CloseInput()
	r.conclude()
	for _, s := range r.stages {
		s.close()
	}
	r.events.report(Event{Run: r.id, Kind: RunEnded, Status: r.report.Status, Err: r.err})
	r.events.close()
}

// conclude writes the output, makes the report, and does the run's hooks, which see both. What goes wrong
// here makes a failure of a run that had ended well.
func (r *Run) conclude() {
	status, stageErrs, cause := r.outcome()
	end := func(err error) {
		cause = errors.Join(cause, err)
		if err != nil && status.Good() {
			status = Failure
		}
		r.err = nil
		if !status.Good() {
			r.err = &RunError{Pipeline: r.plan.Name, Run: r.id, Status: status, Stages: stageErrs, Err: cause}
		}
	}
	end(errors.Join(r.writeOutput(status), r.takeOutput(status), r.hookError()))
	r.report = r.makeReport(status)
	end(r.doHooks())
	r.report.Status, r.report.EndedAt = status, time.Now()
}

// ID is the run's id.
func (r *Run) ID() string { return r.id }

// Plan is what is run, with the limits that the run decides.
func (r *Run) Plan() *Plan { return r.plan }

// ScheduledAt is the run's logical time. A run started with the same one, and the same parameters, is
// the same run.
func (r *Run) ScheduledAt() time.Time { return r.values.ScheduledAt }

// Send adds one item to the run's input, for stages that take it. The run owns v from then on. It
// waits while the stages are busy with earlier input, at most until ctx or the run ends.
func (r *Run) Send(ctx context.Context, v []byte) error {
	if !r.plan.takesInput() {
		return fmt.Errorf("send to pipeline %q: %w", r.plan.Name, ErrInputClosed)
	}
	select {
	case <-r.inputOver:
		return fmt.Errorf("send to pipeline %q: %w", r.plan.Name, ErrInputClosed)
	default:
	}
	select {
	case r.input <- v:
		return nil
	case <-r.inputOver:
		return fmt.Errorf("send to pipeline %q: %w", r.plan.Name, ErrInputClosed)
	case <-r.adding.Done():
		return context.Cause(r.adding)
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// CloseInput says that nothing more is sent. It may be called again.
func (r *Run) CloseInput() { r.closing.Do(func() { close(r.inputOver) }) }

// Drain stops adding jobs. Those that were submitted may end; Wait then returns with ErrDrained, unless
// everything had been added already.
func (r *Run) Drain() { r.drain(ErrDrained) }

// CancelStage ends a stage as cancelled: no more of its jobs are added, and those that run are given up. It
// returns how many those are. What has ended already stays as it is.
func (r *Run) CancelStage(name string) (jobs int, err error) {
	s := r.stage(name)
	if s == nil {
		return 0, fmt.Errorf("run %s: no stage %q", r.id, name)
	}
	p := s.snapshot()
	s.mu.Lock()
	begun := s.stop != nil
	s.mu.Unlock()
	if p.Status.Ended() || !begun {
		return 0, nil
	}
	s.abort(ErrCancelled)
	return p.Open + p.Waiting, nil
}

// Wait waits for the end of the run, see [Plan.Run].
func (r *Run) Wait() (*Report, error) {
	<-r.done
	return r.report, r.err
}

// Done is closed when the run has ended.
func (r *Run) Done() <-chan struct{} { return r.done }

// Progress is how far each stage is, in the order of the plan. It costs the same for a million jobs
// as for one.
func (r *Run) Progress() []StageProgress {
	all := make([]StageProgress, len(r.stages))
	for i, s := range r.stages {
		all[i] = s.snapshot()
	}
	return all
}

// Events gives what happens in the run from this call on, until it has ended or ctx does. Only the given
// kinds; without any, all. A slow reader holds nothing up: of what happened to jobs some is then left
// out, and counted in Missed. The sequence is for one reader and to be ranged over once.
func (r *Run) Events(ctx context.Context, kinds ...EventKind) iter.Seq[Event] {
	return r.events.subscribe(ctx, kinds)
}

// sentItems is the input that is sent to the run.
func (r *Run) sentItems(ctx context.Context, form form) iter.Seq2[incoming, error] {
	return func(yield func(incoming, error) bool) {
		for {
			select {
			case v := <-r.input:
				if !yield(incoming{item: item{v, form}}, nil) {
					return
				}
			case <-r.inputOver:
				return
			case <-ctx.Done():
				return
			}
		}
	}
}

// stage is the stage of a name, or nil.
func (r *Run) stage(name string) *stageRun {
	i := slices.IndexFunc(r.stages, func(s *stageRun) bool { return s.spec.Name == name })
	if i < 0 {
		return nil
	}
	return r.stages[i]
}

// scope is what templates see that are not about one item.
func (r *Run) scope(templates ...expression.Template) *expression.Scope {
	scope := &expression.Scope{Params: r.params, Env: r.env, Run: r.values, Stages: map[string]expression.StageValues{}}
	for _, t := range templates {
		for _, name := range t.Stages() {
			if s := r.stage(name); s != nil && s.status().Ended() {
				scope.Stages[name] = s.values()
			}
		}
	}
	return scope
}

// outcome is how the run ended: its status, the stages with a cause of their own, and what ended the
// run as a whole.
func (r *Run) outcome() (Status, []*StageError, error) {
	status := Success
	var stageErrs []*StageError
	for _, s := range r.stages {
		switch st := s.status(); {
		case st == Failure:
			stageErrs = append(stageErrs, s.stageError())
			status = Failure
		case st == Partial && status == Success:
			status = Partial
		case st == Cancelled && status != Failure && status != TimedOut:
			status = Cancelled
		case st == TimedOut && status != Failure:
			status = TimedOut
		}
	}
	if status == Cancelled || status == TimedOut {
		return status, stageErrs, r.endCause()
	}
	return status, stageErrs, nil
}

// isEnd reports whether err is why the run adds no more jobs, or why those that ran were given up. The
// second may come after the first and for another reason.
func (r *Run) isEnd(err error) bool {
	for _, ctx := range []context.Context{r.jobs, r.adding} {
		if cause := context.Cause(ctx); cause != nil && errors.Is(err, cause) {
			return true
		}
	}
	return false
}

// endCause is what ended the run before all was done; nil: nothing did.
func (r *Run) endCause() error {
	if cause := context.Cause(r.jobs); cause != nil {
		return cause
	}
	return context.Cause(r.adding)
}

func (p *Plan) takesInput() bool {
	return slices.ContainsFunc(p.Stages, func(s Stage) bool { return s.Input.Kind == FromInput })
}
