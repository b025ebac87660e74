package flow

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// forecastPlan is a pipeline with each kind of edge.
func forecastPlan(t testing.TB, rt *rapid.T) *Plan {
	items := rapid.SliceOfN(rapid.IntRange(0, 9), 0, 20).Draw(rt, "items")
	list := make([]any, len(items))
	for i, n := range items {
		list[i] = n
	}
	streamed := rapid.Bool().Draw(rt, "stream")
	needs := []string{"a"}
	if streamed {
		needs = nil
	}
	return &Plan{Name: "p", Stages: []Stage{
		{Name: "a", Function: "f", Input: each(t, list), Args: template(t, "a${{ item }}")},
		{Name: "b", Function: "f", Input: Input{Kind: FromStages, From: []string{"a"}, Stream: streamed}, Needs: needs, Args: template(t, "b${{ item }}"), MaxParallel: 2},
		{Name: "c", Function: "f", Input: Input{Kind: FromStages, From: []string{"b"}, Gather: true}, Needs: []string{"b"}},
		{Name: "order", Function: "f", Needs: []string{"c"}, Input: each(t, 3), Rate: &Rate{Limit: 1000, Every: 1}},
		{Name: "skipped", Function: "f", Needs: []string{"order"}, If: template(t, "${{ run.attempt > 1 }}")},
		{Name: "crawl", Function: "tree", Needs: []string{"skipped"}, Input: each(t, []any{1}), Output: JSONOutput, Discover: &Discover{Items: template(t, "${{ result }}")}},
		{Name: "last", Function: "f", Needs: []string{"crawl"}, Args: template(t, "${{ len(stages.crawl.results) }}")},
	}}
}

// tree finds the children of a number below 20.
func tree(_ context.Context, p string) (string, error) {
	n, err := strconv.Atoi(p)
	if err != nil || 2*n+1 >= 20 {
		return "[]", err
	}
	return fmt.Sprintf("[%d,%d]", 2*n, 2*n+1), nil
}

// TestForecastIsWhatTheRunDoes takes away some results of a run, forecasts, and runs again: the counts
// are the same, stage by stage, wherever the forecast says that it knows.
func TestForecastIsWhatTheRunDoes(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		plan := forecastPlan(t, rt)
		o := RunOptions{ID: "r1.x", Sample: rapid.SampledFrom([]int{0, 0, 3, 8}).Draw(rt, "sample")}
		handlers := map[string]handler{"f": echo, "tree": tree}
		full := newMemoryJournal()
		first, _ := fakeRunner(handlers)
		o.Journal = full
		_, err := plan.Run(t.Context(), first, o)
		require.NoError(rt, err)

		some := newMemoryJournal()
		lost := rapid.IntRange(0, 100).Draw(rt, "lost")
		for _, key := range slices.Sorted(maps.Keys(full.answers)) {
			if rapid.IntRange(0, 99).Draw(rt, "key") >= lost {
				some.answers[key] = full.answers[key]
			}
		}
		forecast, err := plan.Forecast(t.Context(), &Runner{}, o, some)
		require.NoError(rt, err)
		require.Empty(rt, some.jobs, "a forecast records nothing")
		isFull := len(some.answers) == len(full.answers)

		again, server := fakeRunner(handlers)
		o.Journal = some
		report, err := plan.Run(t.Context(), again, o)
		require.NoError(rt, err)
		foreseenNew, isWhole := 0, true
		for i, f := range forecast.Stages {
			s := report.Stages[i]
			require.Equal(rt, f.Kind == ForeseenSkip, s.Status == Skipped, f.Stage)
			require.Equal(rt, f.Answered+f.Attached+f.New+f.Joined+f.Failed, f.Jobs)
			foreseenNew += f.New
			if f.Kind != ForeseenJobs && f.Kind != ForeseenSkip || f.More {
				isWhole = false
				continue
			}
			require.Equal(rt, []int{s.Added, s.Answered, s.Joined, s.LeftOut}, []int{f.Jobs, f.Answered, f.Joined, f.LeftOut}, f.Stage)
		}
		if isWhole {
			require.Len(rt, server.tasks, foreseenNew)
		}
		if o.Sample == 0 { // what is sampled of a level depends on all that the one before finds
			require.GreaterOrEqual(rt, len(server.tasks), foreseenNew)
		}
		require.Equal(rt, ForeseenJobs, forecast.Stages[3].Kind, "order alone hides no stage")
		if isFull {
			require.Zero(rt, foreseenNew)
		}
	})
}

func TestForecastOfWhatIsNotThereYet(t *testing.T) {
	t.Parallel()
	plan := &Plan{Name: "p", Stages: []Stage{
		{Name: "a", Function: "f", Input: each(t, 2)},
		{Name: "b", Function: "f", Input: from("a"), Needs: []string{"a"}},
		{Name: "c", Function: "f", Needs: []string{"b"}, If: template(t, "${{ stages.a.count > 1 && len(stages.b.results) > 0 }}")},
	}}
	forecast, err := plan.Forecast(t.Context(), &Runner{}, RunOptions{}, nil)
	require.NoError(t, err)
	require.Equal(t, 2, forecast.Stages[0].New)
	require.Equal(t, StageForecast{Stage: "b", Kind: ForeseenLater, After: []string{"a"}}, forecast.Stages[1])
	require.Equal(t, StageForecast{Stage: "c", Kind: ForeseenLater, After: []string{"a", "b"}}, forecast.Stages[2])
}

// A stage may use results of one that it does not wait for itself.
func TestForecastOfResultsFromFurtherBack(t *testing.T) {
	t.Parallel()
	plan := &Plan{Name: "p", Stages: []Stage{
		{Name: "a", Function: "f", Input: each(t, 2)},
		{Name: "b", Function: "f", Needs: []string{"a"}},
		{Name: "c", Function: "f", Needs: []string{"b"}, Args: template(t, "${{ len(stages.a.results) }}")},
	}}
	forecast, err := plan.Forecast(t.Context(), &Runner{}, RunOptions{}, nil)
	require.NoError(t, err)
	require.Equal(t, 1, forecast.Stages[1].New)
	require.Equal(t, StageForecast{Stage: "c", Kind: ForeseenLater, After: []string{"a"}}, forecast.Stages[2])
}

func TestForecastOfWhatCannotGoWell(t *testing.T) {
	t.Parallel()
	plan := &Plan{Name: "p", Stages: []Stage{
		{Name: "a", Function: "f", Input: each(t, 3), Args: template(t, "${{ item.x.y }}")},
		{Name: "b", Function: "f", Input: from("a"), Needs: []string{"a"}},
	}}
	forecast, err := plan.Forecast(t.Context(), &Runner{}, RunOptions{}, nil)
	require.NoError(t, err)
	require.Equal(t, ForeseenError, forecast.Stages[0].Kind)
	require.Equal(t, 3, forecast.Stages[0].Failed)
	require.Equal(t, ForeseenError, forecast.Stages[1].Kind)
	require.Contains(t, forecast.Stages[1].Reason, `"a" ended with failure`)
}

func TestForecastOfForcedStages(t *testing.T) {
	t.Parallel()
	plan := &Plan{Name: "p", Stages: []Stage{{Name: "a", Function: "f", Input: each(t, 3)}, {Name: "b", Function: "f", Input: each(t, 3)}}}
	r, _ := fakeRunner(map[string]handler{"f": echo})
	journal, o := newMemoryJournal(), RunOptions{ID: "r1.x"}
	o.Journal = journal
	_, err := plan.Run(t.Context(), r, o)
	require.NoError(t, err)
	o.Force = []string{"b"}
	forecast, err := plan.Forecast(t.Context(), &Runner{}, o, journal)
	require.NoError(t, err)
	require.Equal(t, 3, forecast.Stages[0].Answered)
	require.Equal(t, 3, forecast.Stages[1].New)
}
