package gearman

import (
	"fmt"

	"github.com/sourcegraph/conc/panics"
)

// notice is something that a task's callbacks are to be told.
type notice struct {
	kind    noticeKind
	task    *pending // nil for a call
	payload []byte

	numerator, denominator int // of a status; the numerator is also a retry's number

	handle  Handle     // of an end, or of JOB_CREATED
	failure *TaskError // of an end without a result, or why there is a retry
	call    func()
}

type noticeKind uint8

const (
	gotData noticeKind = iota
	gotWarning
	gotStatus
	gotCreated
	gotRetry
	gotEnd
	gotCall // a function given to Future.Then
)

// cost is what the notice counts for in the set's backlog. The end of a task costs nothing: there is
// one for each.
func (n *notice) cost() int {
	if n.kind > gotStatus {
		return 0
	}
	return len(n.payload) + 64
}

// queueCall has fn called among the callbacks. The caller holds the lock.
func (s *TaskSet) queueCall(fn func()) {
	s.undone++
	s.notices = append(s.notices, notice{kind: gotCall, call: fn})
}

// deliver calls the callbacks that are due and then ends; the next notice starts another one. So
// there is at most one such goroutine in a set, and none in an idle one.
func (s *TaskSet) deliver() {
	var batch []notice
	for {
		s.mu.Lock()
		clear(batch)
		batch, s.notices = s.notices, batch[:0]
		if len(batch) == 0 {
			s.delivering, s.notices = false, nil
			s.mu.Unlock()
			return
		}
		s.mu.Unlock()
		for i := range batch {
			s.tell(&batch[i])
		}
	}
}

// tell calls what n is for.
func (s *TaskSet) tell(n *notice) {
	switch n.kind {
	case gotEnd:
		s.conclude(n)
	case gotCall:
		s.called(caught(n.call))
	default:
		s.inform(n)
	}
}

// inform calls a callback of a task that goes on. If it panics, the task ends with that, and of what is already
// queued for it only the end is told.
func (s *TaskSet) inform(n *notice) {
	t := &n.task.task
	err := caught(func() {
		if n.task.panicked != nil {
			return
		}
		switch n.kind {
		case gotData:
			t.OnData(n.payload)
		case gotWarning:
			t.OnWarning(n.payload)
		case gotStatus:
			t.OnStatus(n.numerator, n.denominator)
		case gotCreated:
			t.OnCreated(n.handle)
		case gotRetry:
			t.OnRetry(n.numerator, n.failure)
		}
	})
	s.mu.Lock()
	defer s.unlock()
	s.backlog -= n.cost()
	if err != nil {
		n.task.panicked = err
		n.task.fail(n.task.failure(err))
	}
}

// conclude ends a task: the result is accepted, the last callback runs, the future settles.
func (s *TaskSet) conclude(n *notice) {
	p := n.task
	result := Result{Task: &p.task}
	err := n.failure
	if err == nil {
		complete := Result{Task: &p.task, Handle: n.handle, Payload: n.payload, Attempt: p.attempt, Age: p.age}
		trouble := p.panicked
		if trouble == nil {
			trouble = p.complete(complete)
		}
		if trouble != nil {
			err = &TaskError{Function: p.task.Function, Key: p.task.Key, Handle: n.handle, Attempt: p.attempt, Err: trouble}
		} else {
			result = complete
		}
	}
	if err != nil && p.task.OnFail != nil {
		if trouble := caught(func() { p.task.OnFail(err) }); trouble != nil {
			both := *err // OnFail may have kept err
			both.Err = fmt.Errorf("%w; then %w", err.Err, trouble)
			err = &both
		}
	}
	s.count(p, result, err)
}

// complete hands a result over. It fails if it cannot be decoded or a callback panics.
func (p *pending) complete(r Result) error {
	var err error
	trouble := caught(func() {
		if err = p.answer.accept(r.Payload); err == nil && p.task.OnComplete != nil {
			p.task.OnComplete(r)
		}
	})
	if trouble != nil {
		return trouble
	}
	return err
}

// count settles the future and counts the task as done.
func (s *TaskSet) count(p *pending, r Result, err *TaskError) {
	s.mu.Lock()
	defer s.unlock()
	a := answer{result: r}
	if err == nil {
		s.progress.Completed++
		p.answer.settle(nil)
	} else {
		a.err = err
		s.progress.Failed++
		s.noteFailure(err)
		p.answer.settle(err)
	}
	if s.collects {
		s.results = append(s.results, a)
	}
	s.doneLocked()
}

// called counts a function given to Then as done. If it panicked, the set has failed.
func (s *TaskSet) called(err error) {
	s.mu.Lock()
	defer s.unlock()
	if err != nil {
		s.faults++
		s.noteFailure(&TaskError{Err: err})
	}
	s.doneLocked()
}

func (s *TaskSet) noteFailure(err *TaskError) {
	if len(s.first) < maxFirst {
		s.first = append(s.first, err)
	}
}

func (s *TaskSet) doneLocked() {
	s.undone--
	if s.undone == 0 || s.collects {
		s.news.Broadcast()
	}
}

// caught calls fn and returns a panic of it as an error, with the stack.
func caught(fn func()) error {
	if r := panics.Try(fn); r != nil {
		return fmt.Errorf("gearman: callback: %w", r.AsError())
	}
	return nil
}
