package flow_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/geartrain/geartrain/flow"
	"github.com/geartrain/geartrain/flow/flowtest"
	"github.com/geartrain/geartrain/flow/form"
	"github.com/geartrain/geartrain/gearman"
)

func load(t testing.TB, text string) *flow.Plan {
	t.Helper()
	read, err := form.Load("p.yaml", strings.NewReader(text))
	require.NoError(t, err)
	return read.Plan
}

// With late results taken, an attempt runs on after its timeout, and those after it join it.
func TestRetryJoinsTheJobThatStillRuns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slow := gearman.NewFunc[string, string]("slow")
		var runs atomic.Int32
		pipeline := flow.Define("p", func(in flow.Stream[string]) flow.Single[[]string] {
			return flow.Gather(flow.Each(in, slow, flow.Timeout(time.Minute), flow.Attempts(5), flow.TakeLate()))
		})
		out, err := flowtest.Run(t, pipeline, []string{"x"}, flowtest.Do(slow, func(_ context.Context, in string) (string, error) {
			runs.Add(1)
			time.Sleep(3 * time.Minute)
			return in + " done", nil
		}))
		require.NoError(t, err)
		require.Equal(t, []string{"x done"}, out)
		require.EqualValues(t, 1, runs.Load(), "each attempt had the same key")
	})
}

// A worker that knows nothing of the stage's timeout is told to end what takes longer, and the next attempt is a
// run of its own.
func TestTimeoutEndsTheAttempt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slow := gearman.NewFunc[string, string]("slow")
		var runs atomic.Int32
		var ended atomic.Value
		pipeline := flow.Define("p", func(in flow.Stream[string]) flow.Single[[]string] {
			return flow.Gather(flow.Each(in, slow, flow.Timeout(time.Minute), flow.Attempts(2)))
		})
		out, err := flowtest.Run(t, pipeline, []string{"x"}, flowtest.Do(slow, func(ctx context.Context, in string) (string, error) {
			if runs.Add(1) == 2 {
				return in + " done", nil
			}
			<-ctx.Done()
			ended.Store(context.Cause(ctx))
			return "", ctx.Err()
		}))
		require.NoError(t, err)
		require.Equal(t, []string{"x done"}, out)
		require.EqualValues(t, 2, runs.Load())
		require.Equal(t, gearman.ErrJobCancelled, ended.Load())
	})
}

// So is a worker whose job is still running when the run has ended.
func TestTheEndOfARunEndsItsJobs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hangs := gearman.NewFunc[string, string]("hangs")
		ended := make(chan error, 1)
		pipeline := flow.Define("p", func(in flow.Stream[string]) flow.Single[[]string] {
			return flow.Gather(flow.Each(in, hangs))
		}, flow.RunTimeout(time.Minute))
		_, err := flowtest.Run(t, pipeline, []string{"x"}, flowtest.Do(hangs, func(ctx context.Context, _ string) (string, error) {
			<-ctx.Done()
			ended <- context.Cause(ctx)
			return "", ctx.Err()
		}))
		require.ErrorIs(t, err, flow.ErrRunTimeout)
		require.Equal(t, gearman.ErrJobCancelled, <-ended)
	})
}

func TestFailedJobIsTriedAgainWithTheSameKey(t *testing.T) {
	t.Parallel()
	f := gearman.NewFunc[string, string]("f")
	var keys [3]atomic.Value
	var runs atomic.Int32
	pipeline := flow.Define("p", func(in flow.Stream[string]) flow.Single[[]string] {
		return flow.Gather(flow.Each(in, f, flow.Attempts(3)))
	})
	out, err := flowtest.Run(t, pipeline, []string{"x"}, flowtest.Do(f, func(ctx context.Context, in string) (string, error) {
		job, _ := gearman.JobFrom(ctx)
		n := runs.Add(1)
		keys[n-1].Store(job.Key())
		if n < 3 {
			return "", errors.New("not yet")
		}
		return in, nil
	}))
	require.NoError(t, err)
	require.Equal(t, []string{"x"}, out)
	require.Equal(t, keys[0].Load(), keys[1].Load())
	require.Equal(t, keys[0].Load(), keys[2].Load())
}

func TestStreamedEdgeOnARealServer(t *testing.T) {
	t.Parallel()
	fetch, parse := gearman.NewFunc[string, string]("fetch"), gearman.NewFunc[string, string]("parse")
	parsed := make(chan string, 2)
	pipeline := flow.Define("p", func(in flow.Stream[string]) flow.Single[[]string] {
		return flow.Gather(flow.Each(flow.Each(in, fetch), parse, flow.Streamed()))
	})
	out, err := flowtest.Run(t, pipeline, []string{"slow", "quick"},
		flowtest.Do(fetch, func(_ context.Context, p string) (string, error) {
			if p == "slow" {
				<-parsed // of the quick one
			}
			return p, nil
		}),
		flowtest.Do(parse, func(_ context.Context, p string) (string, error) {
			parsed <- p
			return p, nil
		}))
	require.NoError(t, err)
	require.Equal(t, []string{"slow", "quick"}, out, "in the order of the input, whichever came first")
}

func TestInputIsWorkedOnWhileMoreIsSent(t *testing.T) {
	t.Parallel()
	f := gearman.NewFunc[int, int]("double")
	done := make(chan int, 1)
	runner := flowtest.NewRunner(t, flowtest.Do(f, func(_ context.Context, n int) (int, error) {
		done <- n
		return 2 * n, nil
	}))
	pipeline := flow.Define("p", func(in flow.Stream[int]) flow.Single[[]int] { return flow.Gather(flow.Each(in, f)) })
	run, err := pipeline.Start(t.Context(), runner, flow.RunOptions{})
	require.NoError(t, err)
	for i := range 3 {
		require.NoError(t, run.Send(t.Context(), i))
		require.Equal(t, i, <-done, "before the next one is sent")
	}
	run.CloseInput()
	out, err := run.Wait()
	require.NoError(t, err)
	require.Equal(t, []int{0, 2, 4}, out)
	require.ErrorIs(t, run.Send(t.Context(), 1), flow.ErrInputClosed)
}

func TestCrawlThatFeedsItself(t *testing.T) {
	t.Parallel()
	type page struct{ Links []int }
	fetch := gearman.NewFunc[int, page]("fetch")
	index := gearman.NewFunc[[]page, int]("index")
	pipeline := flow.Define("crawl", func(in flow.Stream[int]) flow.Single[int] {
		links := func(p page) iter.Seq[int] {
			return func(yield func(int) bool) {
				for _, link := range p.Links {
					if !yield(link) {
						return
					}
				}
			}
		}
		return flow.Reduce(flow.Recurse(in, fetch, links), index)
	})
	var fetched atomic.Int32
	out, err := flowtest.Run(t, pipeline, []int{0, 0},
		flowtest.Do(fetch, func(_ context.Context, n int) (page, error) {
			fetched.Add(1)
			return page{[]int{(2*n + 1) % 500, (2*n + 2) % 500, n, 0}}, nil
		}),
		flowtest.Do(index, func(_ context.Context, all []page) (int, error) { return len(all), nil }))
	require.NoError(t, err)
	require.Equal(t, 500, out)
	require.EqualValues(t, 500, fetched.Load())
}

// TestManyItemsTakeTheMemoryOfTheWindow sends 100 MB through two stages. The server, which is in the same
// process, is to keep none of it.
func TestManyItemsTakeTheMemoryOfTheWindow(t *testing.T) {
	if testing.Short() {
		t.Skip("40,000 jobs take some seconds")
	}
	const items, size = 20_000, 2500
	defer debug.SetMemoryLimit(debug.SetMemoryLimit(64 << 20)) // garbage is not what is looked for
	peak := watchHeap(t)
	runMany(t, items, size)
	most := peak()
	t.Logf("%d jobs, 100 MB of results, at most %d MiB of heap", 2*items, most>>20)
	require.Less(t, most, uint64(80<<20))
}

// TestFanOut runs as many items as GEARTRAIN_ITEMS says through two stages, server and worker in the same
// process, and measures the memory of all of it:
//
//	GEARTRAIN_ITEMS=1000000 go test ./flow -run TestFanOut -v
func TestFanOut(t *testing.T) {
	items, err := strconv.Atoi(os.Getenv("GEARTRAIN_ITEMS"))
	if err != nil {
		t.Skip("GEARTRAIN_ITEMS does not say how many")
	}
	began := time.Now()
	runMany(t, items, 20)
	t.Logf("%d jobs in %s", 2*items, time.Since(began).Round(time.Second))
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Skip("the peak of the memory is not known on this system: ", err)
	}
	_, rest, _ := strings.Cut(string(status), "VmHWM:")
	kib, err := strconv.Atoi(strings.Fields(rest)[0])
	require.NoError(t, err)
	t.Logf("peak RSS %d MiB", kib>>10)
	require.LessOrEqual(t, kib>>10, 200)
}

// runMany makes results of size bytes in one stage and streams them through another.
func runMany(t *testing.T, items, size int) {
	f := gearman.NewFunc[string, string]("pad")
	runner := flowtest.NewRunner(t, flowtest.Do(f, func(_ context.Context, in string) (string, error) {
		return in[:10] + strings.Repeat(".", size-10), nil
	}))
	runner.TempDir = t.TempDir()
	plan := &flow.Plan{Name: "p", Stages: []flow.Stage{
		{Name: "first", Function: "pad", Input: flow.Input{Kind: flow.FromInput}},
		{Name: "second", Function: "pad", Input: flow.Input{Kind: flow.FromStages, From: []string{"first"}, Stream: true}},
	}}
	in := func(yield func([]byte) bool) {
		for i := range items {
			if !yield(fmt.Appendf(nil, "%010d", i)) {
				return
			}
		}
	}
	lines := &lineCounter{}
	report, err := plan.Run(t.Context(), runner, flow.RunOptions{Input: in, Output: lines, Retain: -1})
	require.NoError(t, err)
	require.Equal(t, items, report.Stages[1].Done)
	require.Equal(t, items, lines.count)
}

type lineCounter struct{ count int }

func (l *lineCounter) Write(p []byte) (int, error) {
	l.count += strings.Count(string(p), "\n")
	return len(p), nil
}

// watchHeap measures the heap until what it returns is called, which gives the most that was seen.
func watchHeap(t testing.TB) (peak func() uint64) {
	ctx, stop := context.WithCancel(t.Context())
	most := make(chan uint64, 1)
	go func() {
		var top uint64
		for ctx.Err() == nil {
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			top = max(top, m.HeapAlloc)
			select {
			case <-time.After(20 * time.Millisecond):
			case <-ctx.Done():
			}
		}
		most <- top
	}()
	return func() uint64 {
		stop()
		return <-most
	}
}
