package gearman_test

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/geartrain/geartrain/gearman"
	"github.com/geartrain/geartrain/server/servertest"
)

func newWorker(t testing.TB, concurrency int, servers ...string) *gearman.Worker {
	w, err := gearman.NewWorker(gearman.WorkerConfig{Servers: servers, Concurrency: concurrency, Logger: slog.New(slog.DiscardHandler)})
	require.NoError(t, err)
	return w
}

// running runs w; what it returns drains w and waits for it.
func running(t testing.TB, w *gearman.Worker) (drain func()) {
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	ended := make(chan error, 1)
	go func() { ended <- w.Run(ctx) }()
	var once sync.Once
	drain = func() {
		once.Do(func() {
			stop()
			require.NoError(t, <-ended)
		})
	}
	t.Cleanup(drain)
	return drain
}

// gauge counts handlers that run, and how many ran at once.
type gauge struct{ now, most atomic.Int64 }

// enter returns how many are running then.
func (g *gauge) enter() int64 {
	n := g.now.Add(1)
	for most := g.most.Load(); n > most && !g.most.CompareAndSwap(most, n); most = g.most.Load() {
	}
	return n
}

func TestWorkerRunsManyAtOnceAndNoMore(t *testing.T) {
	t.Parallel()
	onServers(t, func(t *testing.T, addr string) {
		const slots, limited = 8, 2
		var all, few gauge
		together := make(chan struct{})
		w := newWorker(t, slots, addr)
		w.Handle("meet", func(context.Context, *gearman.Job) ([]byte, error) {
			defer all.now.Add(-1)
			if all.enter() == slots {
				close(together) // so many are never reached twice: the limited ones begin afterwards
			}
			<-together
			return nil, nil
		})
		w.HandleWith("few", gearman.FunctionConfig{MaxParallel: limited}, func(context.Context, *gearman.Job) ([]byte, error) {
			few.enter()
			defer few.now.Add(-1)
			return nil, nil
		})
		running(t, w)
		set := newClient(t, addr).NewTaskSet(t.Context())
		for range slots {
			set.Add(gearman.Task{Function: "meet"})
		}
		require.NoError(t, set.Wait(), "all slots are used at once")
		for range 500 {
			set.Add(gearman.Task{Function: "few"})
		}
		require.NoError(t, set.Wait())
		require.EqualValues(t, slots, all.most.Load())
		require.LessOrEqual(t, few.most.Load(), int64(limited))
	})
}

func TestWorkerOfSeveralServersKeepsItsConcurrency(t *testing.T) {
	t.Parallel()
	servers := []string{servertest.Start(t).Addr, servertest.Start(t).Addr, servertest.Start(t).Addr}
	var g gauge
	w := newWorker(t, 2, servers...)
	w.Handle("f", func(_ context.Context, job *gearman.Job) ([]byte, error) {
		g.enter()
		defer g.now.Add(-1)
		return job.Payload(), nil
	})
	running(t, w)
	set := newClient(t, servers...).NewTaskSet(t.Context())
	for i := range 600 {
		set.Add(gearman.Task{Function: "f", Payload: fmt.Append(nil, i)})
	}
	require.NoError(t, set.Wait())
	require.LessOrEqual(t, g.most.Load(), int64(2))
}

// Workers come and go all the time; each drain must leave every job with its one end and run none twice.
func TestDrainLosesNothing(t *testing.T) {
	t.Parallel()
	onServers(t, func(t *testing.T, addr string) {
		const tasks = 2000
		var runs atomic.Int64
		work := func(_ context.Context, job *gearman.Job) ([]byte, error) {
			runs.Add(1)
			return job.Payload(), nil
		}
		set := newClient(t, addr).NewTaskSet(t.Context())
		var done atomic.Int64
		for i := range tasks {
			set.Add(gearman.Task{Function: "f", Payload: fmt.Append(nil, i), OnComplete: func(gearman.Result) { done.Add(1) }})
		}
		for done.Load() < tasks {
			w := newWorker(t, 4, addr)
			w.Handle("f", work)
			drain := running(t, w)
			want := min(done.Load()+100, tasks)
			require.Eventually(t, func() bool { return done.Load() >= want }, patience, time.Millisecond)
			drain()
		}
		require.NoError(t, set.Wait())
		require.EqualValues(t, tasks, runs.Load())
	})
}

func TestAttemptIsKnown(t *testing.T) {
	t.Parallel()
	onServers(t, func(t *testing.T, addr string) {
		w := newWorker(t, 1, addr)
		w.Handle("f", func(_ context.Context, job *gearman.Job) ([]byte, error) {
			return fmt.Append(nil, job.Handle(), " ", job.Attempt()), nil
		})
		running(t, w)
		result, err := newClient(t, addr).Do(t.Context(), gearman.Task{Function: "f"})
		require.NoError(t, err)
		attempt := 0
		if t.Name() == "TestAttemptIsKnown/geartrain" {
			attempt = 1
		}
		require.Equal(t, fmt.Sprint(result.Handle.ID, " ", attempt), string(result.Payload))
	})
}

func BenchmarkWorkerEcho(b *testing.B) {
	s := servertest.Start(b)
	w := newWorker(b, 16, s.Addr)
	w.Handle("echo", echo)
	running(b, w)
	c, err := gearman.NewClient(gearman.ClientConfig{Servers: []string{s.Addr}, Logger: slog.New(slog.DiscardHandler)})
	require.NoError(b, err)
	defer c.Close()
	payload := make([]byte, 64)
	set := c.NewTaskSet(b.Context())
	set.SetLimit(256)
	b.ReportAllocs()
	for b.Loop() {
		set.Add(gearman.Task{Function: "echo", Payload: payload})
	}
	require.NoError(b, set.Wait())
}
