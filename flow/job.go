package flow

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/geartrain/geartrain/flow/expression"
	"github.com/geartrain/geartrain/flow/value"
	"github.com/geartrain/geartrain/flow/wording"
	"github.com/geartrain/geartrain/gearman"
)

var errEqual = errors.New("an equal item failed before")

// job is one item on its way through a stage.
type job struct {
	stage   *stageRun
	maker   *jobMaker
	place   int
	index   int // as expressions see it: the place, or that among the items of its task
	item    item
	payload []byte
	key     string
	hash    keyHash

	identity keyHash // in a sampled run: of function and key arguments, the same in all runs
	twins    []int   // places of later items with the same key; guarded by the stage's lock

	priority  gearman.Priority
	arguments item      // what the key is made of
	addedAt   time.Time // when it was submitted
	submitted bool      // set before the task is added
	retries   int       // counted by callbacks, which do not run at the same time
	result    []byte    // as the worker sent it
	attempt   int       // the one that gave it
	kept      bool      // the result was there before the job was submitted: a server had kept it
	played    bool      // the tape said how it ends
	outcome   Outcome   // OutcomeAnswered: the journal gave the result. Empty: a worker does
}

// jobMaker turns a stage's items into jobs: arguments, payload, key.
type jobMaker struct {
	stage     *stageRun
	spec      *Stage                // the stage, or one of its tasks
	base      expression.Scope      // all but the item
	templates []expression.Template // what is evaluated for an item
	evaluate  bool                  // some template is to be evaluated for each item
	keys      keyMaker
	command   *commandMaker // nil: not a command of the stage's own
	sources   *sourceHashes // nil: none
	identity  *keyMaker     // of a sampled run
}

func newJobMaker(s *stageRun, spec *Stage) (jobMaker, error) {
	templates := append([]expression.Template{spec.Args, spec.Key, spec.Priorities}, spec.Sources...)
	if rate := s.spec.Rate; rate != nil {
		templates = append(templates, rate.Per)
	}
	if spec.Pipeline != nil {
		templates = append(templates, spec.Pipeline.Params)
	}
	if d := spec.Discover; d != nil {
		templates = append(templates, discoverTemplates(d)...)
	}
	m := jobMaker{stage: s, spec: spec}
	scope := s.run.scopeOf(spec)
	var err error
	if m.keys, err = newKeyMaker(spec.Function, spec.Version, scope); err != nil {
		return m, fmt.Errorf("key: %w", err)
	}
	if s.sample != nil {
		identity, err := newKeyMaker(spec.Function, "", "")
		if err != nil {
			return m, fmt.Errorf("key: %w", err)
		}
		m.identity = &identity
	}
	if spec.Command != nil {
		m.command = newCommandMaker(s.run.plan, spec, scope)
		templates = append(templates, m.command.templates()...)
	}
	if len(spec.Sources) > 0 {
		m.sources = newSourceHashes(spec)
	}
	m.templates = templates
	m.evaluate = slices.ContainsFunc(templates, func(t expression.Template) bool { return !t.IsConstant() })
	m.base = *s.run.scope(templates...)
	return m, nil
}

// make makes the job of an item. The job is there even with an error, which is then its failure.
func (m *jobMaker) make(it item, place, index int) (*job, error) {
	j := &job{stage: m.stage, maker: m, place: place, index: index, item: it}
	scope, err := m.scope(it, index)
	if err != nil {
		return j, &jobError{"item", fmt.Errorf("item: %w", err)}
	}
	if err := m.fill(j, scope); err != nil {
		return j, &jobError{"template", err}
	}
	return j, nil
}

// scope is what the templates see for one item.
func (m *jobMaker) scope(it item, index int) (*expression.Scope, error) {
	if !m.evaluate {
		return &m.base, nil
	}
	scope := m.base
	if m.stage.frontier == nil { // the order of what is found is chance, and no part of a key
		scope.Index = index
	}
	v, err := it.value()
	scope.Item = v
	return &scope, err
}

func (m *jobMaker) fill(j *job, scope *expression.Scope) error {
	spec := m.spec
	args, err := evaluated(spec.Args, scope, j.item)
	if err != nil {
		return fmt.Errorf("args: %w", err)
	}
	keyed := args
	switch {
	case m.command != nil:
		if j.payload, keyed, err = m.command.make(j.item, args, scope); err != nil {
			return err
		}
	case spec.Pipeline != nil:
		if keyed, err = spec.Pipeline.given(scope); err != nil {
			return err
		}
		j.payload = keyed.raw
	default:
		j.payload = args.raw
	}
	if keyed, err = evaluated(spec.Key, scope, keyed); err != nil {
		return fmt.Errorf("key: %w", err)
	}
	if m.sources != nil {
		if keyed, err = m.sources.addTo(keyed, scope); err != nil {
			return fmt.Errorf("sources: %w", err)
		}
	}
	if j.priority, err = spec.priority(scope); err != nil {
		return fmt.Errorf("priority: %w", err)
	}
	j.arguments = keyed
	if j.key, j.hash, err = m.keys.key(keyed); err != nil {
		return fmt.Errorf("key: %w", err)
	}
	if m.identity != nil {
		_, j.identity, err = m.identity.key(keyed)
	}
	return err
}

// priority is that of a job.
func (s *Stage) priority(scope *expression.Scope) (gearman.Priority, error) {
	if s.Priorities.IsZero() {
		return s.Priority, nil
	}
	v, err := s.Priorities.Eval(scope)
	if err != nil {
		return s.Priority, err
	}
	text, err := value.Text(v)
	if err != nil {
		return s.Priority, err
	}
	return ParsePriority(text)
}

// ParsePriority reads low, normal and high.
func ParsePriority(text string) (gearman.Priority, error) {
	switch text {
	case "low":
		return gearman.Low, nil
	case "normal":
		return gearman.Normal, nil
	case "high":
		return gearman.High, nil
	}
	return gearman.Normal, fmt.Errorf("%q is no priority; it is low, normal or high", wording.Shorten(text, 40))
}

// evaluated is the value of a template, or otherwise when there is none.
func evaluated(t expression.Template, scope *expression.Scope, otherwise item) (item, error) {
	if t.IsZero() {
		return otherwise, nil
	}
	v, err := t.Eval(scope)
	if err != nil {
		return item{}, err
	}
	return itemOf(v)
}

// group is the group of the rate that a job belongs to.
func (m *jobMaker) group(j *job) (string, error) {
	per := m.stage.spec.Rate.Per
	if per.IsZero() {
		return "", nil
	}
	scope, err := m.scope(j.item, j.index)
	if err != nil {
		return "", &jobError{"item", err}
	}
	v, err := per.Eval(scope)
	if err != nil {
		return "", &jobError{"template", fmt.Errorf("rate: %w", err)}
	}
	return value.Text(v)
}

// submit starts the job, unless an equal one of the stage, or one that ended before, is its answer.
func (j *job) submit() {
	s := j.stage
	if s.frontier == nil && j.join() {
		return
	}
	j.submitted, j.addedAt = true, time.Now()
	s.mu.Lock()
	s.progress.Open++
	s.mu.Unlock()
	if j.play() || j.answer() || j.foresee() {
		return
	}
	spec := j.maker.spec
	if spec.Pipeline != nil {
		s.parts.Go(j.runPart)
		return
	}
	retain, fresh := s.ages(spec)
	s.set.add(gearman.Task{
		Function: spec.Function, Payload: j.payload, Key: j.key,
		Priority: j.priority, Timeout: s.run.plan.patience(spec), Retry: spec.Retry, AcceptLate: spec.Late == AcceptLate,
		Retain: retain, Fresh: fresh, Labels: gearman.Labels{Run: s.run.id, Stage: s.spec.Name},
		EndUnwanted: true,
		OnWarning:   j.warned, OnRetry: j.retried, OnComplete: j.completed, OnFail: j.failed,
	})
}

// join makes an item with the key of an earlier one share its answer. A job of that key is running,
// or it was answered not too long ago.
func (j *job) join() bool {
	s := j.stage
	s.mu.Lock()
	if first := s.flights[j.hash]; first != nil {
		first.twins = append(first.twins, j.place)
		s.mu.Unlock()
		return true
	}
	answer, ok := s.known.find(j.hash)
	if !ok {
		s.flights[j.hash] = j
	}
	s.mu.Unlock()
	if !ok {
		return false
	}
	s.repeat(j, answer)
	return true
}

// repeat gives a job the answer of an earlier one.
func (s *stageRun) repeat(j *job, earlier answer) {
	if earlier.failed && j.putOffTwin() {
		return
	}
	if earlier.failed {
		s.failAt(j, []int{j.place}, &jobError{"equal", errEqual})
		return
	}
	if s.spec.Results.Keep == KeepNone {
		s.succeedAt(j, []int{j.place}, nil)
		return
	}
	p, ok, err := s.results.get(earlier.place)
	if err == nil && !ok {
		err = errSpool
	}
	if err != nil {
		s.abort(err)
		s.drop()
		return
	}
	s.succeedAt(j, []int{j.place}, p)
}

// drop gives up a job that was counted and not submitted.
func (j *job) drop() { j.stage.drop() }
