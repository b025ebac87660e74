package flow_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/geartrain/geartrain/flow"
	"github.com/geartrain/geartrain/flow/expression"
	"github.com/geartrain/geartrain/flow/flowtest"
	"github.com/geartrain/geartrain/flow/form"
)

// runFiles writes files into a folder and runs the first of them.
func runFiles(t *testing.T, params map[string]any, files map[string]string) (string, *flow.Report, error) {
	t.Helper()
	return flowtest.RunPlan(t, loadFiles(t, t.TempDir(), files), params)
}

// loadFiles writes files into a folder and reads main.yaml.
func loadFiles(t *testing.T, dir string, files map[string]string) *flow.Plan {
	t.Helper()
	for name, text := range files {
		path := filepath.Join(dir, filepath.FromSlash(name))
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
		require.NoError(t, os.WriteFile(path, []byte(text), 0o644))
	}
	file, err := form.LoadFile(filepath.Join(dir, "main.yaml"))
	require.NoError(t, err)
	return file.Plan
}

func TestUnlikeTasksOfOneStage(t *testing.T) {
	needsShell(t)
	out, report, err := runYAML(t, `
name: p
functions:
  upper: {run: tr a-z A-Z}
stages:
  - name: prepare
    tasks:
      - {name: each, for_each: [a, b], run: 'echo "$ITEM$GEARTRAIN_STAGE"'}
      - {name: json, run: "echo '{\"n\": 7}'", output: json}
      - {function: upper, args: c}
      - {if: false, run: exit 1}
      - {name: places, for_each: 2, run: [echo, "${{ index }}"], key: "${{ index }}"}
  - name: show
    for_each: ${{ stages.prepare.results }}
    run: echo "$ITEM"
`, nil)
	require.NoError(t, err)
	require.Equal(t, "aprepare\nbprepare\n{\"n\":7}\nC\n0\n1\n", out)
	require.Equal(t, 6, report.Stages[0].Done)
}

func TestTasksForEachItemOfTheirStage(t *testing.T) {
	needsShell(t)
	out, _, err := runYAML(t, `
name: p
stages:
  - {name: list, run: printf '1\n2', output: lines}
  - name: both
    for_each: ${{ flatten(stages.list.results) }}
    as: n
    tasks:
      - {name: twice, run: echo $((ITEM * 2))}
      - {name: place, run: [echo, "${{ n }} at ${{ index }}"]}
`, nil)
	require.NoError(t, err)
	require.Equal(t, "2\n1 at 0\n4\n2 at 1\n", out)
}

func TestTasksOfAStreamedStage(t *testing.T) {
	needsShell(t)
	out, _, err := runYAML(t, `
name: p
stages:
  - {name: first, for_each: [x, y, z], run: 'echo "$ITEM"'}
  - name: both
    stream: first
    tasks:
      - {name: a, run: 'echo "a$ITEM"'}
      - {name: b, run: 'echo "b$ITEM"', key: "${{ index }}"}
`, nil)
	require.NoError(t, err)
	require.Equal(t, "ax\nbx\nay\nby\naz\nbz\n", out, "in the order of the input, whichever came first")
}

func TestFailuresOfTasksCountTogether(t *testing.T) {
	needsShell(t)
	_, report, err := runYAML(t, `
name: p
stages:
  - name: a
    allow_failures: 1
    tasks:
      - {name: good, run: echo}
      - {name: bad, run: exit 3}
`, nil)
	require.NoError(t, err)
	require.Equal(t, flow.Partial, report.Status)
}

const part = `
name: part
params: {n: {type: integer, required: true}}
stages:
  - {name: numbers, for_each: "${{ params.n }}", run: 'echo "$ITEM"'}
`

func TestPipelineInAPipeline(t *testing.T) {
	needsShell(t)
	out, report, err := runFiles(t, nil, map[string]string{"parts/part.yaml": part, "main.yaml": `
name: whole
stages:
  - {name: many, pipeline: parts/part.yaml, for_each: [2, 0, 3], params: {n: "${{ item }}"}}
  - {name: one, pipeline: parts/part.yaml, params: {n: 1}}
output: ${{ toJSON([stages.many.results, stages.one.result]) }}
`})
	require.NoError(t, err)
	require.JSONEq(t, `[[["0","1"],[],["0","1","2"]],["0"]]`, out)
	require.Equal(t, 3, report.Stages[0].Done)
}

func TestWhatAPipelineInAPipelineGives(t *testing.T) {
	needsShell(t)
	for last, want := range map[string]string{
		"stages: [{name: a, run: echo text}]":                                       "text\n",
		"stages: [{name: a, run: \"echo '{\\\"a\\\": 1}'\", output: json}]":         "{\"a\": 1}\n",
		"stages: [{name: a, run: echo, for_each: 1, key: \"${{ index }}\"}]":        "[\"\"]\n",
		"stages: [{name: a, run: echo x}]\noutput: {r: \"${{ stages.a.result }}\"}": "{\"r\":\"x\"}\n",
		"stages: [{name: a, run: echo, for_each: []}]\noutput: ${{ run.name }}":     "inner\n",
	} {
		out, _, err := runFiles(t, nil, map[string]string{
			"inner.yaml": "name: inner\n" + last, "main.yaml": "name: outer\nstages: [{name: a, pipeline: inner.yaml}]",
		})
		require.NoError(t, err, last)
		require.Equal(t, want, out, last)
	}
}

func TestFailureInAPart(t *testing.T) {
	needsShell(t)
	_, report, err := runFiles(t, nil, map[string]string{
		"inner.yaml": "name: inner\nparams: {code: 0}\nstages: [{name: in, run: 'echo no >&2; exit $CODE', env: {CODE: \"${{ params.code }}\"}}]",
		"main.yaml":  "name: outer\nstages: [{name: a, pipeline: inner.yaml, for_each: [0, 4], params: {code: \"${{ item }}\"}, allow_failures: 1}]",
	})
	require.NoError(t, err)
	require.Equal(t, flow.Partial, report.Status)
	failure := report.Stages[0].Failures[0]
	require.Equal(t, "part", failure.Reason)
	require.Contains(t, failure.Message, `stage "in"`)
	require.Contains(t, failure.Message, "exit code 4: no")
}

func TestPartIsTriedAgainAsTheSameRun(t *testing.T) {
	needsShell(t)
	dir := t.TempDir()
	plan := loadFiles(t, dir, map[string]string{
		"inner.yaml": "name: inner\nstages: [{name: in, run: 'echo \"$GEARTRAIN_RUN\" >>runs; test $(wc -l <runs) -ge 2'}]",
		"main.yaml":  "name: outer\nstages: [{name: a, pipeline: inner.yaml, retry: {attempts: 3, delay: 1ms}}]",
	})
	_, report, err := flowtest.RunPlan(t, plan, nil)
	require.NoError(t, err)
	require.Equal(t, 1, report.Stages[0].Retries)
	runs, err := os.ReadFile(filepath.Join(dir, "runs"))
	require.NoError(t, err)
	lines := expression.Lines(string(runs))
	require.Len(t, lines, 2)
	require.Equal(t, lines[0], lines[1])
}

// runHeld is runFiles for commands that wait for a file "go", which is there when the run has ended.
func runHeld(t *testing.T, files map[string]string) (string, *flow.Report, error) {
	t.Helper()
	dir := t.TempDir()
	out, report, err := flowtest.RunPlan(t, loadFiles(t, dir, files), nil)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "go"), nil, 0o600))
	return out, report, err
}

func TestTimeoutOfAPartEndsWhatItStarted(t *testing.T) {
	needsShell(t)
	_, report, err := runHeld(t, map[string]string{
		"inner.yaml": "name: inner\nstages: [{name: in, run: 'until [ -e go ]; do sleep 0.02; done'}]",
		"main.yaml":  "name: outer\nstages: [{name: a, pipeline: inner.yaml, timeout: 200ms, allow_failures: all}]",
	})
	require.NoError(t, err)
	require.Equal(t, "timeout", report.Stages[0].Failures[0].Reason)
}

func TestFirstPartIsEnough(t *testing.T) {
	needsShell(t)
	out, _, err := runHeld(t, map[string]string{
		"inner.yaml": "name: inner\nparams: {s: x}\nstages: [{name: in, run: 'until [ $S = quick ] || [ -e go ]; do sleep 0.02; done; echo $S', env: {S: \"${{ params.s }}\"}}]",
		"main.yaml":  "name: outer\nstages: [{name: a, pipeline: inner.yaml, wait: first, for_each: [slow, quick, slow], params: {s: \"${{ item }}\"}}]",
	})
	require.NoError(t, err)
	require.Equal(t, "quick\n", out)
}

func TestSourcesArePartOfTheKey(t *testing.T) {
	needsShell(t)
	dir := t.TempDir()
	files := map[string]string{
		"sql/a.sql": "one", "sql/b.sql": "two", "main.yaml": `
name: p
stages:
  - {name: keys, for_each: [a, b], sources: ["sql/${{ item }}.sql"], fresh: always, run: 'echo "$GEARTRAIN_KEY"'}
`}
	keys := func() []string {
		out, _, err := flowtest.RunPlan(t, loadFiles(t, dir, files), nil)
		require.NoError(t, err)
		return strings.Fields(out)
	}
	before := keys()
	require.Equal(t, before, keys())
	files["sql/b.sql"] = "three"
	after := keys()
	require.Equal(t, before[0], after[0])
	require.NotEqual(t, before[1], after[1])
}

func TestSourceThatIsNotThereFailsItsJob(t *testing.T) {
	needsShell(t)
	_, report, err := runFiles(t, nil, map[string]string{"a.sql": "x", "main.yaml": `
name: p
stages:
  - {name: a, for_each: [a, b, ../b], sources: ["${{ item }}.sql"], run: echo, allow_failures: all}
`})
	require.NoError(t, err)
	require.Equal(t, 1, report.Stages[0].Done)
	require.Equal(t, `sources: there is no file "b.sql": file does not exist`, report.Stages[0].Failures[0].Message)
	require.Contains(t, report.Stages[0].Failures[1].Message, "is not in the folder of the pipeline file")
}

func TestLinkOutOfTheFolderIsNoSource(t *testing.T) {
	needsShell(t)
	dir := t.TempDir()
	secret := filepath.Join(t.TempDir(), "secret")
	require.NoError(t, os.WriteFile(secret, []byte("x"), 0o600))
	require.NoError(t, os.Symlink(secret, filepath.Join(dir, "link")))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "main.yaml"), []byte("name: p\nstages: [{name: a, run: echo, sources: [link]}]"), 0o600))
	_, err := form.LoadFile(filepath.Join(dir, "main.yaml"))
	require.ErrorContains(t, err, "escapes")
}

func TestResultsInTheOrderOfArrival(t *testing.T) {
	needsShell(t)
	out, _, err := runYAML(t, `
name: p
params: {dir: {type: string}}
stages:
  - name: a
    for_each: [slow, quick]
    run: |
      [ "$ITEM" = quick ] || until [ -e "$DIR/quick" ]; do sleep 0.01; done
      echo "$ITEM"
    env: {DIR: "${{ params.dir }}"}
    results: {order: arrival}
  - {name: arrived, stream: a, run: ': >"$DIR/$ITEM"', env: {DIR: "${{ params.dir }}"}}
  - {name: b, run: cat, args: "${{ stages.a.results }}"}
`, map[string]any{"dir": t.TempDir()})
	require.NoError(t, err)
	require.Equal(t, `["quick","slow"]`+"\n", out)
}

func TestResultsThatAreNotKept(t *testing.T) {
	needsShell(t)
	out, report, err := runYAML(t, `
name: p
stages:
  - {name: a, for_each: [x, x, y], run: 'echo "$ITEM"', results: none}
  - {name: b, for_each: [x, y], run: 'echo "$ITEM"', results: file}
  - {name: c, for_each: "${{ stages.b.results }}", run: 'echo "$ITEM"'}
output: ${{ stages.a.count }} ${{ join(stages.c.results, ',') }}
`, nil)
	require.NoError(t, err)
	require.Equal(t, "3 x,y\n", out)
	require.Equal(t, 3, report.Stages[0].Done)
}

func TestPriorityOfEachJob(t *testing.T) {
	needsShell(t)
	_, report, err := runYAML(t, `
name: p
stages:
  - {name: a, for_each: [high, low, urgent], run: 'echo "$ITEM"', priority: "${{ item }}", allow_failures: 1}
`, nil)
	require.NoError(t, err)
	require.Equal(t, `priority: "urgent" is no priority; it is low, normal or high`, report.Stages[0].Failures[0].Message)
}
