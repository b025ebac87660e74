package gearman

import (
	"context"
	"fmt"
)

// Func is the contract between who asks and who works: a function's name, what goes in and what
// comes out. It is declared once and imported by both sides. A Func is a value; copies are cheap and
// it is safe for concurrent use.
//
// string and []byte cross the wire as they are, so that workers in other languages and the classic
// commands understand them. Every other type is JSON, unless [Func.WithCodec] says otherwise.
type Func[In, Out any] struct {
	name string
	key  func(In) string // nil: a fresh key for each task
	in   Codec[In]
	out  Codec[Out]
}

// NewFunc declares the function of that name. The name is used on the wire as it is.
func NewFunc[In, Out any](name string) Func[In, Out] {
	return Func[In, Out]{name: name, in: codecFor[In](), out: codecFor[Out]()}
}

// WithKey returns a Func whose tasks take their key from their input, see [Task].Key. f is unchanged.
func (f Func[In, Out]) WithKey(key func(In) string) Func[In, Out] {
	f.key = key
	return f
}

// WithCodec returns a Func that encodes in another way. A nil codec leaves that side as it is. f is
// unchanged.
func (f Func[In, Out]) WithCodec(in Codec[In], out Codec[Out]) Func[In, Out] {
	if in != nil {
		f.in = in
	}
	if out != nil {
		f.out = out
	}
	return f
}

// Name is the function's name.
func (f Func[In, Out]) Name() string { return f.name }

// Do asks for one result and waits for it, see [Client.Do]. tune may change the task before it is
// submitted: its priority, retries, callbacks.
func (f Func[In, Out]) Do(ctx context.Context, c *Client, in In, tune ...func(*Task)) (Out, error) {
	set := c.NewTaskSet(ctx)
	future := f.Add(set, in, tune...)
	<-future.done
	return future.value, future.err
}

// Add adds a task to s, see [TaskSet.Add]. An input that cannot be encoded, and a result that cannot
// be decoded, are failures of the task like any other; they are not tried again. tune may change the
// task before it is submitted.
func (f Func[In, Out]) Add(s *TaskSet, in In, tune ...func(*Task)) *Future[Out] {
	future := newFuture(s, f.decode)
	t, err := f.task(in)
	for _, change := range tune {
		change(&t)
	}
	s.add(t, future, err)
	return future
}

// Handle makes w serve the function with h. The job itself, for reports on its progress, is found
// with JobFrom(ctx). It panics when w has a handler of that name.
func (f Func[In, Out]) Handle(w *Worker, h func(ctx context.Context, in In) (Out, error)) {
	w.Handle(f.name, func(ctx context.Context, job *Job) ([]byte, error) {
		in, err := f.in.Decode(job.Payload())
		if err != nil {
			return nil, NoRetry(fmt.Errorf("decode the input of %q: %w", f.name, err))
		}
		out, err := h(ctx, in)
		if err != nil {
			return nil, err
		}
		return f.out.Append(nil, out)
	})
}

func (f Func[In, Out]) task(in In) (Task, error) {
	t := Task{Function: f.name}
	payload, err := f.in.Append(nil, in)
	if err != nil {
		return t, fmt.Errorf("encode the input of %q: %w", f.name, err)
	}
	t.Payload = payload
	if f.key != nil {
		t.Key = f.key(in)
	}
	return t, nil
}

func (f Func[In, Out]) decode(p []byte) (Out, error) {
	out, err := f.out.Decode(p)
	if err != nil {
		return out, fmt.Errorf("decode the result of %q: %w", f.name, err)
	}
	return out, nil
}
