package flow

import (
	"context"
	"errors"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

func TestFailureBudget(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name   string
		budget Budget
		above  int // 0..9, those above fail
		want   Status
	}{
		{"none fails", Budget{}, 9, Success},
		{"one too many", Budget{}, 8, Failure},
		{"within the count", Budget{Count: 2}, 7, Partial},
		{"over the count", Budget{Count: 2}, 6, Failure},
		{"within the share", Budget{Percent: 20}, 7, Partial},
		{"over the share", Budget{Percent: 20}, 6, Failure},
		{"all may fail", Budget{All: true}, -1, Partial},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			r, server := fakeRunner(map[string]handler{"f": failAbove(test.above), "echo": echo})
			_, report, err := run(t, r, RunOptions{},
				Stage{Name: "s", Function: "f", Input: each(t, 10), AllowFailures: test.budget},
				Stage{Name: "next", Function: "echo", Input: from("s")},
				Stage{Name: "other", Function: "echo"})
			require.Equal(t, test.want, stageNamed(report, "s").Status)
			require.Equal(t, test.want, report.Status)
			require.Equal(t, 9-test.above, stageNamed(report, "s").Failed)
			require.Len(t, server.submitted("f"), 10, "without fail_fast all are tried")
			require.Equal(t, Success, stageNamed(report, "other").Status, "only dependants are stopped")
			if test.want == Failure {
				require.Equal(t, Blocked, stageNamed(report, "next").Status)
				stage, ok := errors.AsType[*StageError](err)
				require.True(t, ok)
				require.Equal(t, "s", stage.Stage)
				require.Equal(t, 9-test.above, stage.Reasons[0].Count)
				require.Equal(t, "too high", stage.Reasons[0].Message)
				require.Equal(t, "exception", stage.First[0].Reason)
				return
			}
			require.NoError(t, err)
			require.Equal(t, test.above+1, stageNamed(report, "next").Done)
		})
	}
}

func TestFailFastStopsTheStage(t *testing.T) {
	t.Parallel()
	r, server := fakeRunner(map[string]handler{"f": func(ctx context.Context, p string) (string, error) {
		if p == "1" {
			return "", errors.New("no")
		}
		<-ctx.Done()
		return "", context.Cause(ctx)
	}})
	_, report, err := run(t, r, RunOptions{}, Stage{Name: "s", Function: "f", FailFast: true, MaxParallel: 5, Input: each(t, 1000)})
	require.ErrorIs(t, err, ErrTooManyFailures)
	s := stageNamed(report, "s")
	require.Equal(t, Failure, s.Status)
	require.Equal(t, 1, s.Failed, "what was cut off is no failure")
	require.Less(t, len(server.submitted("f")), 100)
	require.Equal(t, s.Added, s.Ended())
}

func TestRunTimeout(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r, _ := fakeRunner(nil)
		plan := &Plan{Name: "p", Timeout: time.Hour, Stages: []Stage{
			{Name: "a", Function: "nobody", Input: each(t, 3000)}, {Name: "b", Function: "nobody", Needs: []string{"a"}},
		}}
		began := time.Now()
		report, err := plan.Run(t.Context(), r, RunOptions{})
		require.Equal(t, time.Hour, time.Since(began))
		require.ErrorIs(t, err, ErrRunTimeout)
		require.Equal(t, TimedOut, report.Status)
		a := stageNamed(report, "a")
		require.Equal(t, a.Added, a.Dropped)
		require.Zero(t, a.Failed)
		require.Equal(t, TimedOut, stageNamed(report, "b").Status)
	})
}

func TestDrainLetsJobsEnd(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		r, server := fakeRunner(map[string]handler{"f": func(_ context.Context, p string) (string, error) {
			<-release
			return p, nil
		}})
		plan := &Plan{Name: "p", Stages: []Stage{
			{Name: "a", Function: "f", MaxParallel: 7, Input: each(t, 1000)}, {Name: "b", Function: "f", Needs: []string{"a"}},
		}}
		run, err := plan.Start(t.Context(), r, RunOptions{})
		require.NoError(t, err)
		synctest.Wait()
		run.Drain()
		synctest.Wait()
		open := run.Progress()[0].Open
		close(release)
		report, err := run.Wait()
		require.ErrorIs(t, err, ErrDrained)
		require.Equal(t, Cancelled, report.Status)
		a := stageNamed(report, "a")
		require.Equal(t, open, a.Done, "what was submitted has ended")
		require.Equal(t, a.Added, a.Ended())
		require.Len(t, server.submitted("f"), a.Done)
		require.Equal(t, Cancelled, stageNamed(report, "b").Status)
	})
}

func TestDrainAfterTheLastItemChangesNothing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		r, _ := fakeRunner(map[string]handler{"f": func(_ context.Context, p string) (string, error) {
			<-release
			return p, nil
		}})
		plan := &Plan{Name: "p", Stages: []Stage{{Name: "a", Function: "f", Input: each(t, 10)}}}
		run, err := plan.Start(t.Context(), r, RunOptions{})
		require.NoError(t, err)
		synctest.Wait()
		run.Drain()
		close(release)
		report, err := run.Wait()
		require.NoError(t, err)
		require.Equal(t, Success, report.Status)
	})
}

func TestCancelEndsTheRun(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		cause := errors.New("enough")
		ctx, cancel := context.WithCancelCause(t.Context())
		r, _ := fakeRunner(nil)
		plan := &Plan{Name: "p", Stages: []Stage{{Name: "a", Function: "nobody", Input: each(t, 10)}}}
		run, err := plan.Start(ctx, r, RunOptions{})
		require.NoError(t, err)
		synctest.Wait()
		cancel(cause)
		report, err := run.Wait()
		require.ErrorIs(t, err, cause)
		require.Equal(t, Cancelled, report.Status)
		require.Equal(t, 10, stageNamed(report, "a").Dropped)
	})
}

// TestEndsAreNamed ends a run in each way, with a job that runs, some that wait and a stage to come.
func TestEndsAreNamed(t *testing.T) {
	t.Parallel()
	own := errors.New("second ctrl-c")
	for _, test := range []struct {
		name  string
		end   func(run *Run, cancel context.CancelCauseFunc)
		want  Status
		cause error
	}{
		{"drain then cancel", func(run *Run, cancel context.CancelCauseFunc) { run.Drain(); cancel(own) }, Cancelled, own},
		{"drain then give up", func(run *Run, cancel context.CancelCauseFunc) { run.Drain(); cancel(ErrDrained) }, Cancelled, ErrDrained},
		{"cancel", func(_ *Run, cancel context.CancelCauseFunc) { cancel(own) }, Cancelled, own},
		{"no cause", func(_ *Run, cancel context.CancelCauseFunc) { cancel(nil) }, Cancelled, context.Canceled},
		{"timeout", func(_ *Run, cancel context.CancelCauseFunc) { cancel(ErrRunTimeout) }, TimedOut, ErrRunTimeout},
		{"deadline", func(_ *Run, cancel context.CancelCauseFunc) { cancel(context.DeadlineExceeded) }, TimedOut, context.DeadlineExceeded},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			for _, items := range []int{20, 3000} { // all added, or not
				synctest.Test(t, func(t *testing.T) {
					ctx, cancel := context.WithCancelCause(t.Context())
					r, _ := fakeRunner(nil)
					plan := &Plan{Name: "p", Stages: []Stage{
						{Name: "a", Function: "nobody", Input: each(t, items)},
						{Name: "b", Function: "nobody", Needs: []string{"a"}},
						{Name: "c", Function: "nobody", Input: Input{Kind: FromStages, From: []string{"a"}, Stream: true}},
					}}
					run, err := plan.Start(ctx, r, RunOptions{})
					require.NoError(t, err)
					synctest.Wait()
					test.end(run, cancel)
					report, err := run.Wait()
					require.ErrorIs(t, err, test.cause)
					require.Equal(t, test.want, report.Status)
					for _, s := range report.Stages {
						require.Equal(t, test.want, s.Status, "stage %s", s.Stage)
						require.Zero(t, s.Failed)
					}
				})
			}
		})
	}
}

func TestWaitForSomeResults(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name   string
		wait   Wait
		items  int
		broken int // so many items fail, the others but last stay
		last   int // so many have a result
		want   Status
	}{
		{"the first", Wait{Count: 1}, 10, 3, 1, Success},
		{"a few", Wait{Count: 4}, 10, 0, 4, Success},
		{"a part", Wait{Percent: 35}, 10, 2, 4, Success},
		{"more than there are", Wait{Count: 5}, 3, 0, 3, Success},
		{"of nothing", Wait{Count: 5}, 0, 0, 0, Success},
		{"all fail", Wait{Count: 1}, 3, 3, 0, Failure},
		{"too many fail", Wait{Count: 3}, 4, 2, 2, Failure},
		{"too large a part fails", Wait{Percent: 80}, 10, 3, 7, Failure},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			r, _ := fakeRunner(map[string]handler{"f": func(ctx context.Context, p string) (string, error) {
				switch n, err := strconv.Atoi(p); {
				case err != nil || n < test.broken:
					return "", errors.New("broken")
				case n < test.broken+test.last:
					return p, nil
				}
				<-ctx.Done()
				return "", context.Cause(ctx)
			}, "next": echo})
			_, report, err := run(t, r, RunOptions{},
				Stage{Name: "s", Function: "f", Input: each(t, test.items), Wait: test.wait},
				Stage{Name: "next", Function: "next", Input: from("s")})
			s := stageNamed(report, "s")
			require.Equal(t, test.want, s.Status)
			require.Equal(t, test.last, s.Done)
			require.Equal(t, s.Added, s.Ended())
			if test.want == Failure {
				require.ErrorIs(t, err, ErrTooManyFailures)
				return
			}
			require.NoError(t, err)
			require.Equal(t, test.last, stageNamed(report, "next").Done)
		})
	}
}

func TestFailFastOfAPartIsSeenWhenTheInputEnds(t *testing.T) {
	t.Parallel()
	sent := make(chan struct{})
	r, _ := fakeRunner(map[string]handler{"f": func(ctx context.Context, p string) (string, error) {
		if p == "0" {
			return "", errors.New("no")
		}
		close(sent)
		<-ctx.Done()
		return "", context.Cause(ctx)
	}})
	plan := &Plan{Name: "p", Stages: []Stage{{
		Name: "s", Function: "f", Input: Input{Kind: FromInput}, FailFast: true, AllowFailures: Budget{Percent: 10},
	}}}
	run, err := plan.Start(t.Context(), r, RunOptions{})
	require.NoError(t, err)
	for _, p := range []string{"0", "1"} {
		require.NoError(t, run.Send(t.Context(), []byte(p)))
	}
	<-sent
	run.CloseInput()
	report, err := run.Wait()
	require.ErrorIs(t, err, ErrTooManyFailures)
	require.Equal(t, 1, stageNamed(report, "s").Dropped)
}
