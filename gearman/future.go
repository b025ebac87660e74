package gearman

import "context"

// Future is the eventual result of one task. All methods may be called from any goroutine, any
// number of times.
type Future[T any] struct {
	set    *TaskSet
	decode func([]byte) (T, error)
	done   chan struct{}

	// Written before done is closed, read after it.
	value T
	err   error

	then []func(T, error) // guarded by set.mu; what is to run when the task ends
}

func newFuture[T any](s *TaskSet, decode func([]byte) (T, error)) *Future[T] {
	return &Future[T]{set: s, decode: decode, done: make(chan struct{})}
}

// Wait waits for the task's end, or for ctx's, and returns the result, or a *[TaskError], or the
// context's cause. The task goes on when ctx ends. It must not be called from a callback of the set.
func (f *Future[T]) Wait(ctx context.Context) (T, error) {
	select {
	case <-f.done:
		return f.value, f.err
	default:
	}
	select {
	case <-f.done:
		return f.value, f.err
	case <-ctx.Done():
		return *new(T), context.Cause(ctx)
	}
}

// Done is closed when the task has ended and its callbacks have run.
func (f *Future[T]) Done() <-chan struct{} { return f.done }

// Then runs fn once with what Wait would return, among the set's callbacks: after the task's own, or
// soon if it has ended already. The set's Wait waits for fn too. It returns f.
func (f *Future[T]) Then(fn func(T, error)) *Future[T] {
	f.set.mu.Lock()
	defer f.set.unlock()
	select {
	case <-f.done:
		f.set.queueCall(func() { fn(f.value, f.err) })
	default:
		f.then = append(f.then, fn)
	}
	return f
}

// accept takes the task's result. Its error becomes the task's.
func (f *Future[T]) accept(payload []byte) (err error) {
	f.value, err = f.decode(payload)
	return err
}

// settle ends the future; what was registered with Then is queued. The caller holds the set's lock.
func (f *Future[T]) settle(err error) {
	if err != nil {
		f.value, f.err = *new(T), err
	}
	close(f.done)
	for _, fn := range f.then {
		f.set.queueCall(func() { fn(f.value, f.err) })
	}
	f.then = nil
}
