package flow

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestMatrixOfItems(t *testing.T) {
	t.Parallel()
	region := Axis{"region", template(t, "${{ params.regions }}")}
	table := Axis{"table", template(t, []any{"orders", 2})}
	regions := map[string]any{"regions": []any{"eu", "us"}}
	for _, test := range []struct {
		name   string
		matrix Matrix
		params map[string]any
		want   []string
	}{
		{"the first axis changes slowest", Matrix{Axes: []Axis{region, table}}, regions, []string{
			`{"region":"eu","table":"orders"}`, `{"region":"eu","table":2}`, `{"region":"us","table":"orders"}`, `{"region":"us","table":2}`,
		}},
		{"exclude and include", Matrix{
			Axes:    []Axis{region, table},
			Exclude: template(t, []any{map[string]any{"region": "us"}, map[string]any{"region": "eu", "table": 2}}),
			Include: template(t, []any{map[string]any{"region": "${{ params.regions[1] }}", "full": true}}),
		}, regions, []string{`{"region":"eu","table":"orders"}`, `{"full":true,"region":"us"}`}},
		{"an empty axis", Matrix{Axes: []Axis{region, table}}, map[string]any{"regions": []any{}}, nil},
		{"no axes", Matrix{Include: template(t, []any{map[string]any{"a": 1}})}, regions, []string{`{"a":1}`}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			r, _ := fakeRunner(map[string]handler{"f": echo})
			plan := &Plan{Name: "p", Params: []Param{{Name: "regions", Type: List}}, Stages: []Stage{
				{Name: "s", Function: "f", Input: Input{Kind: FromMatrix, Matrix: &test.matrix}},
			}}
			var out strings.Builder
			_, err := plan.Run(t.Context(), r, RunOptions{Params: test.params, Output: &out})
			require.NoError(t, err)
			require.Equal(t, strings.Join(append(test.want, ""), "\n"), out.String())
		})
	}
}

func TestMatrixThatIsNoMatrix(t *testing.T) {
	t.Parallel()
	for want, m := range map[string]*Matrix{
		"matrix: a: want a list, not text":                      {Axes: []Axis{{"a", template(t, "x")}}},
		"matrix: exclude: want a list of maps, not of a number": {Exclude: template(t, []any{1})},
		"matrix: include: want a list, not a map":               {Include: template(t, map[string]any{})},
	} {
		r, _ := fakeRunner(map[string]handler{"f": echo})
		_, _, err := run(t, r, RunOptions{}, Stage{Name: "s", Function: "f", Input: Input{Kind: FromMatrix, Matrix: m}})
		require.ErrorContains(t, err, want)
	}
}
