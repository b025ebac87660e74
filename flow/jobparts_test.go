package flow

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// The parts that are told without a run are those of the keys that a run's jobs have.
func TestJobPartsAreThoseOfTheRun(t *testing.T) {
	t.Parallel()
	items := []any{map[string]any{"u": "x"}, "text", 3}
	plan := &Plan{Name: "p", Params: []Param{{Name: "n", Default: template(t, "5")}}, Stages: []Stage{
		{Name: "plain", Function: "echo", Version: "2", Input: each(t, items)},
		{Name: "made", Function: "echo", Input: each(t, items), Args: template(t, map[string]any{"n": "${{ params.n }}", "of": "${{ item }}"})},
		{Name: "by index", Function: "echo", Input: each(t, items), Key: template(t, "${{ index }}"), Fresh: Fresh{Always: true}},
		{Name: "tasks", Input: each(t, items), Tasks: []Stage{{Name: "a", Function: "upper"}, {Name: "b", Function: "echo", Args: template(t, "${{ run.id }}")}}},
		{Name: "once", Function: "echo"},
	}}
	o := RunOptions{Params: map[string]any{"n": "7"}, ScheduledAt: time.Unix(1_700_000_000, 0)}
	var told []string
	tell := func(stage string, it Datum, index int) {
		all, err := plan.JobParts(o, stage, it, index)
		require.NoError(t, err)
		for _, parts := range all {
			key, err := parts.Key()
			require.NoError(t, err)
			told = append(told, key)
		}
	}
	for _, stage := range []string{"plain", "made", "by index", "tasks"} {
		for i, it := range []Datum{{KeyJSON, []byte(`{ "u": "x" }`)}, {KeyText, []byte("text")}, {KeyJSON, []byte("3")}} {
			tell(stage, it, i)
		}
	}
	tell("once", Datum{Kind: KeyNone}, 0)

	runner, server := fakeRunner(map[string]handler{"echo": echo, "upper": upper})
	_, err := plan.Run(t.Context(), runner, o)
	require.NoError(t, err)
	ran := map[string]bool{}
	for _, task := range server.tasks {
		ran[task.Key] = true
	}
	want := map[string]bool{}
	for _, key := range told {
		want[key] = true
	}
	require.Equal(t, want, ran)
	require.Len(t, ran, 3+3+3+3+1+1, "the second task is the same work for all items")
}

func TestJobPartsThatCannotBeTold(t *testing.T) {
	t.Parallel()
	plan := &Plan{Name: "p", Stages: []Stage{
		{Name: "items", Function: "echo", Input: each(t, []any{"x"})},
		{Name: "later", Function: "echo", Args: template(t, "${{ stages.items.count }}")},
	}}
	for want, ask := range map[string]struct {
		stage string
		item  Datum
	}{
		`"item" is no stage of pipeline "p"; did you mean "items"?`:      {"item", Datum{Kind: KeyNone}},
		`"x" is no stage of pipeline "p"`:                                {"x", Datum{Kind: KeyNone}},
		`stage "items": it has items, and a key is that of one`:          {"items", Datum{Kind: KeyNone}},
		`stage "later": it has no items`:                                 {"later", Datum{KeyText, []byte("x")}},
		`stage "later": its keys depend on the results of stage "items"`: {"later", Datum{Kind: KeyNone}},
		`stage "items": item: `:                                          {"items", Datum{KeyJSON, []byte("{")}},
	} {
		_, err := plan.JobParts(RunOptions{}, ask.stage, ask.item, 0)
		require.ErrorContains(t, err, want)
	}
}
