package flow_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/geartrain/geartrain/flow"
	"github.com/geartrain/geartrain/flow/expression"
	"github.com/geartrain/geartrain/flow/flowtest"
	"github.com/geartrain/geartrain/gearman"
)

const twinPart = `
name: day
params: {day: {type: date, required: true}}
stages:
  - name: hours
    function: hour
    for_each: 24
    args: {day: "${{ params.day }}", hour: "${{ item }}"}
    output: json
  - {name: day, function: day, args: "${{ stages.hours.results }}", output: json}
`

const twinWhole = `
name: days
schedule: {cron: ["30 2 * * *"], timezone: Europe/Berlin, catch_up: 2d, overlap: skip}
max_runs: 2
concurrency: {group: "days/${{ params.customer }}", on_conflict: join}
secrets: [DSN]
params: {customer: acme}
on_exit: [{function: tell, args: "${{ run.id }}", timeout: 5s}]
stages:
  - name: days
    pipeline: part.yaml
    for_each: [2026-01-01, 2026-01-02]
    params: {day: "${{ item }}"}
    max_parallel: 2
    fresh: always
  - name: send
    function: send
    for_each: ${{ stages.days.results }}
    if: ${{ params.customer != '' }}
    priority: "${{ item.total > 3 ? 'high' : 'low' }}"
    late: accept
    results: {keep: file, order: arrival}
    sources: ["*.yaml"]
    wait: 50%
    fail_fast: true
    timeout: 5s
    on_failure: [{function: tell}]
    output: json
  - name: sum
    function: sum
    args: ${{ stages.send.results }}
    output: json
`

// TestTwinsOfRunsAndParts holds both forms of what TestGoAndYAMLAreOnePlan does not have to the same text.
func TestTwinsOfRunsAndParts(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	plan := loadFiles(t, dir, map[string]string{"main.yaml": twinWhole, "part.yaml": twinPart})
	plan.Stages[0].Pipeline.File = ""

	type total struct {
		Total int `json:"total"`
	}
	hour := gearman.NewFunc[int, total]("hour")
	day := gearman.NewFunc[[]total, total]("day")
	send := gearman.NewFunc[total, total]("send")
	sum := gearman.NewFunc[[]total, total]("sum")
	exclusive := flow.Define("day", func(in flow.Stream[int]) flow.Single[total] {
		hours := flow.Each(in, hour, flow.Name("hours"), flow.Args(map[string]any{"day": "${{ params.day }}", "hour": "${{ item }}"}))
		return flow.Reduce(hours, day)
	}, flow.ForEach(24), flow.Params(flow.Param{Name: "day", Type: flow.Date, Required: true}))
	whole := flow.Define("days", func(in flow.Stream[string]) flow.Single[total] {
		days := flow.Runs(in, exclusive, map[string]any{"day": "${{ item }}"}, flow.Name("days"), flow.MaxParallel(2), flow.AlwaysFresh())
		sent := flow.Each(days, send, flow.If("${{ params.customer != '' }}"), flow.PriorityBy("${{ item.total > 3 ? 'high' : 'low' }}"),
			flow.TakeLate(), flow.Keeping(flow.KeepFile), flow.ByArrival(), flow.Sources(dir, "*.yaml"), flow.WaitForPercent(50),
			flow.FailFast(), flow.Timeout(5*time.Second), flow.WithHooks(flow.Hooks{Failure: []flow.Hook{{Function: "tell"}}}))
		return flow.Reduce(sent, sum)
	},
		flow.ScheduledBy(flow.Schedule{Cron: []string{"30 2 * * *"}, Timezone: "Europe/Berlin", CatchUp: 48 * time.Hour, Overlap: flow.SkipRun}),
		flow.MaxRuns(2), flow.OneOf("days/${{ params.customer }}", flow.JoinRun), flow.SecretNames("DSN"),
		flow.Params(flow.Param{Name: "customer", Type: flow.String, Default: "acme"}),
		flow.RunHooks(flow.Hooks{Exit: []flow.Hook{{Function: "tell", Args: runTemplate(t, "${{ run.id }}"), Timeout: 5 * time.Second}}}),
		flow.ForEach([]any{"2026-01-01", "2026-01-02"}))

	inYAML, err := flow.Format(plan)
	require.NoError(t, err)
	inGo, err := flow.Format(whole.Plan())
	require.NoError(t, err)
	require.Equal(t, inYAML, inGo)
}

func runTemplate(t *testing.T, source any) expression.Template {
	t.Helper()
	tmpl, err := expression.Compile(source, expression.ContextRun)
	require.NoError(t, err)
	return tmpl
}

func TestRunsOfATypedPipeline(t *testing.T) {
	t.Parallel()
	double := gearman.NewFunc[int, int]("double")
	add := gearman.NewFunc[[]int, int]("add")
	inner := flow.Define("inner", func(in flow.Stream[int]) flow.Single[int] {
		return flow.Reduce(flow.Each(in, double), add, flow.Name("sum"))
	}, flow.ForEach("${{ params.n }}"), flow.Params(flow.Param{Name: "n", Type: flow.Integer, Required: true}))
	outer := flow.Define("outer", func(in flow.Stream[int]) flow.Single[[]int] {
		return flow.Gather(flow.Runs(in, inner, map[string]any{"n": "${{ item }}"}))
	})
	out, err := flowtest.Run(t, outer, []int{3, 1, 4},
		flowtest.Do(double, func(_ context.Context, n int) (int, error) { return 2 * n, nil }),
		flowtest.Do(add, func(_ context.Context, all []int) (int, error) {
			sum := 0
			for _, n := range all {
				sum += n
			}
			return sum, nil
		}))
	require.NoError(t, err)
	require.Equal(t, []int{6, 0, 12}, out)
}

func TestPartsThatMakeNoSensePanicAtOnce(t *testing.T) {
	t.Parallel()
	f := gearman.NewFunc[string, string]("f")
	needy := flow.Define("needy", func(in flow.Stream[string]) flow.Single[string] {
		return flow.Reduce(in, gearman.NewFunc[[]string, string]("g"))
	})
	for want, build := range map[string]func(flow.Stream[string]) flow.Single[[]string]{
		"Runs of needy: it takes input": func(in flow.Stream[string]) flow.Single[[]string] {
			return flow.Gather(flow.Runs(in, needy, nil))
		},
		"is not in the folder": func(in flow.Stream[string]) flow.Single[[]string] {
			return flow.Gather(flow.Each(in, f, flow.Sources(".", "../x")))
		},
	} {
		func() {
			defer func() {
				err, _ := recover().(error)
				require.ErrorContains(t, err, want)
			}()
			flow.Define("p", build)
		}()
	}
	require.Panics(t, func() { flow.ScheduledBy(flow.Schedule{Cron: []string{"x"}}) })
	require.Panics(t, func() { flow.ScheduledBy(flow.Schedule{Timezone: "Berlin"}) })
}

func TestScheduleKnowsItsNextTime(t *testing.T) {
	t.Parallel()
	s := flow.Schedule{Cron: []string{"30 2 * * *", "0 12 1 * *"}, Timezone: "Europe/Berlin"}
	at := time.Date(2026, 3, 31, 0, 0, 0, 0, time.UTC)
	for _, want := range []string{"2026-03-31T00:30:00Z", "2026-04-01T00:30:00Z", "2026-04-01T10:00:00Z"} {
		next, err := s.Next(at)
		require.NoError(t, err)
		require.Equal(t, want, next.UTC().Format(time.RFC3339))
		at = next
	}
}
