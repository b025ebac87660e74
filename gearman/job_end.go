package gearman

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/sourcegraph/conc/panics"

	"github.com/geartrain/geartrain/gearman/protocol"
)

// maxException is how much of an error's text is sent, in bytes.
const maxException = 64 << 10

// outcome is how a handler ended.
type outcome struct {
	result []byte
	err    error
	cause  error // of the context's end, nil when it had not ended
	taken  bool  // the server took the attempt away, so nobody hears its error
}

// work runs a job's handler and tells the server how it ended. It is the job's own goroutine.
func (w *Worker) work(ctx context.Context, job *Job, fn *function) {
	defer job.stop(nil)
	if fn.config.Timeout > 0 {
		var end context.CancelFunc
		ctx, end = context.WithTimeoutCause(ctx, fn.config.Timeout, ErrJobTimeout)
		defer end()
	}
	out := outcome{err: errHandlerGone} // what remains when the handler calls runtime.Goexit
	defer func() {
		out.cause, out.taken = context.Cause(ctx), job.taken.Load()
		job.station.finish(job, out)
	}()
	out.result, out.err = w.call(ctx, job, fn.handler)
}

// call turns a panic into an error. The stack is for the log and not for the wire.
func (w *Worker) call(ctx context.Context, job *Job, h HandlerFunc) (result []byte, err error) {
	var catcher panics.Catcher
	catcher.Try(func() { result, err = h(ctx, job) })
	if r := catcher.Recovered(); r != nil {
		w.logger.Error("panic in a handler", slog.String("function", job.function), slog.String("handle", quoted(job.wire)),
			slog.Any("panic", r.Value), slog.String("stack", string(r.Stack)))
		return nil, fmt.Errorf("panic: %v", r.Value)
	}
	return result, err
}

// givenBack reports whether the job is to be left to the server, which hands it to another worker when
// the connection closes.
func (o *outcome) givenBack() bool {
	return o.err != nil && errors.Is(o.cause, ErrWorkerStopped)
}

// append appends the packets that end the job. A server that numbers attempts ends a job at its
// exception. Of the others Perl's needs a WORK_FAIL after it, and gearmand answers that one with an ERROR
// that harms nobody.
func (o *outcome) append(dst, handle []byte, maxPacket int, numbered bool) []byte {
	err := o.err
	if size := len(handle) + 1 + len(o.result); err == nil && size > maxPacket {
		err = fmt.Errorf("gearman: a result of %d bytes is over the packet limit of %d", len(o.result), maxPacket)
	}
	if err == nil {
		return protocol.AppendPacket(dst, protocol.Request, protocol.WorkComplete, handle, o.result)
	}
	if text := o.exceptionText(err); text != "" && !o.taken {
		dst = protocol.AppendPacket(dst, protocol.Request, protocol.WorkException, handle, []byte(text))
		if numbered {
			return dst
		}
	}
	return protocol.AppendPacket(dst, protocol.Request, protocol.WorkFail, handle)
}

// exceptionText is what is sent of an error, empty for none.
func (o *outcome) exceptionText(err error) string {
	_, final := errors.AsType[*finalError](err)
	text := err.Error()
	switch {
	case errors.Is(err, ErrFail):
		return ""
	case final:
		text = noRetry + text
	case errors.Is(o.cause, ErrJobTimeout):
		text = timedOut + text
	}
	return text[:min(len(text), maxException)]
}
