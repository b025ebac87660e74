package gearman

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/geartrain/geartrain/gearman/protocol"
)

func TestWorkerSleepsAndWakes(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newTestWorker(t, 2)
		w.Handle("echo", echo)
		w.HandleWith("slow", FunctionConfig{Timeout: 1500 * time.Microsecond}, echo)
		c := w.run(t)
		c.expect("OPTION_REQ "+protocol.OptionCancel, "OPTION_REQ "+protocol.OptionAttempts, "SET_CLIENT_ID test",
			"CAN_DO echo", "CAN_DO_TIMEOUT slow|10002", "GRAB_JOB_UNIQ")
		c.send(protocol.NoJob)
		c.expect("PRE_SLEEP")
		c.silent()
		c.send(protocol.Noop)
		c.expect("GRAB_JOB_UNIQ")
		c.send(protocol.NoJob)
		c.expect("PRE_SLEEP")
		w.finish(t, c)
	})
}

func TestWorkerSendsEndAndNextGrabInOneWrite(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newTestWorker(t, 1)
		w.Handle("echo", echo)
		c := w.run(t)
		c.hello(true, "echo")
		for i := range 5 {
			handle := fmt.Sprintf("H:x:%d/1", i)
			c.assign(handle, "echo", "payload")
			require.Equal(t, []string{"WORK_COMPLETE " + handle + "|payload", "GRAB_JOB_UNIQ"}, c.write())
		}
		w.finish(t, c)
	})
}

func TestWorkerRunsJobsAtOnceOverOneConnection(t *testing.T) {
	bubble(t, func(t *testing.T) {
		const n = 8
		release := make(chan struct{})
		w := newTestWorker(t, n)
		w.Handle("hold", held(release))
		c := w.run(t)
		c.hello(true, "hold")
		asked := 1
		for i := range n {
			c.assign(fmt.Sprintf("H:x:%d/1", i), "hold", "")
			synctest.Wait()
			for len(c.writes) > 0 {
				asked += len(c.write())
			}
			require.LessOrEqual(t, asked, n)
		}
		require.Equal(t, n, asked, "one grab for each slot, and none beyond")
		close(release)
		ends, grabs := 0, 0
		for ends < n {
			for _, p := range c.write() {
				if strings.HasPrefix(p, "WORK_COMPLETE") {
					ends++
				} else {
					grabs++
				}
			}
		}
		require.Equal(t, n, grabs, "the window is open: each end brings its own grab")
		w.finish(t, c)
	})
}

func TestWorkerEnds(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name    string
		handler HandlerFunc
		want    string // with % for the handle
		stock   string // what follows for a server that does not number attempts
	}{
		{"result", func(context.Context, *Job) ([]byte, error) { return []byte("r\x00s"), nil }, "WORK_COMPLETE %|r\x00s", ""},
		{"nil", func(context.Context, *Job) ([]byte, error) { return nil, nil }, "WORK_COMPLETE %|", ""},
		{"empty", func(context.Context, *Job) ([]byte, error) { return []byte{}, nil }, "WORK_COMPLETE %|", ""},
		{"error", func(context.Context, *Job) ([]byte, error) { return nil, errors.New("bad") }, "WORK_EXCEPTION %|bad", "WORK_FAIL %"},
		{"final", func(context.Context, *Job) ([]byte, error) { return nil, NoRetry(errors.New("bad")) }, "WORK_EXCEPTION %|no retry: bad", "WORK_FAIL %"},
		{"fail", func(context.Context, *Job) ([]byte, error) { return nil, fmt.Errorf("x: %w", ErrFail) }, "WORK_FAIL %", ""},
		{"no text", func(context.Context, *Job) ([]byte, error) { return nil, errors.New("") }, "WORK_FAIL %", ""},
		{"panic", func(context.Context, *Job) ([]byte, error) { panic("oh") }, "WORK_EXCEPTION %|panic: oh", "WORK_FAIL %"},
		{"goexit", func(context.Context, *Job) ([]byte, error) { runtime.Goexit(); return nil, nil }, "WORK_EXCEPTION %|" + errHandlerGone.Error(), "WORK_FAIL %"},
		{"too large", func(context.Context, *Job) ([]byte, error) { return make([]byte, 2000), nil },
			"WORK_EXCEPTION %|gearman: a result of 2000 bytes is over the packet limit of 1000", "WORK_FAIL %"},
	} {
		for _, numbered := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s/numbered=%v", tt.name, numbered), func(t *testing.T) {
				bubble(t, func(t *testing.T) {
					w := newTestWorker(t, 1, func(c *WorkerConfig) { c.MaxPacketBytes = 1000 })
					w.Handle("f", tt.handler)
					c := w.run(t)
					c.hello(numbered, "f")
					handle := "H:x:1"
					if numbered {
						handle += "/3"
					}
					c.assign(handle, "f", "")
					want := []string{tt.want}
					if !numbered && tt.stock != "" {
						want = append(want, tt.stock)
					}
					want = append(want, "GRAB_JOB_UNIQ")
					require.Equal(t, strings.ReplaceAll(strings.Join(want, "\n"), "%", handle), strings.Join(c.write(), "\n"))
					w.finish(t, c)
				})
			})
		}
	}
}

func TestJob(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newTestWorker(t, 1)
		var after *Job
		w.Handle("f", func(ctx context.Context, job *Job) ([]byte, error) {
			same, ok := JobFrom(context.WithoutCancel(ctx))
			require.True(t, ok)
			require.Same(t, job, same)
			require.NoError(t, job.SendData([]byte("d")))
			require.NoError(t, job.SendWarning([]byte("w")))
			require.NoError(t, job.SendStatus(3, 10))
			after = job
			return fmt.Appendf(nil, "%s %s %s %s %d", job.Handle(), job.Function(), job.Key(), job.Payload(), job.Attempt()), nil
		})
		_, ok := JobFrom(t.Context())
		require.False(t, ok)

		c := w.run(t)
		c.hello(true, "f")
		c.send(protocol.JobAssignUniq, "H:a/b:1/12", "f", "k", "p")
		c.expect("WORK_DATA H:a/b:1/12|d", "WORK_WARNING H:a/b:1/12|w", "WORK_STATUS H:a/b:1/12|3|10",
			"WORK_COMPLETE H:a/b:1/12|H:a/b:1 f k p 12", "GRAB_JOB_UNIQ")
		require.ErrorIs(t, after.SendData(nil), ErrJobEnded)
		c.send(protocol.JobAssign, "H:x", "f", "p")
		c.expect("WORK_DATA H:x|d", "WORK_WARNING H:x|w", "WORK_STATUS H:x|3|10", "WORK_COMPLETE H:x|H:x f  p 0", "GRAB_JOB_UNIQ")
		w.finish(t, c)
	})
}

func TestWorkerMiddleware(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newTestWorker(t, 1)
		wrap := func(name string) Middleware {
			return func(next HandlerFunc) HandlerFunc {
				return func(ctx context.Context, job *Job) ([]byte, error) {
					result, err := next(ctx, job)
					return append([]byte(name), result...), err
				}
			}
		}
		w.Use(wrap("a"))
		w.Handle("f", echo)
		w.Use(wrap("b"), wrap("c"))
		c := w.run(t)
		c.hello(true, "f")
		c.assign("H/1", "f", "x")
		c.expect("WORK_COMPLETE H/1|abcx", "GRAB_JOB_UNIQ")
		require.Panics(t, func() { w.Handle("g", echo) })
		require.Panics(t, func() { w.Use(wrap("d")) })
		w.finish(t, c)
	})
}

func TestWorkerTimeout(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newTestWorker(t, 1)
		w.HandleWith("f", FunctionConfig{Timeout: time.Second}, func(ctx context.Context, _ *Job) ([]byte, error) {
			<-ctx.Done()
			require.ErrorIs(t, ctx.Err(), context.DeadlineExceeded)
			return nil, context.Cause(ctx)
		})
		c := w.run(t)
		c.expect("OPTION_REQ "+protocol.OptionCancel, "OPTION_REQ "+protocol.OptionAttempts, "SET_CLIENT_ID test",
			"CAN_DO_TIMEOUT f|11000", "GRAB_JOB_UNIQ")
		c.send(protocol.OptionRes, protocol.OptionCancel)
		c.send(protocol.OptionRes, protocol.OptionAttempts)
		begun := time.Now()
		c.assign("H/1", "f", "")
		c.expect("WORK_EXCEPTION H/1|timed out: "+ErrJobTimeout.Error(), "GRAB_JOB_UNIQ")
		require.Equal(t, time.Second, time.Since(begun))
		w.finish(t, c)
	})
}

func TestWorkerCancel(t *testing.T) {
	for reason, cause := range map[string]error{"cancelled": ErrJobCancelled, "timeout": ErrJobTimeout} {
		t.Run(reason, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				w := newTestWorker(t, 2)
				causes := make(chan error, 1)
				w.Handle("f", func(ctx context.Context, job *Job) ([]byte, error) {
					if string(job.Payload()) == "other" {
						return nil, nil
					}
					<-ctx.Done()
					causes <- context.Cause(ctx)
					return nil, ctx.Err()
				})
				c := w.run(t)
				c.hello(true, "f")
				c.assign("H/1", "f", "")
				c.expect("GRAB_JOB_UNIQ")
				c.send(protocol.JobCancel, "H/2", "cancelled") // an attempt that this worker never had
				c.send(protocol.JobCancel, "H", "cancelled")
				c.silent()
				c.send(protocol.JobCancel, "H/1", reason)
				c.expect("WORK_FAIL H/1", "GRAB_JOB_UNIQ")
				require.Equal(t, cause, <-causes)
				w.finish(t, c)
			})
		})
	}
}

func TestWorkerWithoutTheFunction(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newTestWorker(t, 1)
		w.Handle("f", echo)
		c := w.run(t)
		c.hello(true, "f")
		c.assign("H/1", "g", "")
		c.expect(`WORK_EXCEPTION H/1|gearman: this worker has no function "g"`, "GRAB_JOB_UNIQ")
		w.finish(t, c)
	})
}

func TestMaxParallelHasItsOwnConnection(t *testing.T) {
	bubble(t, func(t *testing.T) {
		release := make(chan struct{})
		w := newTestWorker(t, 4)
		w.HandleWith("one", FunctionConfig{MaxParallel: 1}, held(release))
		w.HandleWith("many", FunctionConfig{MaxParallel: 4}, echo) // no limit beyond the worker's
		w.launch(t)
		conns := map[string]*scriptedConn{}
		for range 2 {
			c := <-w.server.conns
			c.expect("OPTION_REQ "+protocol.OptionCancel, "OPTION_REQ "+protocol.OptionAttempts, "SET_CLIENT_ID test")
			packets := c.write()
			conns[packets[0]], c.rest = c, packets[1:]
		}
		one, many := conns["CAN_DO one"], conns["CAN_DO many"]
		for _, c := range conns {
			c.expect("GRAB_JOB_UNIQ")
			c.send(protocol.OptionRes, protocol.OptionCancel)
			c.send(protocol.OptionRes, protocol.OptionAttempts)
		}
		one.assign("H:1/1", "one", "")
		one.silent()
		many.assign("H:2/1", "many", "x")
		many.until("WORK_COMPLETE H:2/1|x")
		close(release)
		one.expect("WORK_COMPLETE H:1/1|", "GRAB_JOB_UNIQ")
		w.finish(t, one, many)
	})
}

func TestNewWorkerRefuses(t *testing.T) {
	t.Parallel()
	for _, cfg := range []WorkerConfig{
		{Servers: []string{"a b"}},
		{Servers: []string{"a", "a"}},
		{Servers: []string{"unix:"}},
		{Concurrency: -1},
		{ID: "two words"},
		{ID: "line\nbreak"},
	} {
		_, err := NewWorker(cfg)
		require.Error(t, err, "%+v", cfg)
	}
	w, err := NewWorker(WorkerConfig{})
	require.NoError(t, err)
	require.Equal(t, runtime.GOMAXPROCS(0), w.config.Concurrency)
	require.ErrorContains(t, w.Run(t.Context()), "no functions")
	require.Panics(t, func() { w.Handle("", echo) })
	require.Panics(t, func() { w.Handle("a\x00b", echo) })
	require.Panics(t, func() { w.Handle("f", nil) })
	require.Panics(t, func() { w.HandleWith("f", FunctionConfig{Timeout: -1}, echo) })
	w.Handle("f", echo)
	require.Panics(t, func() { w.Handle("f", echo) })
}
