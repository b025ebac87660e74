package flow_test

import (
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/geartrain/geartrain/flow"
	"github.com/geartrain/geartrain/flow/flowtest"
	"github.com/geartrain/geartrain/gearman"
)

func needsShell(t *testing.T) {
	t.Helper()
	if runtime.GOOS == "windows" {
		t.Skip("scripts are for sh")
	}
	t.Parallel()
}

func runYAML(t *testing.T, text string, params map[string]any) (string, *flow.Report, error) {
	t.Helper()
	return flowtest.RunPlan(t, load(t, text), params)
}

func TestEnvironmentOfAScript(t *testing.T) {
	needsShell(t)
	out, _, err := runYAML(t, `
name: p
env: {COLOR: red}
params: {who: Ada}
stages:
  - name: show
    for_each: [{a: 1}]
    args: {b: "${{ item.a + 1 }}"}
    env: {WHO: "${{ params.who }} of ${{ item.a }}"}
    timeout: 1m
    run: |
      echo "$ITEM" "$GEARTRAIN_ARGS" "$COLOR" "$WHO" "$GEARTRAIN_STAGE" "$GEARTRAIN_FUNCTION" "$GEARTRAIN_ATTEMPT"
      echo "$GEARTRAIN_KEY" | cut -c1-3
      echo "$GEARTRAIN_RUN" | cut -c1-3
      test -n "$GEARTRAIN_DEADLINE"
      cat
`, nil)
	require.NoError(t, err)
	require.Equal(t, "{\"a\":1} {\"b\":2} red Ada of 1 show p.show 1\nf1.\nr1.\n{\"b\":2}\n", out)
}

func TestTextIsGivenAsText(t *testing.T) {
	needsShell(t)
	out, _, err := runYAML(t, `
name: p
stages:
  - name: show
    for_each: ["a b", "$(id)", "'; id"]
    run: echo "[$ITEM]" "[$(cat)]"
`, nil)
	require.NoError(t, err)
	require.Equal(t, "[a b] [a b]\n[$(id)] [$(id)]\n['; id] ['; id]\n", out)
}

func TestArgumentVectorHasNoShell(t *testing.T) {
	needsShell(t)
	out, _, err := runYAML(t, `
name: p
stages:
  - name: show
    for_each: ["a b; id", "$HOME"]
    stdin: ""
    run: [printf, "%s|", "<${{ item }}>", "${{ index }} of ${{ item }}", "*"]
`, nil)
	require.NoError(t, err)
	require.Equal(t, "<a b; id>|0 of a b; id|*|\n<$HOME>|1 of $HOME|*|\n", out)
}

func TestFunctionCommandsGetTheirArguments(t *testing.T) {
	needsShell(t)
	out, _, err := runYAML(t, `
name: p
functions:
  double: {run: 'echo "$ITEM $GEARTRAIN_ARGS $(cat)"', output: lines}
stages:
  - name: a
    function: double
    for_each: [x, {y: 1}]
`, nil)
	require.NoError(t, err)
	require.Equal(t, "[\"x x x\"]\n[\"{\\\"y\\\":1} {\\\"y\\\":1} {\\\"y\\\":1}\"]\n", out)
}

func TestScriptThatFailsSaysWhy(t *testing.T) {
	needsShell(t)
	_, report, err := runYAML(t, `
name: p
stages:
  - name: a
    for_each: [1, 2, 3]
    run: echo "no such thing" >&2; exit 3
`, nil)
	require.ErrorIs(t, err, flow.ErrTooManyFailures)
	require.Len(t, report.Stages[0].Reasons, 1, "one reason, three times")
	require.Equal(t, 3, report.Stages[0].Reasons[0].Count)
	require.Contains(t, report.Stages[0].Reasons[0].Message, "exit code 3: no such thing")
}

func TestTimeoutKillsTheWholeProcessGroup(t *testing.T) {
	needsShell(t)
	mark := filepath.Join(t.TempDir(), "alive")
	require.NoError(t, exec.Command("mkfifo", mark).Run())
	alive, err := os.OpenFile(mark, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	require.NoError(t, err)
	defer alive.Close()
	_, report, err := runYAML(t, `
name: p
params: {mark: ""}
stages:
  - name: a
    timeout: 300ms
    env: {MARK: "${{ params.mark }}"}
    run: |
      sleep 1000 >"$MARK" &
      sleep 1000
`, map[string]any{"mark": mark})
	require.Error(t, err)
	require.Contains(t, []string{"timeout", "exception", "fail"}, report.Stages[0].Failures[0].Reason)
	require.NoError(t, alive.SetReadDeadline(time.Now().Add(time.Minute)))
	_, err = alive.Read(make([]byte, 1))
	require.ErrorIs(t, err, io.EOF, "nobody has it open for writing any more")
}

func TestLargeItemComesByStandardInput(t *testing.T) {
	needsShell(t)
	out, _, err := runYAML(t, `
name: p
params: {text: ""}
stages:
  - name: a
    for_each: ["${{ params.text }}"]
    run: 'echo "${ITEM-none} $(wc -c)"'
`, map[string]any{"text": strings.Repeat("x", 1<<20)})
	require.NoError(t, err)
	require.Equal(t, "none 1048576", strings.Join(strings.Fields(out), " "))
}

// TestPayloadsCannotChooseWhatRuns submits envelopes by hand, as anybody who reaches the server can.
func TestPayloadsCannotChooseWhatRuns(t *testing.T) {
	needsShell(t)
	plan := load(t, `
name: p
env: {MINE: x}
stages:
  - name: argv
    for_each: [1]
    run: [printf, "%s", "-${{ item }}-"]
  - name: script
    for_each: [1]
    run: 'echo "$MINE ${OTHER-unset} ${LD_PRELOAD-unset} $PATH"'
`)
	runner := flowtest.NewRunner(t, flowtest.Commands(plan))
	do := func(function string, envelope map[string]any) (string, error) {
		payload, err := json.Marshal(envelope)
		require.NoError(t, err)
		r, err := runner.Client.Do(t.Context(), gearman.Task{Function: function, Payload: payload})
		return string(r.Payload), err
	}
	out, err := do("p.argv", map[string]any{"values": []string{"%d; $(id)"}})
	require.NoError(t, err)
	require.Equal(t, "-%d; $(id)-", out)
	for _, values := range [][]string{nil, {"a", "b"}} {
		_, err = do("p.argv", map[string]any{"values": values})
		task, ok := errors.AsType[*gearman.TaskError](err)
		require.True(t, ok, "%v", err)
		require.Contains(t, string(task.Exception), "does not fit this worker's pipeline file")
	}
	out, err = do("p.script", map[string]any{
		"run": "r", "argv": []string{"id"}, "script": "id",
		"env": map[string]string{"MINE": "y", "OTHER": "z", "LD_PRELOAD": "/evil.so", "PATH": "/evil"},
	})
	require.NoError(t, err)
	require.Equal(t, "y unset unset "+os.Getenv("PATH")+"\n", out)
	_, err = do("p.script", map[string]any{"env": map[string]string{"MINE": "a\x00b"}})
	require.Error(t, err)
}

func TestEnvelopeNamesTheRunOnlyIfTheKeyDoes(t *testing.T) {
	needsShell(t)
	text := `
name: p
stages:
  - name: a
    run: 'echo "${GEARTRAIN_RUN-none}" | cut -c1-4'
`
	out, _, err := runYAML(t, text, nil)
	require.NoError(t, err)
	require.True(t, strings.HasPrefix(out, "r1."), out)
	out, _, err = runYAML(t, text+"    fresh: 1h\n", nil)
	require.NoError(t, err)
	require.Equal(t, "none\n", out)
}

func TestAttemptsAreCountedOverRetries(t *testing.T) {
	needsShell(t)
	out, _, err := runYAML(t, `
name: p
functions:
  again: {run: 'echo "$GEARTRAIN_ATTEMPT" "$GEARTRAIN_FENCE" >>"$LOG"; test "$GEARTRAIN_ATTEMPT" = 3; cat "$LOG"', env: {LOG: "${{ item.log }}"}}
params: {folder: ""}
stages:
  - name: function
    function: again
    for_each: [{log: "${{ params.folder }}/a"}]
    retry: {attempts: 3}
  - name: own
    for_each: ["${{ params.folder }}/b"]
    retry: {attempts: 3}
    run: echo "$GEARTRAIN_ATTEMPT" "$GEARTRAIN_FENCE" >>"$ITEM"; test "$GEARTRAIN_ATTEMPT" = 3; cat "$ITEM"
output: ${{ stages.function.result }},${{ stages.own.result }}
`, map[string]any{"folder": t.TempDir()})
	require.NoError(t, err)
	for _, log := range strings.Split(out, ",") {
		var fences []string
		for i, line := range strings.Split(strings.TrimSpace(log), "\n") {
			number, fence, _ := strings.Cut(line, " ")
			require.Equal(t, strconv.Itoa(i+1), number)
			fences = append(fences, fence)
		}
		require.Len(t, fences, 3)
		require.IsIncreasing(t, fences)
	}
}

func TestFunctionsKnowTheOnlyRun(t *testing.T) {
	needsShell(t)
	plan := load(t, `
name: p
functions:
  one: {run: 'echo "${GEARTRAIN_RUN-none} ${GEARTRAIN_STAGE-none}"'}
  two: {run: 'echo "${GEARTRAIN_RUN-none} ${GEARTRAIN_STAGE-none}"'}
stages:
  - {name: a, function: one}
  - {name: b, function: two}
  - {name: c, function: two}
output: ${{ stages.a.result }}, ${{ stages.b.result }}
`)
	for run, want := range map[string]string{"r": "r a, r none\n", "": "none a, none none\n"} {
		handle := func(w *gearman.Worker) { flow.HandleCommands(w, plan, flow.CommandOptions{Run: run}) }
		var out strings.Builder
		_, err := plan.Run(t.Context(), flowtest.NewRunner(t, handle), flow.RunOptions{ID: "r", Output: &out})
		require.NoError(t, err)
		require.Equal(t, want, out.String())
	}
}
