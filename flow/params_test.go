package flow_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/geartrain/geartrain/flow"
)

const paramsFile = `
name: p
params:
  seed: {type: string, required: true, pattern: "https?://.*"}
  depth: {type: integer, default: 3, minimum: 0, maximum: 9}
  share: {type: number, default: 0.5, maximum: 1}
  full: {type: boolean, default: false}
  mode: {enum: [fast, slow], default: fast}
  names: [a, b]
  more: {type: map}
  day: {type: date, default: "${{ date(run.scheduled_at, 'YYYY-MM-DD', '-1d') }}"}
  wait: {type: duration, default: 5m}
stages: [{name: s, function: f}]
`

func TestParseParams(t *testing.T) {
	t.Parallel()
	plan := load(t, paramsFile)
	at := time.Date(2026, 3, 1, 2, 30, 0, 0, time.UTC)
	values, err := flow.ParseParams(plan, map[string]string{"seed": "http://e.org/", "names": "x, y", "share": "1", "more": `{"a":[1]}`}, at)
	require.NoError(t, err)
	require.Equal(t, map[string]any{
		"seed": "http://e.org/", "depth": 3, "share": 1, "full": false, "mode": "fast", "names": []any{"x", "y"},
		"more": map[string]any{"a": []any{1}}, "day": "2026-02-28", "wait": "5m",
	}, values)

	values, err = flow.ParseParams(plan, map[string]string{"seed": "http://e.org/", "names": `["1",2]`, "full": "true", "day": "2026-01-01"}, at)
	require.NoError(t, err)
	require.Equal(t, []any{"1", 2}, values["names"])
	require.Equal(t, true, values["full"])
	require.Equal(t, "2026-01-01", values["day"])
	require.Nil(t, values["more"])
}

func TestParseParamsReportsAll(t *testing.T) {
	t.Parallel()
	plan := load(t, paramsFile)
	_, err := flow.ParseParams(plan, map[string]string{
		"depth": "10", "share": "x", "full": "yes", "mode": "medium", "more": "[]", "day": "tomorrow", "wait": "5", "naems": "a", "zzz": "",
	}, time.Time{})
	var wrong *flow.ParamError
	require.ErrorAs(t, err, &wrong)
	var messages []string
	for _, p := range wrong.Problems {
		messages = append(messages, p.Message)
	}
	require.Equal(t, []string{
		`the parameter "seed" is required; it is text that matches https?://.*`,
		`the parameter "depth" cannot be "10"; it is a whole number from 0 to 9`,
		`the parameter "share" cannot be "x"; it is a number, 1 or less`,
		`the parameter "full" cannot be "yes"; it is true or false`,
		`the parameter "mode" cannot be "medium"; it is one of fast, slow`,
		`the parameter "more" cannot be "[]"; it is a map, as JSON`,
		`the parameter "day" cannot be "tomorrow"; it is a date such as 2026-01-31`,
		`the parameter "wait" cannot be "5"; it is a duration such as 90s, 5m or 2d`,
		`there is no parameter "naems"; did you mean "names"?`,
		`there is no parameter "zzz"; the parameters are seed, depth, share, full, mode, names, more, day, wait`,
	}, messages)
	require.ErrorContains(t, err, "parameters of p: ")
}
