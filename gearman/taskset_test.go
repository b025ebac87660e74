package gearman

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/geartrain/geartrain/gearman/protocol"
)

func TestWorkStartsAtAdd(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFakeServer(t)
		set := f.client().NewTaskSet(t.Context())
		began := time.Now()
		var ended time.Duration
		set.Add(Task{Function: "echo", Payload: []byte("x"), OnComplete: func(Result) { ended = time.Since(began) }})
		s := f.accept()
		_, _, payload := s.take("H:1")
		time.Sleep(time.Second)
		s.send(protocol.WorkComplete, "H:1", payload)
		time.Sleep(5 * time.Second)
		require.NoError(t, set.Wait())
		require.Equal(t, time.Second, ended)
	})
}

func TestCallbacksRunOneAtATimeInOrder(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFakeServer(t)
		set := f.client().NewTaskSet(t.Context())
		var log []string // without a lock: the race detector watches
		note := func(format string, args ...any) { log = append(log, fmt.Sprintf(format, args...)) }
		future := set.Add(Task{
			Function:   "f",
			OnCreated:  func(h Handle) { note("created %s", h) },
			OnData:     func(p []byte) { time.Sleep(time.Second); note("data %s", p) },
			OnWarning:  func(p []byte) { note("warning %s", p) },
			OnStatus:   func(n, d int) { note("status %d/%d", n, d) },
			OnComplete: func(r Result) { note("complete %s %d", r.Payload, r.Attempt) },
			OnFail:     func(err error) { note("fail %v", err) },
		})
		future.Then(func(p []byte, err error) { note("then %s %v", p, err) })
		s := f.accept()
		s.take("H:1")
		s.send(protocol.WorkData, "H:1", "a\x00b")
		s.send(protocol.WorkWarning, "H:1", "w")
		s.send(protocol.WorkStatus, "H:1", "3", "10")
		s.send(protocol.WorkStatus, "H:1", "junk", "-")
		s.send(protocol.WorkData, "H:1", "c")
		s.send(protocol.WorkComplete, "H:1", "end")
		s.send(protocol.WorkData, "H:1", "late")
		s.send(protocol.WorkComplete, "H:1", "again")
		require.NoError(t, set.Wait())
		require.Equal(t, []string{"created fake//H:1", "data a\x00b", "warning w", "status 3/10", "status 0/0", "data c", "complete end 1", "then end <nil>"}, log)

		future.Then(func(p []byte, err error) { note("soon") })
		require.NoError(t, set.Wait())
		require.Equal(t, "soon", log[len(log)-1])
	})
}

func TestCallbacksMayAdd(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFakeServer(t)
		set := f.client().NewTaskSet(t.Context())
		set.SetLimit(2)
		n := 0
		var grow func(depth int) Task
		grow = func(depth int) Task {
			return Task{Function: "f", OnComplete: func(Result) {
				n++
				for range 3 {
					if depth < 4 {
						set.Add(grow(depth + 1))
					}
				}
			}}
		}
		go serveAll(f.accept)
		set.Add(grow(0))
		require.NoError(t, set.Wait())
		require.Equal(t, 1+3+9+27+81, n)
		require.Equal(t, Progress{Added: n, Completed: n}, set.Progress())
	})
}

// serveAll accepts a connection and completes every job at once, with its payload.
func serveAll(accept func() *fakeConn) {
	s := accept()
	for i := 0; ; i++ {
		p, err := s.in.Read()
		if err != nil {
			return
		}
		handle := fmt.Appendf(nil, "H:%d", i)
		out := protocol.AppendPacket(nil, protocol.Response, protocol.JobCreated, handle)
		out = protocol.AppendPacket(out, protocol.Response, protocol.WorkComplete, handle, p.Arg(2))
		if _, err := s.conn.Write(out); err != nil {
			return
		}
	}
}

func TestFullQueueMakesAddWait(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFakeServer(t)
		set := f.client().NewTaskSet(t.Context())
		set.SetLimit(1)
		set.AwaitRoom()
		results := set.Results()
		added := 0
		go func() {
			for range 2 {
				set.Add(Task{Function: "f", Key: "k"})
				added++
			}
		}()
		s := f.accept()
		begin := time.Now()
		for range 20 {
			s.expect(protocol.SubmitJob)
			s.send(protocol.Error, protocol.CodeQueueError, "Job queue is full")
		}
		synctest.Wait()
		require.Equal(t, 1, added)
		require.Greater(t, time.Since(begin), 5*time.Second)
		require.Less(t, time.Since(begin), 20*time.Second)
		s.take("H:1")
		s.send(protocol.WorkComplete, "H:1", "")
		s.take("H:2")
		s.send(protocol.WorkComplete, "H:2", "")
		for r, err := range results {
			require.NoError(t, err)
			require.Equal(t, 1, r.Attempt)
		}
		require.NoError(t, set.Wait())
	})
}

func TestCancelEndsTheWaitForRoom(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFakeServer(t)
		set := f.client().NewTaskSet(t.Context())
		set.AwaitRoom()
		set.Add(Task{Function: "f"})
		s := f.accept()
		s.expect(protocol.SubmitJob)
		s.send(protocol.Error, protocol.CodeQueueError, "")
		synctest.Wait()
		set.Cancel(errors.New("enough"))
		require.ErrorContains(t, set.Wait(), "enough")
	})
}

func TestLimitBoundsUnansweredTasks(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFakeServer(t)
		set := f.client().NewTaskSet(t.Context())
		set.SetLimit(2)
		added := 0
		go func() {
			for range 4 {
				set.Add(Task{Function: "f", Retry: Retry{Attempts: 2, Delay: time.Minute}})
				added++
			}
		}()
		s := f.accept()
		s.take("H:1")
		s.take("H:2")
		synctest.Wait()
		require.Equal(t, 2, added)
		s.send(protocol.WorkComplete, "H:1", "")
		s.take("H:3")
		s.send(protocol.WorkFail, "H:2") // waits for its retry, and holds no place
		s.take("H:4")
		synctest.Wait()
		require.Equal(t, 4, added)
		time.Sleep(2 * time.Minute) // the retry is due, and waits for a place
		s.send(protocol.WorkComplete, "H:3", "")
		s.take("H:5")
		s.send(protocol.WorkComplete, "H:4", "")
		s.send(protocol.WorkComplete, "H:5", "")
		require.NoError(t, set.Wait())
	})
}

func TestContextEndsTheSet(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFakeServer(t)
		cause := errors.New("had enough")
		ctx, cancel := context.WithCancelCause(t.Context())
		set := f.client().NewTaskSet(ctx)
		set.SetLimit(2)
		fails := 0
		task := Task{Function: "f", OnFail: func(err error) { fails++ }, OnComplete: func(Result) { t.Error("completed") }}
		go func() {
			for range 5 {
				set.Add(task)
			}
		}()
		s := f.accept()
		s.take("H:1")
		s.take("H:2")
		synctest.Wait()
		cancel(cause)
		err := set.Wait()
		require.ErrorIs(t, err, cause)
		synctest.Wait()
		require.Error(t, set.Wait())
		require.Equal(t, 5, fails)
		e, ok := errors.AsType[*SetError](err)
		require.True(t, ok)
		require.Equal(t, e.Failed, e.Total)

		_, err = set.Add(task).Wait(t.Context())
		require.ErrorIs(t, err, cause)
		s.send(protocol.WorkComplete, "H:1", "late") // nobody hears of it
		synctest.Wait()
	})
}

func TestCancel(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFakeServer(t)
		c := f.client()
		set, other := c.NewTaskSet(t.Context()), c.NewTaskSet(t.Context())
		failed := set.Add(Task{Function: "f", Key: "same"})
		stays := other.Add(Task{Function: "f", Key: "same"})
		s := f.accept()
		s.take("H:1")
		s.take("H:1")
		set.Cancel(nil)
		require.ErrorIs(t, set.Wait(), context.Canceled)
		_, err := failed.Wait(t.Context())
		require.ErrorIs(t, err, context.Canceled)
		s.send(protocol.WorkComplete, "H:1", "one")
		s.expect(protocol.GetStatus)
		s.send(protocol.WorkComplete, "H:1", "one")
		s.send(protocol.StatusRes, "H:1", "0", "0", "0", "0")
		got, err := stays.Wait(t.Context())
		require.NoError(t, err)
		require.Equal(t, "one", string(got))
	})
}

func TestPanicsBecomeTheTasksError(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFakeServer(t)
		set := f.client().NewTaskSet(t.Context())
		fails := map[string]error{}
		fail := func(name string) func(error) { return func(err error) { fails[name] = err } }
		set.Add(Task{Function: "f", OnComplete: func(Result) { panic("in complete") }, OnFail: fail("complete")})
		set.Add(Task{Function: "f", OnData: func([]byte) { panic("in data") }, OnFail: fail("data"), OnComplete: func(Result) { t.Error("completed") }})
		worst := set.Add(Task{Function: "f", OnFail: func(error) { panic("in fail") }})
		set.Add(Task{Function: "f"}).Then(func([]byte, error) { panic("in then") })
		s := f.accept()
		for i := range 4 {
			s.take(fmt.Sprint("H:", i))
		}
		s.send(protocol.WorkData, "H:1", "x")
		s.send(protocol.WorkData, "H:1", "y")
		s.send(protocol.WorkFail, "H:2")
		for _, h := range []string{"H:0", "H:1", "H:3"} {
			s.send(protocol.WorkComplete, h, "")
		}
		err := set.Wait()
		e, ok := errors.AsType[*SetError](err)
		require.True(t, ok)
		require.Equal(t, 4, e.Failed)
		require.ErrorContains(t, fails["complete"], "in complete")
		require.ErrorContains(t, fails["data"], "in data")
		_, err = worst.Wait(t.Context())
		require.ErrorIs(t, err, ErrTaskFailed)
		require.Equal(t, 1, strings.Count(err.Error(), "task failed"))
		require.ErrorContains(t, err, "in fail")
		require.Equal(t, Progress{Added: 4, Completed: 1, Failed: 3}, set.Progress())
	})
}

// A callback may be behind: it panics when the result is there already.
func TestPanicAfterTheResult(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFakeServer(t)
		set := f.client().NewTaskSet(t.Context())
		behind := make(chan struct{})
		var failed error
		future := set.Add(Task{
			Function: "f",
			OnData:   func([]byte) { <-behind; panic("in data") },
			OnFail:   func(err error) { failed = err }, OnComplete: func(Result) { t.Error("completed") },
		})
		s := f.accept()
		s.take("H:1")
		s.send(protocol.WorkData, "H:1", "x")
		s.send(protocol.WorkComplete, "H:1", "y")
		synctest.Wait()
		close(behind)
		_, err := future.Wait(t.Context())
		require.ErrorContains(t, err, "in data")
		require.ErrorContains(t, failed, "in data")
		require.Error(t, set.Wait())
		require.Equal(t, Progress{Added: 1, Failed: 1}, set.Progress())
	})
}

func TestRetry(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFakeServer(t)
		set := f.client().NewTaskSet(t.Context())
		var retries []int
		var errs []error
		future := set.Add(Task{
			Function: "f", Key: "k", Retry: Retry{Attempts: 4, Delay: time.Second, MaxDelay: 3 * time.Second},
			OnRetry: func(n int, err error) { retries, errs = append(retries, n), append(errs, err) },
			OnFail:  func(err error) { errs = append(errs, err) },
		})
		s := f.accept()
		began := time.Now()
		var at []time.Duration
		try := func(end func(handle string)) {
			_, key, _ := s.take(fmt.Sprint("H:", len(at)))
			require.Equal(t, "k", key)
			at = append(at, time.Since(began))
			end(fmt.Sprint("H:", len(at)-1))
		}
		try(func(h string) { s.send(protocol.WorkFail, h) })
		try(func(h string) { s.send(protocol.WorkException, h, "bang") })
		s.expect(protocol.SubmitJob)
		at = append(at, time.Since(began))
		s.send(protocol.Error, protocol.CodeQueueError, "full")
		try(func(h string) { s.send(protocol.WorkException, h, "boom") })
		_, err := future.Wait(t.Context())
		e, ok := errors.AsType[*TaskError](err)
		require.True(t, ok)
		require.Equal(t, "boom", string(e.Exception))
		require.Equal(t, 4, e.Attempt)
		require.Equal(t, []int{1, 2, 3}, retries)
		require.Equal(t, []time.Duration{0, time.Second, 3 * time.Second, 6 * time.Second}, at)
		require.Len(t, errs, 4)
		require.ErrorContains(t, errs[2], "QUEUE_ERROR")
	})
}

func TestRetryOnlyOn(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFakeServer(t)
		set := f.client().NewTaskSet(t.Context())
		set.Add(Task{Function: "f", Retry: Retry{Attempts: 3, On: []Reason{Failed}}})
		s := f.accept()
		s.take("H:1")
		s.send(protocol.WorkFail, "H:1")
		s.take("H:2")
		s.send(protocol.WorkException, "H:2", "not again")
		require.ErrorContains(t, set.Wait(), "not again")

		final := set.Add(Task{Function: "f", Retry: Retry{Attempts: 3}})
		s.take("H:3")
		s.send(protocol.WorkException, "H:3", noRetry+"bad input")
		_, err := final.Wait(t.Context())
		require.ErrorContains(t, err, "bad input")
	})
}

func TestTimeoutDoesNotCountTheQueue(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFakeServer(t)
		set := f.client().NewTaskSet(t.Context())
		future := set.Add(Task{Function: "f", Key: "k", Timeout: time.Minute, Retry: Retry{Attempts: 2, Delay: time.Hour}})
		s := f.accept()
		s.take("H:1")
		began := time.Now()
		looks := 0
		for time.Since(began) < 24*time.Hour { // it is queued for a day
			s.expect(protocol.GetStatus)
			s.send(protocol.StatusRes, "H:1", "1", "0", "0", "0")
			looks++
		}
		require.Less(t, looks, 24*60+5)
		s.expect(protocol.GetStatus)
		s.send(protocol.StatusRes, "H:1", "1", "1", "0", "0")
		ran := time.Now()
		s.take("H:1") // the second attempt joins the run that goes on
		require.Equal(t, time.Minute+time.Hour, time.Since(ran))
		s.send(protocol.WorkComplete, "H:1", "after all")
		s.expect(protocol.GetStatus)
		s.send(protocol.WorkComplete, "H:1", "after all")
		got, err := future.Wait(t.Context())
		require.NoError(t, err)
		require.Equal(t, "after all", string(got))
	})
}

func TestTimeoutOfARunningJob(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFakeServer(t)
		set := f.client().NewTaskSet(t.Context())
		future := set.Add(Task{Function: "f", Timeout: 8 * time.Second})
		s := f.accept()
		s.take("H:1")
		began := time.Now()
		time.Sleep(time.Second)
		s.send(protocol.WorkStatus, "H:1", "1", "2") // so it runs, nobody has to ask
		_, err := future.Wait(t.Context())
		require.ErrorIs(t, err, ErrTimeout)
		require.Equal(t, 9*time.Second, time.Since(began))
		s.send(protocol.WorkComplete, "H:1", "late")
		synctest.Wait()

		// The late result of an attempt that timed out is taken while the retry waits.
		future = set.Add(Task{Function: "f", Timeout: time.Second, Retry: Retry{Attempts: 2, Delay: time.Hour}})
		s.take("H:2")
		s.send(protocol.WorkData, "H:2", "it runs")
		time.Sleep(time.Minute)
		s.send(protocol.WorkComplete, "H:2", "late")
		got, err := future.Wait(t.Context())
		require.NoError(t, err)
		require.Equal(t, "late", string(got))

		// A job that the server has forgotten.
		future = set.Add(Task{Function: "f", Timeout: time.Second})
		s.take("H:3")
		s.expect(protocol.GetStatus)
		s.send(protocol.StatusRes, "H:3", "0", "0", "0", "0")
		_, err = future.Wait(t.Context())
		require.ErrorIs(t, err, ErrJobLost)
	})
}

func TestDeadline(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFakeServer(t)
		f.setDown(true)
		set := f.client().NewTaskSet(t.Context())
		began := time.Now()
		future := set.Add(Task{Function: "f", Deadline: began.Add(3 * time.Second)})
		_, err := future.Wait(t.Context())
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.Equal(t, 3*time.Second, time.Since(began))
	})
}

func TestWaitContextLeavesTheTasks(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFakeServer(t)
		set := f.client().NewTaskSet(t.Context())
		set.Add(Task{Function: "f"})
		set.Add(Task{Function: "f"})
		s := f.accept()
		s.take("H:1")
		s.take("H:2")
		s.send(protocol.WorkComplete, "H:2", "")
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Second)
		defer cancel()
		err := set.WaitContext(ctx)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.ErrorContains(t, err, "1 of 2 tasks open")
		require.Equal(t, 1, set.Progress().Open())
		s.send(protocol.WorkComplete, "H:1", "")
		require.NoError(t, set.Wait())
	})
}

func TestResults(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFakeServer(t)
		set := f.client().NewTaskSet(t.Context())
		results := set.Results()
		for i := range 3 {
			set.Add(Task{Function: "f", Payload: []byte{byte(i)}})
		}
		set.Add(Task{})
		s := f.accept()
		for i := range 3 {
			s.take(fmt.Sprint("H:", i))
		}
		s.send(protocol.WorkComplete, "H:2", "two")
		s.send(protocol.WorkFail, "H:0")
		s.send(protocol.WorkComplete, "H:1", "one")
		var got []string
		for r, err := range results {
			got = append(got, fmt.Sprintf("%v %s %v", r.Task.Payload, r.Payload, err != nil))
		}
		require.Equal(t, []string{"[]  true", "[2] two false", "[0]  true", "[1] one false"}, got)

		late := f.client().NewTaskSet(t.Context())
		late.Add(Task{})
		require.Panics(t, func() { late.Results() })
		require.ErrorIs(t, late.Wait(), ErrInvalidTask)
	})
}

func TestInvalidTasks(t *testing.T) {
	t.Parallel()
	c := newFakeServer(t).client(func(cfg *ClientConfig) { cfg.MaxPacketBytes = 100 })
	for _, task := range []Task{{}, {Function: "a\x00b"}, {Function: "f", Key: "\x00"}, {Function: "f", Payload: make([]byte, 99)}} {
		_, err := c.Do(t.Context(), task)
		require.ErrorIs(t, err, ErrInvalidTask)
	}
}

func TestSlowCallbacksAreBounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFakeServer(t)
		set := f.client().NewTaskSet(t.Context())
		gate := make(chan struct{})
		set.Add(Task{Function: "f", OnData: func([]byte) { <-gate }})
		s := f.accept()
		s.take("H:1")
		set.mu.Lock()
		set.backlog += maxBacklog - 10_000 // as if that much were waiting already
		set.mu.Unlock()
		for range 10 {
			s.send(protocol.WorkData, "H:1", string(make([]byte, 1000)))
		}
		close(gate)
		require.ErrorIs(t, set.Wait(), ErrBacklog)
		require.Equal(t, maxBacklog-10_000, set.backlog)
	})
}

// A set of 100k tasks under a limit: what is done leaves no trace.
func TestMemoryOfALongSet(t *testing.T) { // alone, not in parallel: it measures the heap
	f := newFakeServer(t)
	go serveAll(f.accept)
	set := f.client().NewTaskSet(t.Context())
	set.SetLimit(100)
	heap := func() int {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return int(m.HeapAlloc)
	}
	var done atomic.Int64
	before, most := heap(), 0
	for i := range 100_000 {
		set.Add(Task{Function: "f", Payload: make([]byte, 100), OnComplete: func(Result) { done.Add(1) }})
		if i%20_000 == 19_999 {
			most = max(most, heap()-before)
		}
	}
	require.NoError(t, set.Wait())
	require.EqualValues(t, 100_000, done.Load())
	require.Empty(t, set.open)
	require.Less(t, most, 8<<20) // 100k kept tasks would be 60 MiB and more
}

func TestRetryDelays(t *testing.T) {
	t.Parallel()
	take := func(r Retry) (list []time.Duration) {
		d := r.delays()
		for range 4 {
			list = append(list, d.NextBackOff())
		}
		return list
	}
	require.Equal(t, []time.Duration{0, 0, 0, 0}, take(Retry{}))
	require.Equal(t, []time.Duration{1, 2, 4, 8}, take(Retry{Delay: 1}))
	require.Equal(t, []time.Duration{5, 5, 5, 5}, take(Retry{Delay: 5, Backoff: 1}))
	require.Equal(t, []time.Duration{4, 7, 7, 7}, take(Retry{Delay: 4, MaxDelay: 7}))
	jittered := take(Retry{Delay: time.Hour, Backoff: 1, MaxDelay: time.Hour, Jitter: 0.5})
	for _, d := range jittered {
		require.InDelta(t, time.Hour, d, float64(time.Hour/2))
	}
	require.False(t, slices.Equal(jittered, []time.Duration{time.Hour, time.Hour, time.Hour, time.Hour}))
}

// Those who know task sets that start at wait can have it so.
func TestHold(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFakeServer(t)
		set := f.client().NewTaskSet(t.Context())
		set.Hold()
		set.Add(Task{Function: "f", Key: "1"})
		set.Add(Task{Function: "f", Key: "2"})
		late := set.Add(Task{Function: "f", Key: "late", Deadline: time.Now().Add(time.Second)})
		_, err := late.Wait(t.Context())
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.Empty(t, f.conns, "nothing was submitted")
		set.Release()
		s := f.accept()
		for _, want := range []string{"1", "2"} {
			_, key, _ := s.take("H:" + want)
			require.Equal(t, want, key)
			s.send(protocol.WorkComplete, "H:"+want, "")
		}
		set.Add(Task{Function: "f", Key: "3"})
		_, key, _ := s.take("H:3")
		require.Equal(t, "3", key)
		s.send(protocol.WorkComplete, "H:3", "")
		set.Hold()
		set.Add(Task{Function: "f", Key: "4"})
		synctest.Wait()
		go func() {
			s.take("H:4")
			s.send(protocol.WorkComplete, "H:4", "")
		}()
		require.ErrorIs(t, set.Wait(), context.DeadlineExceeded)
		require.Equal(t, Progress{Added: 5, Completed: 4, Failed: 1}, set.Progress())
	})
}
