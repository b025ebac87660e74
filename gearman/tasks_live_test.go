package gearman_test

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/geartrain/geartrain/gearman"
	"github.com/geartrain/geartrain/server/servertest"
)

func TestKeptResults(t *testing.T) {
	t.Parallel()
	addr := servertest.Start(t).Addr
	var runs atomic.Int64
	startWorker(t, addr, map[string]gearman.HandlerFunc{
		"once": func(_ context.Context, job *gearman.Job) ([]byte, error) {
			return fmt.Appendf(nil, "%s %d", job.Payload(), runs.Add(1)), nil
		},
	})
	c, ctx := newClient(t, addr), t.Context()
	ask := func(change func(*gearman.Task)) string {
		t.Helper()
		task := gearman.Task{Function: "once", Key: "k", Payload: []byte("a"), Retain: time.Hour}
		if change != nil {
			change(&task)
		}
		r, err := c.Do(ctx, task)
		require.NoError(t, err)
		return string(r.Payload)
	}
	require.Equal(t, "a 1", ask(nil))
	require.Equal(t, "a 1", ask(nil))
	require.Equal(t, "a 1", ask(func(task *gearman.Task) { task.Fresh = time.Minute }))
	r, err := c.Attach(ctx, gearman.Task{Function: "once", Key: "k"})
	require.NoError(t, err)
	require.Equal(t, "a 1", string(r.Payload))
	found, err := c.Find(ctx, "once", "k")
	require.NoError(t, err)
	require.Equal(t, gearman.JobRetained, found.State)
	_, err = c.Do(ctx, gearman.Task{Function: "once", Key: "k", Payload: []byte("b"), RejectConflict: true, Retry: gearman.Retry{Attempts: 5}})
	require.ErrorIs(t, err, gearman.ErrKeyConflict)
	require.Equal(t, "a 2", ask(func(task *gearman.Task) { task.Fresh = -1 }))
	require.Equal(t, "a 2", ask(nil))
	_, err = c.Attach(ctx, gearman.Task{Function: "once", Key: "other"})
	require.ErrorIs(t, err, gearman.ErrNoJob)
	_, err = c.Attach(ctx, gearman.Task{Function: "other", Key: "k"})
	require.ErrorIs(t, err, gearman.ErrNoJob, "a key is a function's")

	all, err := c.Guarantees(ctx)
	require.NoError(t, err)
	require.Len(t, all, 1)
	require.True(t, all[0].Extension)
	require.Equal(t, []gearman.Answer{gearman.No, gearman.Yes, gearman.Yes, gearman.Yes, gearman.Yes},
		[]gearman.Answer{all[0].Durable, all[0].Retention, all[0].Cancel, all[0].Attach, all[0].Retries})
}

func TestTheServerTriesAgain(t *testing.T) {
	t.Parallel()
	addr := servertest.Start(t).Addr
	startWorker(t, addr, map[string]gearman.HandlerFunc{
		"flaky": func(_ context.Context, job *gearman.Job) ([]byte, error) {
			if job.Attempt() < 3 {
				return nil, errors.New("not yet")
			}
			return fmt.Append(nil, job.Attempt()), nil
		},
		"slow": func(ctx context.Context, job *gearman.Job) ([]byte, error) {
			if job.Attempt() > 1 {
				return []byte("quick"), nil
			}
			<-ctx.Done()
			return nil, context.Cause(ctx)
		},
	})
	c, ctx := newClient(t, addr), t.Context()
	retry := gearman.Retry{Attempts: 3, Delay: time.Millisecond}
	r, err := c.Do(ctx, gearman.Task{Function: "flaky", ServerRetry: retry})
	require.NoError(t, err)
	require.Equal(t, "3", string(r.Payload))
	require.Equal(t, 1, r.Attempt, "the client has made one")
	retry.Attempts = 2
	_, err = c.Do(ctx, gearman.Task{Function: "flaky", ServerRetry: retry})
	require.ErrorIs(t, err, gearman.ErrTaskFailed)

	retry.Attempts = 1_000_000 // a busy machine is late for "quick", too
	r, err = c.Do(ctx, gearman.Task{Function: "slow", ServerRetry: retry, Timeout: 20 * time.Millisecond})
	require.NoError(t, err)
	require.Equal(t, "quick", string(r.Payload))
	at := time.Now().Add(50 * time.Millisecond)
	_, err = c.Do(ctx, gearman.Task{Function: "slow", RunAt: at, ServerRetry: retry, Timeout: 20 * time.Millisecond})
	require.NoError(t, err)
	require.False(t, time.Now().Before(at.Truncate(time.Millisecond)))
}

func TestCancelOnRealServers(t *testing.T) {
	t.Parallel()
	addr := servertest.Start(t).Addr
	started, ended := make(chan struct{}), make(chan error, 1)
	startWorker(t, addr, map[string]gearman.HandlerFunc{
		"runs": func(ctx context.Context, _ *gearman.Job) ([]byte, error) {
			close(started)
			<-ctx.Done()
			ended <- context.Cause(ctx)
			return nil, gearman.ErrFail
		},
	})
	c, ctx := newClient(t, addr), t.Context()
	set := c.NewTaskSet(ctx)
	runs := set.Add(gearman.Task{Function: "runs", Key: "k"})
	waits, err := c.Submit(ctx, gearman.Task{Function: "waits", RunAt: time.Now().Add(time.Hour)})
	require.NoError(t, err)
	<-started
	state, err := c.CancelKey(ctx, "runs", "k")
	require.NoError(t, err)
	require.Equal(t, gearman.JobRunning, state)
	require.ErrorIs(t, <-ended, gearman.ErrJobCancelled)
	_, err = runs.Wait(ctx)
	require.ErrorIs(t, err, gearman.ErrTaskFailed)
	for _, want := range []gearman.JobState{gearman.JobScheduled, gearman.JobNone} {
		state, err = c.Cancel(ctx, waits)
		require.NoError(t, err)
		require.Equal(t, want, state)
	}
}

// A worker hears that nobody waits for its job any more, and the last words are said before the client is closed.
func TestUnwantedJobsEndOnRealServers(t *testing.T) {
	t.Parallel()
	addr := servertest.Start(t).Addr
	started, ended := make(chan struct{}, 9), make(chan error, 9)
	startWorker(t, addr, map[string]gearman.HandlerFunc{
		"runs": func(ctx context.Context, _ *gearman.Job) ([]byte, error) {
			started <- struct{}{}
			<-ctx.Done()
			ended <- context.Cause(ctx)
			return nil, gearman.ErrFail
		},
	})
	for range 3 {
		c, err := gearman.Dial(t.Context(), addr)
		require.NoError(t, err)
		set := c.NewTaskSet(t.Context())
		set.Add(gearman.Task{Function: "runs", Key: "k", EndUnwanted: true})
		<-started
		set.Cancel(nil)
		require.ErrorIs(t, set.Wait(), context.Canceled)
		require.NoError(t, c.Close())
		require.ErrorIs(t, <-ended, gearman.ErrJobCancelled)
	}
	_, err := newClient(t, addr).Do(t.Context(), gearman.Task{
		Function: "runs", Key: "k", EndUnwanted: true, Timeout: time.Millisecond, Retry: gearman.Retry{Attempts: 3},
	})
	require.ErrorIs(t, err, gearman.ErrTimeout)
	for range 3 {
		<-started
		require.ErrorIs(t, <-ended, gearman.ErrJobCancelled)
	}
}

func TestFindManyKeys(t *testing.T) {
	t.Parallel()
	onServers(t, func(t *testing.T, addr string) {
		c, ctx := newClient(t, addr), t.Context()
		_, err := c.Submit(ctx, gearman.Task{Function: "f", Key: "key 4999"})
		require.NoError(t, err)
		keys := make([]string, 5000)
		for i := range keys {
			keys[i] = fmt.Sprint("key ", i)
		}
		found, err := c.FindAll(ctx, "f", keys)
		require.NoError(t, err)
		for i, f := range found[:4999] {
			require.Equal(t, gearman.JobNone, f.State, i)
		}
		require.Equal(t, gearman.JobQueued, found[4999].State)
	})
}
