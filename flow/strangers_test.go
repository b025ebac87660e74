package flow_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/geartrain/geartrain/flow"
	"github.com/geartrain/geartrain/flow/cassette"
	"github.com/geartrain/geartrain/flow/flowtest"
	"github.com/geartrain/geartrain/flow/form"
	"github.com/geartrain/geartrain/gearman"
)

// stranger is a pipeline that nobody of us would write, and how it must end.
type stranger struct {
	name   string
	yaml   string // its stages
	out    string // what it writes; "*": anything
	status string // of the run, then of the stages
	says   string // in the error, or in a failure of a stage
}

// strangers are run on functions of Go: echo gives its arguments back, bad fails where they say so, once
// fails the first time, slow takes longer than anybody waits, json gives its arguments as they are and lists elements.
func strangers() []stranger {
	return []stranger{
		{"no items", `
  - {name: a, function: echo, for_each: []}
  - {name: b, function: echo, for_each: "${{ stages.a.results }}"}
  - {name: c, function: echo, args: "${{ stages.b.results }}"}`, "[]\n", "success success success success", ""},
		{"zero is a number of items", `
  - {name: a, function: echo, for_each: 0}
  - {name: b, function: echo, args: "${{ stages.a.count }}"}`, "0\n", "success success success", ""},
		{"two", `
  - {name: a, function: echo, for_each: 2}
  - {name: b, function: echo, args: "${{ stages.a.results }}"}`, "[\"0\",\"1\"]\n", "success success success", ""},
		{"ten thousand", `
  - {name: a, function: echo, for_each: 10000}
  - {name: b, function: echo, args: "${{ len(stages.a.results) }}"}`, "10000\n", "success success success", ""},
		{"ten thousand equal ones are one job", `
  - {name: a, function: once, for_each: "${{ split(trim(join(params.zeros, ' ')), ' ') }}"}
  - {name: b, function: echo, args: "${{ stages.a.count }}"}`, "*", "failure failure blocked", "too many failures"},
		{"null", `
  - {name: a, function: echo, for_each: "${{ params.nothing }}"}`, "", "failure failure", "for_each: want a list, a map or a whole number, not null"},
		{"a list of nothing but null", `
  - {name: a, function: echo, for_each: [null, null]}`, "null\nnull\n", "success success", ""},
		{"a map", `
  - {name: a, function: echo, for_each: {b: 1, a: 2}, args: "${{ item.key }}=${{ item.value }}"}`, "a=2\nb=1\n", "success success", ""},
		{"a fraction", `
  - {name: a, function: echo, for_each: "${{ params.half }}"}`, "", "failure failure", "for_each: 0.5 is no number of items"},
		{"a division without a rest", `
  - {name: a, function: echo, for_each: "${{ 6 / 2 }}"}`, "0\n1\n2\n", "success success", ""},
		{"a negative number", `
  - {name: a, function: echo, for_each: "${{ 0 - 3 }}"}`, "", "failure failure", "for_each: -3 is no number of items"},
		{"true", `
  - {name: a, function: echo, for_each: "${{ params.nothing == nil }}"}`, "", "failure failure", "not a boolean"},
		{"text", `
  - {name: a, function: echo, for_each: "${{ toJSON(params.nothing) }}"}`, "", "failure failure", "want a list, a map or a whole number, not text"},
		{"lists in lists in lists", `
  - {name: a, function: json, for_each: [[[1, 2], [3]], [], [[4]]], output: json}
  - {name: b, function: json, for_each: "${{ flatten(stages.a.results) }}", output: json}
  - {name: c, function: echo, for_each: "${{ flatten(stages.b.results) }}"}`, "1\n2\n3\n4\n", "success success success success", ""},
		{"what cannot be flattened", `
  - {name: a, function: echo, for_each: [x]}
  - {name: b, function: echo, for_each: "${{ flatten(stages.a.results) }}"}`, "", "failure success failure", "flatten: want a list, not text"},
		{"a barrier behind failures within the budget", `
  - {name: a, function: bad, for_each: [x, bad, y], allow_failures: 1}
  - {name: b, function: echo, args: "${{ len(stages.a.results) }} ${{ len(stages.a.failures) }}"}`, "2 1\n", "partial partial success", ""},
		{"one failure too many", `
  - {name: a, function: bad, for_each: [x, bad, bad2], allow_failures: 1}
  - {name: b, function: echo}`, "", "failure failure blocked", "2 of 3 jobs failed"},
		{"all fail, and may", `
  - {name: a, function: bad, for_each: [bad, bad2], allow_failures: all}
  - {name: b, function: echo, for_each: "${{ stages.a.results }}"}
  - {name: c, function: echo, args: "${{ len(stages.a.failures) }}"}`, "2\n", "partial partial success success", ""},
		{"all of none is no failure", `
  - {name: a, function: bad, for_each: [], allow_failures: 0%}`, "", "success success", ""},
		{"a stream of a stage that failed", `
  - {name: a, function: bad, for_each: [x, y, bad]}
  - {name: b, function: echo, stream: a}
  - {name: c, function: echo}`, "*", "failure failure blocked blocked", "bad: bad"},
		{"a stream of a stage that was skipped", `
  - {name: a, function: echo, for_each: [x], if: "${{ params.half > 1 }}"}
  - {name: b, function: echo, stream: a}
  - {name: c, function: echo, args: "${{ stages.b.count }} ${{ stages.a.status }}"}`, "0 skip\n", "success skip success success", ""},
		{"a stream of a stream of a stream", `
  - {name: a, function: echo, for_each: 50}
  - {name: b, function: echo, stream: a, args: "b${{ item }}"}
  - {name: c, function: echo, stream: b, args: "c${{ item }}"}
  - {name: d, function: echo, args: "${{ first(stages.c.results) }} ${{ last(stages.c.results) }} ${{ stages.c.count }}"}`, "cb0 cb49 50\n", "success success success success success", ""},
		{"two streams into one", `
  - {name: a, function: echo, for_each: [x, y]}
  - {name: b, function: echo, for_each: [u, v], needs: []}
  - {name: c, function: echo, stream: [a, b]}`, "x\ny\nu\nv\n", "success success success success", ""},
		{"a circle of pages", `
  - name: a
    function: links
    for_each: [x]
    output: json
    discover: {items: "${{ result }}", max_items: 100}
  - {name: b, function: echo, args: "${{ stages.a.count }}"}`, "3\n", "success success success", ""},
		{"a page that links to itself alone", `
  - name: a
    function: json
    for_each: [[]]
    output: json
    discover: {items: "${{ [item] }}", max_items: 100}`, "[]\n", "success success", ""},
		{"a circle that is cut off", `
  - name: a
    function: links
    for_each: [x, y, z]
    output: json
    discover: {items: "${{ result }}", max_items: 2}
  - {name: b, function: echo, args: "${{ stages.a.count }}"}`, "2\n", "success success success", ""},
		{"a crawl whose pages fail", `
  - name: a
    function: bad
    for_each: [x, bad]
    discover: {items: "${{ [result + '1'] }}", if: "${{ len(result) < 4 }}"}
    allow_failures: 1`, "x\nx1\nx11\nx111\n", "partial partial", ""},
		{"the first of many", `
  - {name: a, function: slowunless, for_each: [slow, slow2, quick, slow3], wait: first}
  - {name: b, function: echo, args: "${{ stages.a.results }}"}`, "[\"quick\"]\n", "success success success", ""},
		{"the first of none", `
  - {name: a, function: echo, for_each: [], wait: first}
  - {name: b, function: echo, args: "${{ stages.a.count }}"}`, "*", "success success success", ""},
		{"the first, when all fail", `
  - {name: a, function: bad, for_each: [bad, bad2], wait: first}`, "", "failure failure", "2 of 2 jobs failed"},
		{"more than there are", `
  - {name: a, function: echo, for_each: 3, wait: 10}`, "0\n1\n2\n", "success success", ""},
		{"a batch with a remainder", `
  - {name: a, function: echo, for_each: 7}
  - {name: b, function: echo, for_each: "${{ stages.a.results }}", batch: 3}`, "[\"0\",\"1\",\"2\"]\n[\"3\",\"4\",\"5\"]\n[\"6\"]\n", "success success success", ""},
		{"a batch of nothing", `
  - {name: a, function: echo, for_each: [], batch: 3}
  - {name: b, function: echo, args: "${{ stages.a.count }}"}`, "0\n", "success success success", ""},
		{"a rate for each group", `
  - {name: a, function: echo, for_each: [x1, y1, x2, y2], rate: {limit: 1000/s, per: "${{ replace(replace(item, '1', ''), '2', '') }}"}}`, "x1\ny1\nx2\ny2\n", "success success", ""},
		{"a group that is no text", `
  - {name: a, function: echo, for_each: [1, 2], rate: {limit: 1000/s, per: "${{ [item] }}"}}`, "1\n2\n", "success success", ""},
		{"a group that cannot be had", `
  - {name: a, function: echo, for_each: [x, y], rate: {limit: 1000/s, per: "${{ item.host }}"}, allow_failures: all}`, "", "partial partial", "rate: "},
		{"attempts within a budget", `
  - {name: a, function: once, for_each: [p, q], retry: {attempts: 2}, allow_failures: 1}`, "p\nq\n", "success success", ""},
		{"attempts that do not help", `
  - {name: a, function: bad, for_each: [bad, x], retry: {attempts: 3, delay: 1ms}, allow_failures: 1}`, "x\n", "partial partial", "bad: bad"},
		{"a condition over what failed", `
  - {name: a, function: bad, for_each: [bad], allow_failures: all}
  - {name: b, function: echo, if: "${{ len(stages.a.failures) == 0 }}"}
  - {name: c, function: echo, args: "${{ stages.b.status }}"}`, "skip\n", "partial partial skip success", ""},
		{"the result of many", `
  - {name: a, function: echo, for_each: 2}
  - {name: b, function: echo, args: "${{ stages.a.result }}"}`, "", "failure success failure", "the stage has 2 results; use results for the list"},
		{"the result of none", `
  - {name: a, function: echo, for_each: 0}
  - {name: b, function: echo, args: "x${{ stages.a.result }}"}`, "x\n", "success success success", ""},
		{"a result that is not JSON", `
  - {name: a, function: echo, for_each: ["{}", "{"], output: json}`, "{}\n", "failure failure", "result: "},
		{"a timeout in a budget", `
  - {name: a, function: slowunless, for_each: [slow, quick], timeout: 100ms, allow_failures: 1}
  - {name: b, function: echo, args: "${{ stages.a.results }}"}`, "[\"quick\"]\n", "partial partial success", ""},
		{"fail fast", `
  - {name: a, function: slowunless, for_each: [slow, bad], fail_fast: true}
  - {name: b, function: echo}`, "", "failure failure blocked", "too many failures"},
		{"unlike tasks, one of them fails", `
  - name: a
    tasks: [{function: echo, args: x}, {function: bad, args: bad}]
    allow_failures: 1
  - {name: b, function: echo, args: "${{ stages.a.results }}"}`, "[\"x\"]\n", "partial partial success", ""},
		{"a matrix without cells", `
  - {name: a, function: echo, matrix: {x: [], y: [1]}}
  - {name: b, function: echo, args: "${{ stages.a.count }}"}`, "0\n", "success success success", ""},
		{"the same text as number and as text", `
  - {name: a, function: echo, for_each: ["1", 1, true, "true"]}`, "1\n1\ntrue\ntrue\n", "success success", ""},
		{"a new line in a result", `
  - {name: a, function: echo, for_each: ["x\n", "y\n\n", "\n"]}
  - {name: b, function: echo, args: "${{ stages.a.results }}"}`, "[\"x\",\"y\\n\",\"\"]\n", "success success success", ""},
		{"everything at once", `
  - {name: a, function: echo, for_each: 3, needs: []}
  - {name: b, function: echo, for_each: 3, needs: []}
  - {name: c, function: echo, for_each: "${{ flatten([stages.a.results, stages.b.results]) }}", needs: [a, b]}`, "0\n1\n2\n0\n1\n2\n", "success success success success", ""},
	}
}

// TestStrangers runs each of them. A barrier that opens early, twice or never shows in the counts.
func TestStrangers(t *testing.T) {
	t.Parallel()
	for _, s := range strangers() {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, s.run)
		})
	}
}

func (s stranger) plan(t *testing.T) *flow.Plan {
	source := "name: p\nparams:\n  nothing: {type: list}\n  half: 0.5\n  yes: true\n  word: x\n  zeros: [" + strings.Repeat("z,", 99) + "z]\nstages:" + s.yaml + "\n"
	file, err := form.Load("p.yaml", strings.NewReader(source))
	require.NoError(t, err)
	return file.Plan
}

func (s stranger) run(t *testing.T) {
	var out strings.Builder
	report, err := s.plan(t).Run(t.Context(), flowtest.NewRunner(t, strangersHands()...), flow.RunOptions{Output: &out})
	require.NotNil(t, report, "%v", err)
	ends := string(report.Status)
	text := fmt.Sprint(err)
	for _, stage := range report.Stages {
		ends += " " + string(stage.Status)
		text += fmt.Sprint(stage.Error, stage.Failures)
		require.Equal(t, stage.Added, stage.Ended(), "%s: each job ends once", stage.Stage)
		require.Zero(t, stage.Open+stage.Waiting, stage.Stage)
	}
	require.Equal(t, s.status, ends, "%v", err)
	require.Equal(t, report.Status.Good(), err == nil, "%v", err)
	if s.out != "*" {
		require.Equal(t, s.out, out.String())
	}
	require.Contains(t, text, s.says)
}

// TestStrangersOnATape records each of them and plays the recording, with nobody to do the jobs.
func TestStrangersOnATape(t *testing.T) {
	t.Parallel()
	for _, s := range strangers() {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			synctest.Test(t, func(t *testing.T) { s.record(t, dir) })
		})
	}
}

func (s stranger) record(t *testing.T, dir string) {
	recording := cassette.New(dir, nil)
	runner := flowtest.NewRunner(t, strangersHands()...)
	runner.Tape = recording
	var want, got strings.Builder
	first, err := s.plan(t).Run(t.Context(), runner, flow.RunOptions{Output: &want})
	require.NotNil(t, first, "%v", err)
	require.NoError(t, recording.Save(nil))

	tape, err := cassette.Open(dir)
	require.NoError(t, err)
	second, err := s.plan(t).Run(t.Context(), &flow.Runner{Tape: tape}, flow.RunOptions{Output: &got})
	require.NotNil(t, second, "%v", err)
	misses, count := tape.Misses()
	require.Zero(t, count, "%+v", misses)
	require.Equal(t, want.String(), got.String())
	for i := range first.Stages {
		require.Equal(t, first.Stages[i].Status, second.Stages[i].Status)
	}
}

// strangersHands are the workers.
func strangersHands() []flowtest.Handler {
	tried := make(chan map[string]bool, 1)
	tried <- map[string]bool{}
	do := func(name string, f func(ctx context.Context, s string) (string, error)) flowtest.Handler {
		return flowtest.Do(gearman.NewFunc[string, string](name), f)
	}
	bad := func(s string) error {
		if strings.HasPrefix(s, "bad") {
			return errors.New("bad: " + s)
		}
		return nil
	}
	echo := func(_ context.Context, s string) (string, error) { return s, nil }
	return []flowtest.Handler{
		do("echo", echo), do("json", echo),
		do("bad", func(_ context.Context, s string) (string, error) { return s, bad(s) }),
		do("slowunless", func(ctx context.Context, s string) (string, error) {
			if strings.HasPrefix(s, "slow") {
				select { // a worker that is not told to stop
				case <-ctx.Done():
				case <-time.After(time.Second):
				}
				return "", errors.New("late")
			}
			return s, bad(s)
		}),
		do("once", func(_ context.Context, s string) (string, error) {
			seen := <-tried
			defer func() { tried <- seen }()
			if !seen[s] {
				seen[s] = true
				return "", errors.New("the first time")
			}
			return s, nil
		}),
		do("links", func(_ context.Context, s string) (string, error) {
			return map[string]string{"x": `["y","x"]`, "y": `["z","z"]`, "z": `["x"]`}[s], nil
		}),
	}
}
