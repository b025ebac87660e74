package flow

import (
	"context"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/geartrain/geartrain/flow/expression"
	"github.com/geartrain/geartrain/gearman"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// handler does a job of a fake server.
type handler func(ctx context.Context, payload string) (string, error)

// fakeServer is a submitter without a server: each task runs its handler in a goroutine at once, and
// equal keys are not joined, so that a test sees each submission.
type fakeServer struct {
	handlers map[string]handler

	mu    sync.Mutex // guards what follows
	tasks []gearman.Task
}

func (f *fakeServer) open(ctx context.Context, limit int) taskSet {
	return &fakeSet{server: f, ctx: ctx, places: make(chan struct{}, limit)}
}

// submitted is the payloads of a function's tasks, in order.
func (f *fakeServer) submitted(function string) []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	var payloads []string
	for _, t := range f.tasks {
		if t.Function == function {
			payloads = append(payloads, string(t.Payload))
		}
	}
	return payloads
}

type fakeSet struct {
	server  *fakeServer
	ctx     context.Context
	places  chan struct{}
	running sync.WaitGroup
	mu      sync.Mutex // held by the callback that runs
}

func (s *fakeSet) add(t gearman.Task) {
	s.server.mu.Lock()
	s.server.tasks = append(s.server.tasks, t)
	s.server.mu.Unlock()
	s.places <- struct{}{}
	s.running.Go(func() {
		out, err := s.run(t)
		<-s.places
		s.mu.Lock()
		defer s.mu.Unlock()
		if err != nil {
			t.OnFail(err)
			return
		}
		t.OnComplete(gearman.Result{Payload: []byte(out), Attempt: 1})
	})
}

func (s *fakeSet) run(t gearman.Task) (string, error) {
	h := s.server.handlers[t.Function]
	if h == nil {
		<-s.ctx.Done() // nobody has the function: the job waits
		return "", &gearman.TaskError{Function: t.Function, Err: context.Cause(s.ctx)}
	}
	out, err := h(s.ctx, string(t.Payload))
	switch {
	case s.ctx.Err() != nil:
		return "", &gearman.TaskError{Function: t.Function, Err: context.Cause(s.ctx)}
	case err != nil:
		err = &gearman.TaskError{Function: t.Function, Attempt: 1, Exception: []byte(err.Error()), Err: gearman.ErrTaskFailed}
	}
	return out, err
}

func (s *fakeSet) wait() { s.running.Wait() }

// fakeRunner runs plans on handlers.
func fakeRunner(handlers map[string]handler) (*Runner, *fakeServer) {
	f := &fakeServer{handlers: handlers}
	return &Runner{submitter: f}, f
}

func template(t testing.TB, source any) expression.Template {
	t.Helper()
	c, err := expression.Compile(source, resultContexts()...)
	require.NoError(t, err)
	return c
}

func stageNamed(r *Report, name string) StageReport {
	for _, s := range r.Stages {
		if s.Stage == name {
			return s
		}
	}
	return StageReport{}
}
