package history

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/geartrain/geartrain/flow"
	"github.com/geartrain/geartrain/flow/flowtest"
	"github.com/geartrain/geartrain/flow/form"
	"github.com/geartrain/geartrain/flow/runs"
	"github.com/geartrain/geartrain/gearman"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// lab runs pipelines whose functions are Go, and keeps the runs in a state folder.
type lab struct {
	t      *testing.T
	state  *runs.State
	runner *flow.Runner
	suffix string // of every result
}

func newLab(t *testing.T) *lab {
	t.Helper()
	state, err := runs.Open(filepath.Join(t.TempDir(), "state"))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, state.Close()) })
	l := &lab{t: t, state: state}
	l.runner = flowtest.NewRunner(t, flowtest.Do(gearman.NewFunc[string, string]("f"), func(_ context.Context, s string) (string, error) {
		if strings.Contains(s, "bad") {
			return "", fmt.Errorf("cannot do %s", s)
		}
		return "did " + s + l.suffix, nil
	}))
	return l
}

// run runs a file on a day of January.
func (l *lab) run(source string, day int, params map[string]string) *runs.Run {
	l.t.Helper()
	file, err := form.Load("p.yaml", strings.NewReader(source))
	require.NoError(l.t, err)
	plan := file.Plan
	at := time.Date(2026, 1, day, 0, 0, 0, 0, time.UTC)
	given, err := flow.ParseParams(plan, params, at)
	require.NoError(l.t, err)
	id, err := flow.RunID(plan.Name, given, at)
	require.NoError(l.t, err)
	d, err := l.state.Drive(runs.Record{ID: id, Pipeline: plan.Name, Params: given, ScheduledAt: at}, []byte(source))
	require.NoError(l.t, err)
	require.NoError(l.t, d.Begin(nil))
	report, err := plan.Run(l.t.Context(), l.runner, flow.RunOptions{ID: id, Params: given, ScheduledAt: at, Journal: d})
	require.NotNil(l.t, report)
	require.NoError(l.t, d.Finish(report, err, false))
	require.NoError(l.t, d.Close())
	r, err := l.state.Find(id)
	require.NoError(l.t, err)
	return r
}

const list = `
name: p
params: {items: [a, b, c], version: "1"}
stages:
  - name: each
    function: f
    for_each: ${{ params.items }}
    allow_failures: all
  - name: all
    function: f
    args: ${{ join(stages.each.results, ' ') }}
`

func (l *lab) explain(r *runs.Run, stage, item string) *Explanation {
	l.t.Helper()
	it, err := FindItem(r, stage, item)
	require.NoError(l.t, err)
	e, err := Explain(l.state, r, it)
	require.NoError(l.t, err)
	return e
}

func TestExplain(t *testing.T) {
	l := newLab(t)
	monday := l.run(list, 1, nil)
	require.Equal(t, []string{"it is new: no earlier run that is still kept has work like it"}, l.explain(monday, "each", "b").Reasons)

	tuesday := l.run(list, 2, map[string]string{"items": "a,b,d"})
	e := l.explain(tuesday, "each", "1")
	require.Equal(t, monday.Record.ID, e.Against.Run)
	require.True(t, e.Ran)
	require.Equal(t, []string{
		"another run: the keys of this stage hold within one run; with fresh: results of earlier runs would be taken",
		"the runs differ in their logical time: 2026-01-01T00:00:00Z is now 2026-01-02T00:00:00Z",
		`the runs differ in the parameter items[2]: "c" is now "d"`,
	}, e.Reasons)

	e = l.explain(tuesday, "each", "d")
	require.Equal(t, []string{"other arguments"}, e.Reasons)
	require.Equal(t, `"c" is now "d"`, e.Changes[0].String(), "against the item in the same place")

	e = l.explain(tuesday, "all", "0")
	t.Logf("%+v %+v", e, e.Against)
	require.Equal(t, `"did a did b did c" is now "did a did b did d"`, e.Changes[0].String())

	again := l.run(list, 2, map[string]string{"items": "a,b,d"})
	e = l.explain(again, "each", "a")
	require.False(t, e.Ran)
	require.Equal(t, []string{"it did not run: there was a result for its key"}, e.Reasons)
	require.Equal(t, again.Record.ID, e.Against.Run)

	newer := l.run(strings.Replace(list, "function: f", "function: f\n    version: 7", 1), 2, map[string]string{"items": "a,b,d"})
	require.Equal(t, []string{`another version: "" is now "7" (of a command that says none, it is the hash of its text)`},
		l.explain(newer, "each", "a").Reasons, "against an earlier start of the same run")

	_, found, err := FindJob(l.state, e.Item.Key[:20])
	require.NoError(t, err)
	require.Equal(t, e.Item.Key, found.Key)
	_, _, err = FindJob(l.state, "f1.")
	require.ErrorIs(t, err, ErrNoItem)
	_, err = FindItem(newer, "each", "x")
	require.ErrorContains(t, err, `none of the 3 items of stage "each" has "x"`)
	_, err = FindItem(newer, "ech", "x")
	require.ErrorIs(t, err, ErrNoStage)
}

func TestExplainPolicies(t *testing.T) {
	l := newLab(t)
	fresh := strings.Replace(list, "function: f", "function: f\n    fresh: always", 1)
	l.run(list, 1, nil)
	require.Equal(t, []string{"another policy: results of earlier runs are taken from now on (fresh), and there was none yet"},
		l.explain(l.run(fresh, 2, nil), "each", "a").Reasons)
	require.False(t, l.explain(l.run(fresh, 3, nil), "each", "a").Ran)
	require.Contains(t, l.explain(l.run(list, 4, nil), "each", "a").Reasons[0], "another policy: earlier runs' results were taken")
}

func TestExplainAfterAFailure(t *testing.T) {
	l := newLab(t)
	l.run(list, 1, map[string]string{"items": "bad"})
	e := l.explain(l.run(list, 1, map[string]string{"items": "bad"}), "each", "bad")
	require.Equal(t, []string{"the key is the same, and the attempt before failed (exception): a failure is never an answer"}, e.Reasons)
	require.Equal(t, flow.OutcomeFailed, e.Item.Outcome)
}

func TestDiff(t *testing.T) {
	l := newLab(t)
	monday := l.run(list, 1, map[string]string{"items": "a,b,c,bad 1"})
	same, err := Diff(monday, l.run(list, 2, map[string]string{"items": "bad 1,c,b,a"}), 10)
	require.NoError(t, err)
	require.Equal(t, 4, same.Stages[0].Same, "the order does not count")
	require.False(t, same.File)

	l.suffix = "!"
	tuesday := l.run(list, 3, map[string]string{"items": "a,b,d,bad 1"})
	d, err := Diff(monday, tuesday, 1)
	require.NoError(t, err)
	require.Len(t, d.Params, 1)
	each := d.Stages[0]
	require.Equal(t, []int{1, 1, 1, 0, 2}, []int{each.Same, each.Added, each.Gone, each.Arguments, each.Results})
	require.Equal(t, `"d"`, string(each.AddedItems[0].Item))
	require.Equal(t, `"c"`, string(each.GoneItems[0].Item))
	require.Len(t, each.ResultsOf, 1, "no more than were asked for")
	require.Equal(t, `"did a" is now "did a!"`, each.ResultsOf[0].Changes[0].String())
	all := d.Stages[1]
	require.Equal(t, []int{0, 0, 0, 1, 0}, []int{all.Same, all.Added, all.Gone, all.Arguments, all.Results}, "the only job of a stage is compared with the only one")
	require.Equal(t, `"did a did b did c" is now "did a! did b! did d!"`, all.ArgumentsOf[0].Changes[0].String())

	none, err := Diff(monday, monday, 10)
	require.NoError(t, err)
	for _, s := range none.Stages {
		require.True(t, s.IsEmpty())
	}
}

func TestDiffOfOtherStages(t *testing.T) {
	l := newLab(t)
	before := l.run(list, 1, nil)
	after := l.run(strings.ReplaceAll(list, "name: all", "name: sum"), 2, nil)
	d, err := Diff(before, after, 10)
	require.NoError(t, err)
	require.True(t, d.File)
	require.Len(t, d.Stages, 3)
	require.Equal(t, 1, d.Stages[1].Added)
	require.Equal(t, "all", d.Stages[2].Stage)
	require.Equal(t, 1, d.Stages[2].Gone)
}

func TestPaces(t *testing.T) {
	l := newLab(t)
	r := l.run(list, 1, nil)
	paces, err := Paces(l.state, "p")
	require.NoError(t, err)
	require.Equal(t, 3, paces["each"].Jobs)
	require.Equal(t, r.Record.ID, paces["each"].Run)
	require.Positive(t, paces["each"].Took)

	file, err := form.Load("p.yaml", strings.NewReader(list))
	require.NoError(t, err)
	f := &flow.Forecast{Stages: []flow.StageForecast{
		{Stage: "each", Kind: flow.ForeseenJobs, New: 6},
		{Stage: "all", Kind: flow.ForeseenLater, After: []string{"each"}},
	}}
	fixed := map[string]Pace{"each": {Jobs: 3, Took: 3 * time.Second}, "all": {Jobs: 1, Took: time.Second}}
	total, stages, known := Expected(file.Plan, f, fixed)
	require.True(t, known)
	require.Equal(t, 6*time.Second, stages["each"])
	require.Equal(t, 7*time.Second, total, "one after the other")
	_, _, known = Expected(file.Plan, f, nil)
	require.False(t, known)
}
