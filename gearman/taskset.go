package gearman

import (
	"context"
	"fmt"
	"iter"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"
)

const (
	maxFirst   = 10       // failures that a SetError names
	maxBacklog = 64 << 20 // bytes of data that may wait for a set's callbacks
)

// TaskSet runs many tasks at once. Work starts at Add, not at Wait. It is a scope, as errgroup's
// groups are: when its context ends, every task without an answer fails with the context's cause.
//
// A set may be used by many goroutines, and again after Wait. A set that nobody waits for leaves
// nothing behind once its tasks have ended. Its memory is that of the tasks without an answer; of the
// others it keeps the counts and the first few failures.
//
//	Add ──► open ──► answered ──► callbacks, future, Then ──► counted
//	          │          └── its place in the limit is free    └── Wait no longer waits for it
//	          └── Cancel, or the context's end: answered with the cause
type TaskSet struct {
	client     *Client
	ctx        context.Context
	background bool // tasks are answered when they are accepted; for Client.Submit

	mu    sync.Mutex // guards the fields below and those of the set's tasks
	room  sync.Cond  // a place in the limit is free
	news  sync.Cond  // all is done, or there is a result to be ranged over
	limit int        // 0: none
	waits bool       // while a queue is full; see AwaitRoom
	holds bool       // Hold was called, and neither Release nor Wait after it
	held  []*submission
	taken int // places
	open  map[*pending]struct{}
	due   []*pending // retries whose time has come, waiting for a place
	cause error      // of Cancel or of the context's end
	watch []func() bool

	// What is to be done once the lock is free: see unlock.
	outgoing  []*submission // to be routed
	questions []*submission // whose servers are to be asked whether they run
	left      []*submission // whose servers are to be told that nobody waits here

	notices    []notice // what callbacks are to be told, in order
	backlog    int      // bytes of data in them
	delivering bool     // there is a goroutine that calls them

	progress Progress
	undone   int // tasks, and Then functions, that Wait has to wait for
	first    []*TaskError
	faults   int  // Then functions that panicked
	collects bool // Results was called
	results  []answer
}

// Progress counts a set's tasks.
type Progress struct{ Added, Completed, Failed int }

// Open is the number of tasks that have not ended.
func (p Progress) Open() int { return p.Added - p.Completed - p.Failed }

// answer is an element of Results.
type answer struct {
	result Result
	err    error
}

func newTaskSet(c *Client, ctx context.Context) *TaskSet {
	s := &TaskSet{client: c, ctx: ctx, open: make(map[*pending]struct{})}
	s.room.L, s.news.L = &s.mu, &s.mu
	return s
}

// Add submits t and returns its future. It waits while as many tasks as the limit allows have no
// answer, and while much of what was added before has not been written to the connection yet; what it
// waits for does not depend on callbacks, so that these may add tasks too.
//
// Add reports nothing itself. Any trouble, from an invalid task to a lost server, becomes that task's
// failure and is seen once each in OnFail, in the future and in Wait.
func (s *TaskSet) Add(t Task) *Future[[]byte] {
	f := newFuture(s, bytesCodec{}.Decode)
	s.add(t, f, nil)
	return f
}

// SetLimit bounds the tasks that have no answer to n; n <= 0: no limit, which is the default. Call it
// before the first Add.
func (s *TaskSet) SetLimit(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.limit = max(n, 0)
}

// AwaitRoom has a task that is refused because the queue is full wait, and not fail: it is submitted again,
// at least once a second, for as long as that takes. It counts as no attempt, and the task keeps its place in
// the limit, so that Add waits too. Call it before the first Add.
func (s *TaskSet) AwaitRoom() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.waits = true
}

// Hold keeps back what is added from now on until [TaskSet.Release] or the next Wait, for those who know
// task sets that start there. A limit of the set does not go with it: what is held takes places, and
// Add waits for one.
func (s *TaskSet) Hold() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.holds = true
}

// Release submits what was held, in the order in which it was added, and holds no more.
func (s *TaskSet) Release() {
	s.mu.Lock()
	defer s.unlock()
	s.holds = false
	s.outgoing = append(s.outgoing, s.held...)
	s.held = nil
}

// Results iterates over the tasks' answers in the order in which they came, and ends when every task
// that was added has ended. The error is a *[TaskError]; the Result beside it has the Task only.
//
// Results must be called before the first Add, since a set keeps answers only when it knows that they
// are wanted; it panics otherwise. Ranging over it may begin any time later. Answers wait in memory
// until they are ranged over, whatever the limit is.
func (s *TaskSet) Results() iter.Seq2[Result, error] {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.progress.Added > 0 && !s.collects {
		panic("gearman: TaskSet.Results must be called before the first Add")
	}
	s.collects = true
	return func(yield func(Result, error) bool) {
		for {
			a, ok := s.nextResult()
			if !ok || !yield(a.result, a.err) {
				return
			}
		}
	}
}

// Wait waits until all tasks have ended and their callbacks have run, also those that callbacks and
// other goroutines add meanwhile. It returns nil, or a *[SetError] if any task has failed so far. It
// must not be called from a callback of the set.
func (s *TaskSet) Wait() error { return s.WaitContext(context.Background()) }

// WaitContext is Wait until ctx ends; it then returns the context's cause and the tasks go on. What is
// done by then and what is open says [TaskSet.Progress].
func (s *TaskSet) WaitContext(ctx context.Context) error {
	s.Release()
	stop := context.AfterFunc(ctx, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.news.Broadcast()
	})
	defer stop()
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.undone > 0 && ctx.Err() == nil {
		s.news.Wait()
	}
	if s.undone > 0 {
		return fmt.Errorf("gearman: %d of %d tasks open: %w", s.progress.Open(), s.progress.Added, context.Cause(ctx))
	}
	failed := s.progress.Failed + s.faults
	if failed == 0 {
		return nil
	}
	return &SetError{Total: s.progress.Added, Failed: failed, First: slices.Clone(s.first)}
}

// Progress is how many tasks were added, completed and failed so far. A task counts as ended when its
// callbacks have run.
func (s *TaskSet) Progress() Progress {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.progress
}

// Cancel fails every task that has no answer, and every task added later, with cause. Jobs that a
// server has go on there, but for those of [Task].EndUnwanted; what they bring is dropped. A nil cause is
// context.Canceled.
func (s *TaskSet) Cancel(cause error) {
	if cause == nil {
		cause = context.Canceled
	}
	s.mu.Lock()
	defer s.unlock()
	if s.cause == nil {
		s.cause = cause
	}
	for p := range s.open {
		p.fail(p.failure(s.cause))
	}
	s.room.Broadcast()
}

// add is Add with the promise to keep; err is what is wrong with the task already.
func (s *TaskSet) add(t Task, to promise, err error) {
	s.start(&pending{task: t, answer: to, background: s.background}, err)
}

func (s *TaskSet) start(p *pending, err error) {
	if err == nil {
		err = p.check(s.client.maxPacket)
	}
	if p.task.Key == "" {
		p.task.Key = uuid.NewString()
	}
	p.set, p.attempt = s, 1
	p.servers = s.client.order(p.task.Function, p.task.Key)
	if sub := s.admit(p, err); sub != nil {
		if l := s.client.route(sub); l != nil {
			_ = l.room(s.ctx) // a dead link, or context, ends the task by itself
		}
	}
}

// admit opens p and gives it a place. It returns what is to be submitted, or nil if p has failed or is
// held.
func (s *TaskSet) admit(p *pending, err error) *submission {
	s.mu.Lock()
	defer s.unlock()
	s.progress.Added++
	s.undone++
	s.watchContexts()
	for err == nil && s.cause == nil && !s.takePlace(p) {
		s.room.Wait()
	}
	s.open[p] = struct{}{}
	s.watchContexts() // the wait may have outlived what was watched for the tasks before
	switch {
	case err != nil:
		p.fail(p.failure(err))
		return nil
	case s.cause != nil:
		p.fail(p.failure(s.cause))
		return nil
	}
	if !p.task.Deadline.IsZero() {
		p.deadline = time.AfterFunc(time.Until(p.task.Deadline), p.expire)
	}
	sub := p.submit()
	if s.holds {
		s.held = append(s.held, sub)
		return nil
	}
	return sub
}

// watchContexts makes the set end with its context and with its client, for as long as it has tasks.
func (s *TaskSet) watchContexts() {
	if len(s.watch) > 0 || s.cause != nil {
		return
	}
	for _, ctx := range []context.Context{s.ctx, s.client.ctx} {
		if ctx.Err() != nil {
			s.cause = context.Cause(ctx)
			return
		}
		s.watch = append(s.watch, context.AfterFunc(ctx, func() { s.Cancel(context.Cause(ctx)) }))
	}
}

// leave forgets an answered task.
func (s *TaskSet) leave(p *pending) {
	delete(s.open, p)
	if len(s.open) > 0 {
		return
	}
	for _, stop := range s.watch {
		stop()
	}
	s.watch = nil
}

// takePlace takes a place in the limit for p, if one is free.
func (s *TaskSet) takePlace(p *pending) bool {
	if s.limit > 0 && s.taken >= s.limit {
		return false
	}
	s.taken++
	p.placed = true
	return true
}

// giveUpPlace frees p's place, for the first retry that waits for one or else for an Add.
func (s *TaskSet) giveUpPlace(p *pending) {
	if !p.placed {
		return
	}
	p.placed = false
	s.taken--
	for len(s.due) > 0 {
		next := s.due[0]
		s.due[0] = nil
		s.due = s.due[1:]
		if !next.answered && s.takePlace(next) {
			next.submitLater()
			return
		}
	}
	s.room.Signal()
}

// nextResult waits for the next answer that nobody has taken. It is false when all is done.
func (s *TaskSet) nextResult() (answer, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for len(s.results) == 0 && s.undone > 0 {
		s.news.Wait()
	}
	if len(s.results) == 0 {
		return answer{}, false
	}
	a := s.results[0]
	s.results[0] = answer{}
	s.results = s.results[1:]
	return a, true
}

// unlock frees the lock and then does what was decided under it, so that no callback, and no session that
// could call back, is called while the set is locked.
func (s *TaskSet) unlock() {
	for _, sub := range s.left { // within the lock: no retry may overtake them
		s.client.sessions[sub.handle.Server].leave(sub)
	}
	s.left = nil
	outgoing, questions := s.outgoing, s.questions
	s.outgoing, s.questions = nil, nil
	if len(s.notices) > 0 && !s.delivering {
		s.delivering = true
		go s.deliver()
	}
	s.mu.Unlock()
	for _, sub := range outgoing {
		s.client.route(sub)
	}
	for _, sub := range questions {
		sub.task.askStatus(sub)
	}
}
