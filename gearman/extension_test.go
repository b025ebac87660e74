package gearman

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/geartrain/geartrain/gearman/protocol"
)

func extendedServer(t testing.TB) *fakeServer {
	f := newFakeServer(t)
	f.extended = true
	return f
}

func TestOnlyTasksThatNeedItUseTheExtension(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := extendedServer(t)
		set := f.client().NewTaskSet(t.Context())
		s := startAndConnect(t, f, set)
		for _, task := range []Task{
			{Retain: time.Hour}, {Retain: -1}, {Fresh: time.Minute}, {ServerRetry: Retry{Attempts: 3, Delay: time.Second, Backoff: 0.5}},
			{RunAt: time.Now().Add(time.Hour)}, {RejectConflict: true}, {AcceptLate: true}, {Labels: Labels{Run: "r", Stage: "s"}},
		} {
			task.Function, task.Key, task.Payload, task.Priority = "f", "k", []byte("p\x00q"), High
			set.Add(task)
			args := s.expect(protocol.SubmitTask)
			require.Equal(t, []string{"f", "k", "p\x00q"}, []string{string(args[0]), string(args[1]), string(args[3])})
			o, err := protocol.ParseTaskOptions(args[2])
			require.NoError(t, err)
			require.Equal(t, 1, o.Priority)
			require.Equal(t, task.Retain < 0, o.Retain < 0)
			require.Equal(t, max(task.Retain, 0), max(o.Retain, 0))
			require.Equal(t, task.Fresh, o.Fresh)
			require.Equal(t, task.ServerRetry.Attempts, o.Attempts)
			require.Equal(t, task.ServerRetry.Delay, o.Delay)
			require.Zero(t, o.Backoff, "what is no factor is left to the server")
			require.Equal(t, task.RunAt.UnixMilli(), map[bool]int64{true: o.At.UnixMilli(), false: time.Time{}.UnixMilli()}[!task.RunAt.IsZero()])
			require.Equal(t, []bool{task.RejectConflict, task.AcceptLate, false}, []bool{o.Reject, o.AcceptLate, o.Background})
			require.Equal(t, task.Labels, Labels{o.Run, o.Stage, o.Traceparent})
			s.send(protocol.JobCreated, "H:x")
			s.send(protocol.WorkComplete, "H:x", "done")
		}
		require.NoError(t, set.Wait())
	})
}

// startAndConnect has a set make its client's connection with a plain task.
func startAndConnect(t *testing.T, f *fakeServer, set *TaskSet) *fakeConn {
	t.Helper()
	set.Add(Task{Function: "plain"})
	s := f.accept()
	s.take("H:plain")
	s.send(protocol.WorkComplete, "H:plain", "")
	return s
}

// A plain task waits for no answer to an option; one that needs it waits for that and for no more.
func TestPlainTasksDoNotWaitForTheOptions(t *testing.T) {
	t.Parallel()
	for _, granted := range []bool{true, false} {
		t.Run(strconv.FormatBool(granted), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				f := newFakeServer(t)
				set := f.client().NewTaskSet(t.Context())
				set.Add(Task{Function: "kept", Key: "a", Retain: time.Hour})
				set.Add(Task{Function: "plain", Key: "b"})
				s := f.connected()
				require.Equal(t, "plain", string(s.expect(protocol.SubmitJob)[0]))
				s.send(protocol.OptionRes, protocol.OptionExceptions)
				want := protocol.SubmitJob
				if granted {
					want = protocol.SubmitTask
					s.send(protocol.OptionRes, protocol.OptionTasks)
				} else {
					s.send(protocol.Error, protocol.CodeUnknownOption, "")
				}
				require.Equal(t, "kept", string(s.expect(want)[0]))
				s.send(protocol.JobCreated, "H:plain")
				s.send(protocol.Error, protocol.CodeDiskFull, "no room")
				s.send(protocol.WorkComplete, "H:plain", "")
				err := set.Wait()
				require.ErrorIs(t, err, ErrDiskFull)
				require.NotErrorIs(t, err, ErrStoreFailed)
				require.Equal(t, Progress{Added: 2, Completed: 1, Failed: 1}, set.Progress())
			})
		})
	}
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	for code, want := range map[string]error{
		protocol.CodeDiskFull: ErrDiskFull, protocol.CodeStoreFailed: ErrStoreFailed, protocol.CodeKeyConflict: ErrKeyConflict,
		protocol.CodeQueueError: ErrQueueFull, protocol.CodeLimit: ErrQueueFull, protocol.CodeShuttingDown: ErrShuttingDown,
	} {
		err := fmt.Errorf("wrapped: %w", &ServerError{Code: code})
		for _, other := range []error{ErrDiskFull, ErrStoreFailed, ErrKeyConflict, ErrQueueFull, ErrShuttingDown, ErrNoJob} {
			require.Equal(t, other == want, errors.Is(err, other), "%s is %v", code, other)
		}
	}
}

// Whether a full disk is tried again is the task's to say; a conflict of keys never is.
func TestRefusalsAreTriedAgainWhenTheTaskSaysSo(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := extendedServer(t)
		set := f.client().NewTaskSet(t.Context())
		began := time.Now()
		set.Add(Task{Function: "f", Retain: time.Hour, Retry: Retry{Attempts: 3, Delay: time.Second, On: []Reason{Refused}}})
		s := f.accept()
		for range 2 {
			s.expect(protocol.SubmitTask)
			s.send(protocol.Error, protocol.CodeDiskFull, "")
		}
		s.expect(protocol.SubmitTask)
		require.Equal(t, 3*time.Second, time.Since(began))
		s.send(protocol.Error, protocol.CodeKeyConflict, "")
		require.ErrorIs(t, set.Wait(), ErrKeyConflict)

		again := f.client().NewTaskSet(t.Context())
		again.Add(Task{Function: "f", RejectConflict: true, Retry: Retry{Attempts: 3}})
		s = f.accept()
		s.expect(protocol.SubmitTask)
		s.send(protocol.Error, protocol.CodeKeyConflict, "")
		require.ErrorIs(t, again.Wait(), ErrKeyConflict)
	})
}

func TestRunAtOnAStockServer(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFakeServer(t)
		c := f.client()
		set := c.NewTaskSet(t.Context())
		at := time.Now().Add(time.Hour + 300*time.Millisecond)
		set.Add(Task{Function: "f", RunAt: at})
		s := f.accept()
		accepted := make(chan error)
		go func() {
			_, err := c.Submit(t.Context(), Task{Function: "bg", Key: "k", Payload: []byte("p"), RunAt: at})
			accepted <- err
		}()
		args := s.expect(protocol.SubmitJobEpoch)
		seconds, err := strconv.ParseInt(string(args[2]), 10, 64)
		require.NoError(t, err)
		require.False(t, time.Unix(seconds, 0).Before(at), "never before its time")
		require.Less(t, time.Unix(seconds, 0).Sub(at), time.Second)
		s.send(protocol.JobCreated, "H:bg")
		require.NoError(t, <-accepted)
		s.take("H:1") // waits in the client until its time
		require.False(t, time.Now().Before(at))
		s.send(protocol.WorkComplete, "H:1", "")
		require.NoError(t, set.Wait())
	})
}

// A server that tries again itself measures the timeout, and the client does not; where it does not,
// the client does both.
func TestServerRetry(t *testing.T) {
	t.Parallel()
	for _, extended := range []bool{true, false} {
		t.Run(fmt.Sprintf("extended=%t", extended), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				f := newFakeServer(t)
				f.extended = extended
				set := f.client().NewTaskSet(t.Context())
				retries := 0
				set.Add(Task{Function: "f", Timeout: time.Second, ServerRetry: Retry{Attempts: 2, Delay: time.Minute},
					OnRetry: func(int, error) { retries++ }})
				s := f.accept()
				if extended {
					o, err := protocol.ParseTaskOptions(s.expect(protocol.SubmitTask)[2])
					require.NoError(t, err)
					require.Equal(t, time.Second, o.Timeout)
					s.send(protocol.JobCreated, "H:1")
					time.Sleep(time.Hour)
				} else {
					s.take("H:1")
					s.send(protocol.WorkFail, "H:1")
					s.take("H:2")
					s.send(protocol.WorkFail, "H:2")
				}
				s.send(protocol.WorkFail, "H:1")
				require.ErrorIs(t, set.Wait(), ErrTaskFailed)
				require.Equal(t, map[bool]int{true: 0, false: 1}[extended], retries)
			})
		})
	}
}

func TestLabelsCountForTheLimitOfAPacket(t *testing.T) {
	t.Parallel()
	f := newFakeServer(t)
	set := f.client(func(c *ClientConfig) { c.MaxPacketBytes = 1000 }).NewTaskSet(t.Context())
	set.Add(Task{Function: "f", Labels: Labels{Run: strings.Repeat("r", 1000)}})
	require.ErrorIs(t, set.Wait(), ErrInvalidTask)
}

// What a server cannot do is said once, and not for what the client does in its place.
func TestUnkeptOptionsAreLoggedOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		f := newFakeServer(t)
		c := f.client(func(c *ClientConfig) { c.Logger = slog.New(slog.NewTextHandler(&log, nil)) })
		set := c.NewTaskSet(t.Context())
		done := func(s *fakeConn) {
			s.take("H:1")
			s.send(protocol.WorkComplete, "H:1", "")
		}
		set.Add(Task{Function: "f", ServerRetry: Retry{Attempts: 2}, RunAt: time.Now().Add(time.Second), Labels: Labels{Run: "r"}})
		s := f.accept()
		done(s)
		require.NoError(t, set.Wait())
		require.Empty(t, log.String())
		for range 2 {
			set.Add(Task{Function: "f", Retain: time.Hour})
			done(s)
		}
		require.NoError(t, set.Wait())
		require.Equal(t, 1, strings.Count(log.String(), "first=retain"), log.String())
	})
}

// A result says for how long a server had kept it.
func TestKeptResultsTellTheirAge(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := extendedServer(t)
		set := f.client().NewTaskSet(t.Context())
		ages := map[string]time.Duration{}
		add := func(key string) {
			set.Add(Task{Function: "f", Key: key, Retain: time.Hour, OnComplete: func(r Result) { ages[key] = r.Age }})
		}
		add("kept")
		s := f.accept()
		o, err := protocol.ParseTaskOptions(s.expect(protocol.SubmitTask)[2])
		require.NoError(t, err)
		require.True(t, o.Tell)
		s.send(protocol.JobRetained, "H:1", "5250")
		s.send(protocol.WorkComplete, "H:1", "x")
		add("made")
		s.expect(protocol.SubmitTask)
		s.send(protocol.JobCreated, "H:2")
		s.send(protocol.WorkComplete, "H:2", "x")
		require.NoError(t, set.Wait())
		require.Equal(t, map[string]time.Duration{"kept": 5250 * time.Millisecond, "made": 0}, ages)
	})
}

// Who gives a task up has the server end its job, once it is known to be there, and before a further attempt.
func TestEndUnwanted(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFakeServer(t)
		f.extended = true
		c := f.client()
		set := c.NewTaskSet(t.Context())
		set.Add(Task{Function: "f", Key: "k", Timeout: time.Second, Retry: Retry{Attempts: 2}, EndUnwanted: true})
		s := f.accept()
		s.take("H:1")
		s.send(protocol.WorkData, "H:1", "it runs")
		require.Equal(t, "H:1", string(s.expect(protocol.LeaveJob)[0]))
		s.expect(protocol.SubmitJob)
		set.Cancel(nil) // its handle is not known yet
		require.Error(t, set.Wait())
		s.send(protocol.JobCreated, "H:2")
		require.Equal(t, "H:2", string(s.expect(protocol.LeaveJob)[0]))

		set = c.NewTaskSet(t.Context())
		for range 2 {
			set.Add(Task{Function: "f", Key: "twice", EndUnwanted: true})
			s.take("H:3")
		}
		synctest.Wait()
		set.Cancel(nil)
		require.Error(t, set.Wait())
		s.expect(protocol.LeaveJob)
		s.expect(protocol.LeaveJob)
		s.send(protocol.WorkFail, "H:3") // was under way
	})
}

// Jobs go on that others carry on with, whose late result is welcome, or that nobody asked to end.
func TestJobsThatGoOn(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		task  Task
		cause error
	}{
		"not asked":      {Task{}, context.Canceled},
		"worker stopped": {Task{EndUnwanted: true}, fmt.Errorf("handed over: %w", ErrWorkerStopped)},
		"closed":         {Task{EndUnwanted: true}, ErrClosed},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				f := newFakeServer(t)
				f.extended = true
				client := f.client()
				set := client.NewTaskSet(t.Context())
				c.task.Function = "f"
				set.Add(c.task)
				s := f.accept()
				s.take("H:1")
				synctest.Wait()
				set.Cancel(c.cause)
				require.Error(t, set.Wait())
				client.NewTaskSet(t.Context()).Add(Task{Function: "next"})
				s.expect(protocol.SubmitJob)
			})
		})
	}
}

func TestLateResultsAreWaitedFor(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFakeServer(t)
		f.extended = true
		set := f.client().NewTaskSet(t.Context())
		set.Add(Task{Function: "f", Key: "k", Timeout: time.Second, Retry: Retry{Attempts: 2}, AcceptLate: true, EndUnwanted: true})
		s := f.accept()
		for attempt := range 2 {
			s.expect(protocol.SubmitTask)
			s.send(protocol.JobCreated, "H:1")
			for range attempt + 1 { // to each submission
				s.send(protocol.WorkData, "H:1", "it runs")
			}
		}
		for range 2 {
			require.Equal(t, "H:1", string(s.expect(protocol.LeaveJob)[0]))
		}
		require.ErrorIs(t, set.Wait(), ErrTimeout)
	})
}
