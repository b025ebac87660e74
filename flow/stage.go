package flow

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"math"
	"slices"
	"sync"
	"time"
)

// stageRun is one stage in one run: a task set, what feeds it, and what became of its jobs.
//
//	input ──► intake ──► [gate] ──► task set ──► answers ──► results ──► later stages
//	            ▲                                   │
//	            └──────────── frontier ◄────────────┘  (a stage that feeds itself)
//
// Three parties touch it: the stage's own goroutine (intake), the one that runs the set's callbacks
// (answers), and readers of its results and progress.
type stageRun struct {
	run    *Run
	spec   *Stage
	mixed  bool       // results of more than one form: each is kept as JSON
	makers []jobMaker // of each of its works

	needs   []*stageRun // what must have ended before this begins
	from    []*stageRun // whose results are the items
	readers []*stageRun // who streams from this

	barrier  *barrier
	results  *results
	follows  bool      // places are those of the one stage that this streams from
	order    *order    // of the input, when it is not that of the places; nil: it is
	frontier *frontier // nil unless the stage feeds itself
	sample   *sample   // nil unless the run is sampled
	bell     bell      // rings when intake should look again
	set      taskSet
	parts    sync.WaitGroup // jobs that are runs of other pipelines
	limit    int            // of unanswered jobs

	force bool // earlier results are no answer

	completing sync.Mutex // held while a result is taken: callbacks bring some, the intake those that the journal has

	jobs     context.Context         // of the task set
	adding   context.Context         // as long as jobs are added
	stop     context.CancelCauseFunc // no more jobs are added
	cancel   context.CancelCauseFunc // and those that run are ended
	begun    chan struct{}           // closed when jobs may start, or at the latest at the end
	ended    chan struct{}           // closed when the status is final
	list     func() ([]any, error)   // all results, read once
	failList func() ([]any, error)

	mu       sync.Mutex // guards what follows; held while a failure is written to its spool
	progress StageProgress
	again    int               // of the open jobs: those that were tried before
	taken    map[*stageRun]int // results that this stage took from those it streams from
	flights  map[keyHash]*job  // submitted and not answered
	known    answered
	failures *failures
	foreseen foreseen
	whole    bool  // all of the input has been added
	err      error // why the stage cannot end well
	hooks    []HookReport
	hookErr  error
}

func newStageRun(r *Run, spec *Stage) *stageRun {
	s := &stageRun{
		run: r, spec: spec, mixed: len(spec.Tasks) > 0 || spec.Pipeline != nil,
		barrier: newBarrier(), results: newResults(r.runner.TempDir),
		begun: make(chan struct{}), ended: make(chan struct{}),
		progress: StageProgress{Stage: spec.Name, Status: Waiting},
		taken:    map[*stageRun]int{},
		flights:  map[keyHash]*job{},
		failures: newFailures(r.runner.TempDir),
		limit:    r.runner.window(),
	}
	s.force = slices.Contains(r.force, spec.Name) || slices.Contains(r.force, ForceAll)
	switch {
	case r.foresight != nil:
	case spec.MaxParallel > 0:
		s.limit = spec.MaxParallel
	case spec.hasParts():
		s.limit = min(s.limit, DefaultParts)
	}
	switch {
	case r.sample > 0:
		s.sample = newSample(spec, r.sample)
	case r.runner.Tape != nil && spec.Discover != nil:
		s.sample = newSample(spec, math.MaxInt) // all, and in an order that is not chance
	}
	if spec.Discover != nil {
		most := spec.Discover.MaxItems
		if s.sample != nil { // it keeps to that limit, in an order of its own
			most = 0
		}
		s.frontier = newFrontier(r.runner.TempDir, most)
	}
	s.list = sync.OnceValues(func() ([]any, error) {
		return s.results.list(r.runner.maxList(), s.inOrder(), s.resultValue)
	})
	s.failList = sync.OnceValues(func() ([]any, error) {
		return s.failures.list(r.runner.maxList(), s.places())
	})
	return s
}

// setOrder settles how places come to be in the order of the input. Results that are taken as they arrive
// come in any order; one job for each of them takes its place. A stage that feeds itself has no input
// but what it finds, in the order in which it does.
func (s *stageRun) setOrder() {
	in := s.spec.Input
	if !s.streams() || s.frontier != nil {
		return
	}
	if s.follows = len(s.from) == 1 && !in.Flatten && in.Batch == 0 && len(s.spec.Tasks) == 0; !s.follows {
		s.order = newOrder(s.run.runner.TempDir, len(s.from))
	}
}

// inOrder gives the results in the order of the input. Items without one are left out. It is for when
// the stage has ended.
func (s *stageRun) inOrder() iter.Seq2[[]byte, error] {
	if s.spec.Results.Arrival {
		return s.results.inArrival()
	}
	return s.results.inOrder(s.places())
}

// do is the whole life of the stage. It is called once, in a goroutine of the run.
func (s *stageRun) do(ctx context.Context) {
	defer s.open(ctx)()
	err := s.awaitNeeds(s.adding)
	run := true
	if err == nil {
		run, err = s.condition()
	}
	close(s.begun)
	switch {
	case err != nil:
		s.end(s.statusOf(err), err)
	case !run:
		s.end(Skipped, nil)
	default:
		s.begin()
		err = s.work(s.adding)
		s.end(s.outcome(err))
	}
	close(s.ended)
	s.ringReaders()
	if err := s.recordStage(); err != nil {
		s.setHooks(nil, err) // who cannot keep that the stage has ended must not tell it either
		return
	}
	s.doHooks()
}

func (s *stageRun) ringReaders() {
	for _, reader := range s.readers {
		reader.bell.ring()
	}
}

// awaitNeeds waits until the stage may begin.
func (s *stageRun) awaitNeeds(ctx context.Context) error {
	for _, need := range s.needs {
		select {
		case <-need.ended:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		if err := context.Cause(ctx); err != nil {
			return err // it may be what ended the other stage too
		}
		if status := need.status(); !status.Good() && status != pending {
			return fmt.Errorf("%w: %q ended with %s", ErrBlocked, need.spec.Name, status)
		}
	}
	if s.lacksResults() {
		return errPending
	}
	if !s.streams() {
		return context.Cause(ctx)
	}
	for _, from := range s.from {
		select {
		case <-from.begun:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return context.Cause(ctx)
}

// condition says whether the stage runs at all.
func (s *stageRun) condition() (bool, error) {
	return holds(s.spec.If, s.run.scope(s.spec.If))
}

func (s *stageRun) begin() {
	s.mu.Lock()
	s.progress.Status = Running
	s.progress.StartedAt = time.Now()
	s.mu.Unlock()
	s.run.events.report(Event{Run: s.run.id, Kind: StageStarted, Stage: s.spec.Name})
	if err := s.recordStage(); err != nil {
		s.abort(err)
	}
}

// open makes the contexts of the stage within that of the run, and returns what ends them.
func (s *stageRun) open(ctx context.Context) (end func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.adding, s.stop = context.WithCancelCause(ctx)
	s.jobs, s.cancel = context.WithCancelCause(s.run.jobs)
	return func() {
		s.stop(nil)
		s.cancel(nil)
	}
}

// work feeds the task set and waits for all of it. The error says why not all input became jobs.
func (s *stageRun) work(ctx context.Context) error {
	s.set = s.run.submitter.open(s.jobs, s.limit)
	err := s.makeMakers()
	if err == nil {
		err = newIntake(s).run(ctx)
	}
	s.closeInput()
	<-s.barrier.opened
	s.set.wait()
	s.parts.Wait()
	return err
}

func (s *stageRun) makeMakers() error {
	for _, spec := range s.spec.Works() {
		m, err := newJobMaker(s, spec)
		if err != nil {
			return err
		}
		s.makers = append(s.makers, m)
	}
	return nil
}

// abort ends the stage because of something that is not one job's trouble.
func (s *stageRun) abort(err error) {
	s.mu.Lock()
	if s.err == nil {
		s.err = err
	}
	s.mu.Unlock()
	s.stop(err)
	s.cancel(err)
}

// outcome is how the stage ended; err is why its intake ended early, if it did.
func (s *stageRun) outcome(err error) (Status, error) {
	s.mu.Lock()
	p, own := s.progress, s.err
	s.mu.Unlock()
	switch {
	case errors.Is(own, ErrCancelled):
		return Cancelled, own
	case own != nil:
		return Failure, own
	case s.hasEnough(p, err):
		return Success, nil
	case err != nil:
		return s.statusOf(err), err
	case s.isPending():
		return pending, nil
	case p.Dropped > 0:
		cause := context.Cause(s.run.jobs)
		return s.statusOf(cause), cause
	case !s.spec.Wait.isAll():
		return Failure, ErrTooManyFailures
	case !s.spec.AllowFailures.allows(p.Failed, p.Added, true):
		return Failure, ErrTooManyFailures
	case p.Failed > 0:
		return Partial, nil
	}
	return Success, nil
}

// hasEnough reports whether the stage has the results that it waits for; err is why its intake ended
// early, if it did.
func (s *stageRun) hasEnough(p StageProgress, err error) bool {
	if s.spec.Wait.isAll() {
		return false
	}
	return errors.Is(err, errEnough) || err == nil && s.spec.Wait.isMet(p.Done, p.Added, true)
}

// statusOf is the status of a stage that could not go on because of err.
func (s *stageRun) statusOf(err error) Status {
	switch {
	case errors.Is(err, errPending):
		return pending
	case errors.Is(err, ErrBlocked):
		return Blocked
	case errors.Is(err, ErrRunTimeout), errors.Is(err, context.DeadlineExceeded):
		return TimedOut
	case errors.Is(err, context.Canceled), errors.Is(err, ErrCancelled), s.run.isEnd(err):
		return Cancelled
	}
	return Failure
}

func (s *stageRun) end(status Status, err error) {
	s.mu.Lock()
	s.progress.Status = status
	s.progress.EndedAt = time.Now()
	s.err = err
	s.mu.Unlock()
	s.run.events.report(Event{Run: s.run.id, Kind: StageEnded, Stage: s.spec.Name, Status: status, Err: err})
}

func (s *stageRun) status() Status {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.progress.Status
}
