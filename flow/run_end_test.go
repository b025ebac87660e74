package flow

import (
	"context"
	"errors"
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
