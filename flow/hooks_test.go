package flow

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/geartrain/geartrain/flow/expression"
)

// jobHook is a hook whose job is its own name.
func jobHook(name string) Hook { return Hook{Function: name} }

func allHooks(prefix string) Hooks {
	return Hooks{
		Success: []Hook{jobHook(prefix + ".success"), jobHook(prefix + ".success2")}, Failure: []Hook{jobHook(prefix + ".failure")},
		Cancel: []Hook{jobHook(prefix + ".cancel")}, Exit: []Hook{jobHook(prefix + ".exit")},
	}
}

// TestHooksOfEveryEnd ends a run in each way and looks at which hooks were done, in which order.
func TestHooksOfEveryEnd(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name string
		f    handler
		end  func(*Run, context.CancelCauseFunc)
		want []string
	}{
		{"success", echo, nil, []string{"a.success", "a.success2", "a.exit", "run.success", "run.success2", "run.exit"}},
		{"failure", failAbove(1), nil, []string{"a.failure", "a.exit", "run.failure", "run.exit"}},
		{
			"cancel", func(ctx context.Context, _ string) (string, error) { <-ctx.Done(); return "", context.Cause(ctx) },
			func(_ *Run, cancel context.CancelCauseFunc) { cancel(errors.New("enough")) },
			[]string{"a.cancel", "a.exit", "run.cancel", "run.exit"},
		},
		{
			"timeout", func(ctx context.Context, _ string) (string, error) { <-ctx.Done(); return "", context.Cause(ctx) },
			func(_ *Run, cancel context.CancelCauseFunc) { cancel(ErrRunTimeout) },
			[]string{"a.failure", "a.exit", "run.failure", "run.exit"},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				handlers := map[string]handler{"f": test.f}
				for _, of := range []string{"a", "b", "run"} {
					for _, on := range []string{"success", "success2", "failure", "cancel", "exit"} {
						handlers[of+"."+on] = echo
					}
				}
				r, server := fakeRunner(handlers)
				plan := &Plan{Name: "p", Hooks: allHooks("run"), Stages: []Stage{
					{Name: "a", Function: "f", Input: each(t, 3), Hooks: allHooks("a")},
					{Name: "b", Function: "f", Needs: []string{"a"}, If: template(t, "${{ false }}"), Hooks: allHooks("b")},
				}}
				ctx, cancel := context.WithCancelCause(t.Context())
				defer cancel(nil)
				run, err := plan.Start(ctx, r, RunOptions{})
				require.NoError(t, err)
				synctest.Wait()
				if test.end != nil {
					test.end(run, cancel)
				}
				report, _ := run.Wait()
				var got []string
				keys := map[string]bool{}
				for _, task := range server.tasks {
					if task.Function != "f" {
						got = append(got, task.Function)
						keys[task.Key] = true
					}
				}
				require.Equal(t, test.want, got, "a stage that did not begin has none")
				require.Len(t, keys, len(got), "each has a key of its own")
				require.Len(t, report.Hooks, len(test.want)/2)
				require.Len(t, report.Stages[0].Hooks, len(test.want)/2)
			})
		})
	}
}

func TestHooksAreGivenTheReport(t *testing.T) {
	t.Parallel()
	r, server := fakeRunner(map[string]handler{"f": failAbove(1), "tell": echo, "say": echo})
	plan := &Plan{
		Name: "p", Stages: []Stage{{Name: "a", Function: "f", Input: each(t, 4)}},
		Hooks: Hooks{Failure: []Hook{jobHook("tell"), {Function: "say", Args: errorTemplate(t, "${{ error.status }} of ${{ stages.a.count }}: ${{ error.message }}")}}},
	}
	_, err := plan.Run(t.Context(), r, RunOptions{ID: "r"})
	require.Error(t, err)
	var report Report
	require.NoError(t, json.Unmarshal([]byte(server.submitted("tell")[0]), &report))
	require.Equal(t, Failure, report.Status)
	require.Equal(t, 2, report.Stages[0].Failed)
	require.Equal(t, `failure of 4: pipeline "p": failure; stage "a": too many failures: 2 of 4 jobs failed, 2 of them: too high`, server.submitted("say")[0])
}

func errorTemplate(t *testing.T, source any) expression.Template {
	t.Helper()
	c, err := expression.Compile(source, append(expression.RunContexts(), expression.ContextError)...)
	require.NoError(t, err)
	return c
}

func TestAHookThatFailsMakesTheRunFail(t *testing.T) {
	t.Parallel()
	broken := func(context.Context, string) (string, error) { return "", errors.New("no mail") }
	for _, hooks := range []struct{ run, stage Hooks }{
		{run: Hooks{Success: []Hook{jobHook("broken"), jobHook("fine")}, Exit: []Hook{jobHook("fine")}}},
		{stage: Hooks{Success: []Hook{jobHook("broken"), jobHook("fine")}, Exit: []Hook{jobHook("fine")}}},
	} {
		r, server := fakeRunner(map[string]handler{"f": echo, "broken": broken, "fine": echo})
		plan := &Plan{Name: "p", Hooks: hooks.run, Stages: []Stage{
			{Name: "a", Function: "f", Hooks: hooks.stage}, {Name: "b", Function: "f", Needs: []string{"a"}},
		}}
		report, err := plan.Run(t.Context(), r, RunOptions{})
		require.ErrorIs(t, err, ErrHook)
		require.ErrorContains(t, err, "hook failed: on_success")
		require.ErrorContains(t, err, "gearman: task failed")
		require.Equal(t, Failure, report.Status)
		require.Equal(t, Success, stageNamed(report, "b").Status, "stages do not depend on hooks")
		require.Len(t, server.submitted("fine"), 2, "the other hooks are done all the same")
	}
}

func TestHooksThatTakeTooLong(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r, _ := fakeRunner(map[string]handler{"f": echo})
		plan := &Plan{
			Name: "p", Stages: []Stage{{Name: "a", Function: "f"}},
			Hooks: Hooks{Exit: []Hook{jobHook("nobody"), {Function: "nobody", Timeout: time.Second}}},
		}
		began := time.Now()
		report, err := plan.Run(t.Context(), r, RunOptions{})
		require.ErrorContains(t, err, "not done after 1m0s")
		require.Equal(t, DefaultHookTimeout+time.Second, time.Since(began))
		require.Contains(t, report.Hooks[1].Error, "not done after 1s")
	})
}

func TestHookCommandsRunInTheRunner(t *testing.T) {
	t.Parallel()
	if _, err := os.Stat("/bin/sh"); err != nil {
		t.Skip("scripts are for sh: ", err)
	}
	dir := t.TempDir()
	script := func(text string) *Command { return &Command{Dir: dir, Script: text} }
	r, _ := fakeRunner(map[string]handler{"f": failAbove(1)})
	var log bytes.Buffer
	r.Stderr = &log
	plan := &Plan{
		Name: "p", Env: map[string]expression.Template{"MINE": template(t, "x")},
		Stages: []Stage{{Name: "a", Function: "f", Input: each(t, 4), Hooks: Hooks{Failure: []Hook{
			{Command: script(`echo "$GEARTRAIN_STAGE|$GEARTRAIN_STATUS|$GEARTRAIN_REASON|$GEARTRAIN_SUMMARY" >stage`)},
		}}}},
		Hooks: Hooks{
			Failure: []Hook{
				{Command: script(`echo "$GEARTRAIN_RUN|$GEARTRAIN_PIPELINE|${GEARTRAIN_STAGE-none}|$MINE|$OWN|$GEARTRAIN_SUMMARY" >run; cat >report`),
					Env: map[string]expression.Template{"OWN": errorTemplate(t, "${{ error.status }}")}},
				{Command: &Command{Dir: dir, Argv: []expression.Template{template(t, "printf"), template(t, "%s"), errorTemplate(t, "${{ run.id }}; id")}}},
			},
			Exit: []Hook{{Command: script("echo $((6*7)); exit 3")}},
		},
	}
	report, err := plan.Run(t.Context(), r, RunOptions{ID: "r"})
	require.ErrorIs(t, err, ErrHook)
	require.ErrorIs(t, err, ErrTooManyFailures)
	file := func(name string) string {
		text, err := os.ReadFile(filepath.Join(dir, name))
		require.NoError(t, err)
		return strings.TrimSpace(string(text))
	}
	summary := "a: failure, 2 done, 2 failed (2: too high)"
	require.Equal(t, "a|failure|too many failures|"+summary, file("stage"))
	require.Equal(t, "r|p|none|x|failure|"+summary, file("run"))
	require.True(t, json.Valid([]byte(file("report"))))
	require.Equal(t, "r; id\n", log.String())
	require.Equal(t, "on_exit", report.Hooks[2].On)
	require.Contains(t, report.Hooks[2].Error, "exit code 3")
}
