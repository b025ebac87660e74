package flow

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/geartrain/geartrain/flow/expression"
)

func TestLimitsComeFromParameters(t *testing.T) {
	t.Parallel()
	per := template(t, "${{ item }}")
	plan := &Plan{Name: "p", Stages: []Stage{{
		Name: "s", Function: "f", Rate: &Rate{Limit: 1, Every: time.Second, Per: per}, Discover: &Discover{MaxItems: 1},
		Limits: map[Limit]expression.Template{
			LimitParallel: template(t, "${{ params.n }}"), LimitRate: template(t, "${{ params.n }}/m"),
			LimitItems: template(t, "${{ params.n * 10 }}"), LimitTimeout: template(t, "${{ params.n }}s"),
		},
	}}}
	settled, err := plan.settled(&expression.Scope{Params: map[string]any{"n": 7}})
	require.NoError(t, err)
	s := settled.Stages[0]
	require.Equal(t, 7, s.MaxParallel)
	require.Equal(t, &Rate{Limit: 7, Every: time.Minute, Per: per}, s.Rate)
	require.Equal(t, 70, s.Discover.MaxItems)
	require.Equal(t, 7*time.Second, s.Timeout)
	old := plan.Stages[0]
	require.Equal(t, Stage{
		Name: "s", Function: "f", Rate: &Rate{Limit: 1, Every: time.Second, Per: per}, Discover: &Discover{MaxItems: 1}, Limits: old.Limits,
	}, old, "a plan does not change")
}

func TestBadLimitsStopARunBeforeItBegins(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		limit Limit
		value any
		want  string
	}{
		{LimitParallel, 0, `stage "s": max_parallel: "0" is not a whole number of 1 or more`},
		{LimitParallel, 1.5, `stage "s": max_parallel: "1.5" is not a whole number of 1 or more`},
		{LimitParallel, nil, `stage "s": max_parallel: "" is not a whole number of 1 or more`},
		{LimitRate, "fast", `stage "s": rate: "fast" is not a rate; write 10/s, 600/m or 100/h`},
		{LimitTimeout, "soon", `stage "s": timeout: "soon"`},
		{LimitTimeout, "0s", `stage "s": timeout: a timeout of zero`},
		{LimitItems, 5, `stage "s": max_items: the stage discovers no items`},
	} {
		r, server := fakeRunner(map[string]handler{"f": echo})
		plan := &Plan{
			Name: "p", Params: []Param{{Name: "v", Type: List}}, // any one value
			Stages: []Stage{{Name: "s", Function: "f", Limits: map[Limit]expression.Template{test.limit: template(t, "${{ params.v[0] }}")}}},
		}
		_, err := plan.Run(t.Context(), r, RunOptions{Params: map[string]any{"v": []any{test.value}}})
		require.ErrorContains(t, err, test.want)
		require.Empty(t, server.submitted("f"))
	}
}
