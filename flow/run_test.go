package flow

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/geartrain/geartrain/flow/value"
)

func echo(_ context.Context, p string) (string, error) { return p, nil }

func upper(_ context.Context, p string) (string, error) { return strings.ToUpper(p) + "\n", nil }

func count(_ context.Context, p string) (string, error) {
	v, err := value.DecodeJSON([]byte(p))
	if err != nil {
		return "", err
	}
	return fmt.Sprint(len(v.([]any))), nil
}

// failAbove fails numbers over a limit.
func failAbove(limit int) handler {
	return func(_ context.Context, p string) (string, error) {
		n, err := strconv.Atoi(p)
		if err == nil && n > limit {
			err = errors.New("too high")
		}
		return p, err
	}
}

// run runs a plan of these stages.
func run(t testing.TB, r *Runner, o RunOptions, stages ...Stage) (string, *Report, error) {
	t.Helper()
	var out bytes.Buffer
	o.Output = &out
	report, err := (&Plan{Name: "p", Stages: stages}).Run(t.Context(), r, o)
	return out.String(), report, err
}

func each(t testing.TB, v any) Input { return Input{Kind: FromValue, Each: template(t, v)} }

func from(names ...string) Input { return Input{Kind: FromStages, From: names} }

func TestRunOfThreeStages(t *testing.T) {
	t.Parallel()
	r, server := fakeRunner(map[string]handler{"upper": upper, "echo": echo, "count": count})
	out, report, err := run(t, r, RunOptions{},
		Stage{Name: "a", Function: "upper", Input: each(t, []any{"x", "y\n", "z"})},
		Stage{Name: "b", Function: "echo", Input: from("a")},
		Stage{Name: "c", Function: "count", Input: Input{Kind: FromStages, From: []string{"b"}, Gather: true}},
	)
	require.NoError(t, err)
	require.Equal(t, "3\n", out)
	require.Equal(t, Success, report.Status)
	require.ElementsMatch(t, []string{"X", "Y\n", "Z"}, server.submitted("echo"), "one final newline is no part of a result")
	require.Equal(t, []string{`["X","Y","Z"]`}, server.submitted("count"), "in the order of the input")
	require.Equal(t, 3, stageNamed(report, "a").Done)
}

func TestItemsOfValues(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name string
		each any
		want []string
	}{
		{"list", []any{"a", 1, 2.5, true, nil, []any{1}, map[string]any{"k": "v"}}, []string{"a", "1", "2.5", "true", "null", "[1]", `{"k":"v"}`}},
		{"map", map[string]any{"b": 1, "a": "x"}, []string{`{"key":"a","value":"x"}`, `{"key":"b","value":1}`}},
		{"number", 3, []string{"0", "1", "2"}},
		{"empty list", []any{}, nil},
		{"zero", 0, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			r, _ := fakeRunner(map[string]handler{"echo": echo})
			out, report, err := run(t, r, RunOptions{}, Stage{Name: "s", Function: "echo", Input: each(t, test.each)})
			require.NoError(t, err)
			require.Equal(t, strings.Join(append(test.want, ""), "\n"), out)
			require.Equal(t, len(test.want), stageNamed(report, "s").Done)
		})
	}
}

func TestBadInputFailsTheStage(t *testing.T) {
	t.Parallel()
	r, server := fakeRunner(map[string]handler{"echo": echo})
	_, report, err := run(t, r, RunOptions{}, Stage{Name: "s", Function: "echo", Input: each(t, "text")})
	require.ErrorContains(t, err, `stage "s": for_each: want a list, a map or a whole number, not text`)
	require.Equal(t, Failure, report.Status)
	require.Empty(t, server.submitted("echo"))
}

func TestArgumentsAndPayloads(t *testing.T) {
	t.Parallel()
	r, server := fakeRunner(map[string]handler{"f": echo})
	_, _, err := run(t, r, RunOptions{},
		Stage{Name: "text", Function: "f", Input: each(t, []any{"a"}), Args: template(t, "<${{ item }}>")},
		Stage{Name: "json", Function: "f", Input: each(t, []any{"a"}), Args: template(t, map[string]any{"v": "${{ item }}", "n": 1})},
		Stage{Name: "none", Function: "f"},
		Stage{Name: "list", Function: "f", Needs: []string{"json"}, Args: template(t, "${{ stages.json.results }}")},
	)
	require.NoError(t, err)
	got := server.submitted("f")
	slices.Sort(got)
	require.Contains(t, got, "<a>")
	require.Contains(t, got, `{"n":1,"v":"a"}`)
	require.Contains(t, got, "")
	require.Contains(t, got, `["{\"n\":1,\"v\":\"a\"}"]`, "results of a stage without output: json are text")
}

func TestOutputEncodings(t *testing.T) {
	t.Parallel()
	said := func(text string) handler {
		return func(context.Context, string) (string, error) { return text, nil }
	}
	for _, test := range []struct {
		name   string
		output Encoding
		said   string
		want   string
		err    string
	}{
		{"text", TextOutput, "a\nb\n\n", "a\nb\n\n", ""},
		{"windows text", TextOutput, "a\r\n", "a\n", ""},
		{"json on lines", JSONOutput, "{\n \"a\": 1\n}\n", "{\"a\":1}\n", ""},
		{"not json", JSONOutput, "{oops", "", "not JSON"},
		{"nothing is not json", JSONOutput, "", "", "not JSON"},
		{"lines", LinesOutput, "a\nb\n", "[\"a\",\"b\"]\n", ""},
		{"no lines", LinesOutput, "", "[]\n", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			r, _ := fakeRunner(map[string]handler{"f": said(test.said)})
			out, report, err := run(t, r, RunOptions{}, Stage{Name: "s", Function: "f", Output: test.output})
			require.Equal(t, test.want, out)
			if test.err == "" {
				require.NoError(t, err)
				return
			}
			require.ErrorIs(t, err, ErrTooManyFailures)
			require.Equal(t, "output", stageNamed(report, "s").Failures[0].Reason)
			require.Contains(t, stageNamed(report, "s").Failures[0].Message, test.err)
		})
	}
}

func TestEqualItemsAreOneJob(t *testing.T) {
	t.Parallel()
	r, server := fakeRunner(map[string]handler{"upper": upper})
	out, report, err := run(t, r, RunOptions{}, Stage{
		Name: "s", Function: "upper", MaxParallel: 1,
		Input: each(t, []any{"a", "b", "a", "a", "c", "b"}),
	})
	require.NoError(t, err)
	require.Equal(t, "A\nB\nA\nA\nC\nB\n", out)
	require.Len(t, server.submitted("upper"), 3)
	require.Equal(t, 3, stageNamed(report, "s").Joined)
	require.Equal(t, 6, stageNamed(report, "s").Done)
}

func TestEqualItemsFailTogether(t *testing.T) {
	t.Parallel()
	r, server := fakeRunner(map[string]handler{"f": failAbove(5)})
	_, report, err := run(t, r, RunOptions{}, Stage{Name: "s", Function: "f", MaxParallel: 1, Input: each(t, []any{9, 1, 9, 9})})
	require.ErrorIs(t, err, ErrTooManyFailures)
	require.Len(t, server.submitted("f"), 2)
	require.Equal(t, 3, stageNamed(report, "s").Failed)
}

func TestKeysDependOnRunUnlessFresh(t *testing.T) {
	t.Parallel()
	keys := func(id string, fresh Fresh, key string) []string {
		r, server := fakeRunner(map[string]handler{"echo": echo})
		s := Stage{Name: "s", Function: "echo", Fresh: fresh, Input: each(t, []any{map[string]any{"u": "a", "depth": 1}})}
		if key != "" {
			s.Key = template(t, key)
		}
		_, _, err := run(t, r, RunOptions{ID: id}, s)
		require.NoError(t, err)
		return []string{server.tasks[0].Key}
	}
	require.Equal(t, keys("r1", Fresh{}, ""), keys("r1", Fresh{}, ""))
	require.NotEqual(t, keys("r1", Fresh{}, ""), keys("r2", Fresh{}, ""))
	require.Equal(t, keys("r1", Fresh{Always: true}, ""), keys("r2", Fresh{Always: true}, ""))
	want, err := KeyParts{Function: "echo", Scope: "r1", Kind: KeyText, Arguments: "a"}.Key()
	require.NoError(t, err)
	require.Equal(t, []string{want}, keys("r1", Fresh{}, "${{ item.u }}"))
}

func TestFailuresAndCountsInExpressions(t *testing.T) {
	t.Parallel()
	r, server := fakeRunner(map[string]handler{"f": failAbove(7), "echo": echo})
	_, _, err := run(t, r, RunOptions{},
		Stage{Name: "s", Function: "f", Input: each(t, 10), AllowFailures: Budget{All: true}},
		Stage{Name: "sum", Function: "echo", Needs: []string{"s"}, Args: template(t, map[string]any{
			"failed": "${{ map(stages.s.failures, #.item) }}", "count": "${{ stages.s.count }}",
			"ok": "${{ len(stages.s.results) }}", "status": "${{ stages.s.status }}",
		})})
	require.NoError(t, err)
	require.Equal(t, []string{`{"count":10,"failed":[8,9],"ok":8,"status":"partial"}`}, server.submitted("echo"))
}

func TestSkippedStageCountsAsDone(t *testing.T) {
	t.Parallel()
	r, server := fakeRunner(map[string]handler{"f": echo, "g": echo})
	_, report, err := run(t, r, RunOptions{},
		Stage{Name: "a", Function: "f", If: template(t, "${{ 1 > 2 }}"), Input: each(t, 5)},
		Stage{Name: "b", Function: "g", Needs: []string{"a"}},
		Stage{Name: "c", Function: "g", Input: from("a")},
		Stage{Name: "d", Function: "g", Input: Input{Kind: FromStages, From: []string{"a"}, Stream: true}})
	require.NoError(t, err)
	require.Equal(t, Skipped, stageNamed(report, "a").Status)
	require.Equal(t, Success, stageNamed(report, "b").Status)
	require.Equal(t, 0, stageNamed(report, "c").Added)
	require.Equal(t, 0, stageNamed(report, "d").Added)
	require.Empty(t, server.submitted("f"))
}

func TestConditionMustBeTrueOrFalse(t *testing.T) {
	t.Parallel()
	r, _ := fakeRunner(map[string]handler{"f": echo})
	_, _, err := run(t, r, RunOptions{}, Stage{Name: "a", Function: "f", If: template(t, "${{ 'yes' }}")})
	require.ErrorContains(t, err, `stage "a": if: want true or false, not text`)
}

func TestShapesOfInput(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name  string
		shape func(*Input)
		want  []string
	}{
		{"batch", func(in *Input) { in.Batch = 2 }, []string{`["[1,2]","[3]"]`, `["[]"]`}},
		{"gather", func(in *Input) { in.Gather = true }, []string{`["[1,2]","[3]","[]"]`}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			r, server := fakeRunner(map[string]handler{"f": echo, "g": echo})
			in := from("a")
			test.shape(&in)
			_, _, err := run(t, r, RunOptions{},
				Stage{Name: "a", Function: "f", Input: each(t, []any{"[1,2]", "[3]", "[]"})},
				Stage{Name: "b", Function: "g", Input: in, MaxParallel: 1})
			require.NoError(t, err)
			require.Equal(t, test.want, server.submitted("g"))
		})
	}
	t.Run("flatten", func(t *testing.T) {
		t.Parallel()
		r, server := fakeRunner(map[string]handler{"f": echo, "g": echo})
		in := from("a")
		in.Flatten = true
		_, _, err := run(t, r, RunOptions{},
			Stage{Name: "a", Function: "f", Output: JSONOutput, Input: each(t, []any{"[1,\"x\"]", "[]", "[{}]"})},
			Stage{Name: "b", Function: "g", Input: in, MaxParallel: 1})
		require.NoError(t, err)
		require.Equal(t, []string{"1", "x", "{}"}, server.submitted("g"))
	})
	t.Run("gather of nothing is one job", func(t *testing.T) {
		t.Parallel()
		r, server := fakeRunner(map[string]handler{"f": echo, "g": echo})
		_, _, err := run(t, r, RunOptions{},
			Stage{Name: "a", Function: "f", Input: each(t, 0)},
			Stage{Name: "b", Function: "g", Input: Input{Kind: FromStages, From: []string{"a"}, Gather: true}})
		require.NoError(t, err)
		require.Equal(t, []string{"[]"}, server.submitted("g"))
	})
}

func TestStreamBeginsBeforeTheStageBeforeHasEnded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		parsed := make(chan string, 2)
		r, _ := fakeRunner(map[string]handler{
			"fetch": func(_ context.Context, p string) (string, error) {
				if p == "slow" {
					require.Equal(t, "quick", <-parsed, "the quick page is parsed while the slow one is fetched")
				}
				return p, nil
			},
			"parse": func(_ context.Context, p string) (string, error) {
				parsed <- p
				return p, nil
			},
		})
		out, _, err := run(t, r, RunOptions{},
			Stage{Name: "fetch", Function: "fetch", Input: each(t, []any{"slow", "quick"})},
			Stage{Name: "parse", Function: "parse", Input: Input{Kind: FromStages, From: []string{"fetch"}, Stream: true}})
		require.NoError(t, err)
		require.Equal(t, "slow\nquick\n", out, "in the order of the input, whichever came first")
	})
}

func TestBarrierIsTheDefault(t *testing.T) {
	t.Parallel()
	var fetched atomic.Int32
	r, _ := fakeRunner(map[string]handler{
		"fetch": func(_ context.Context, p string) (string, error) { fetched.Add(1); return p, nil },
		"parse": func(_ context.Context, p string) (string, error) {
			return p, map[bool]error{false: errors.New("too early")}[fetched.Load() == 100]
		},
	})
	_, report, err := run(t, r, RunOptions{},
		Stage{Name: "fetch", Function: "fetch", Input: each(t, 100)},
		Stage{Name: "parse", Function: "parse", Input: from("fetch")})
	require.NoError(t, err)
	require.Equal(t, 100, stageNamed(report, "parse").Done)
}

func TestStreamingStageWaitsForSlowReaders(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		r, _ := fakeRunner(map[string]handler{"quick": echo, "slow": func(_ context.Context, p string) (string, error) {
			<-release
			return p, nil
		}})
		plan := &Plan{Name: "p", Stages: []Stage{
			{Name: "a", Function: "quick", Input: each(t, 20_000)},
			{Name: "b", Function: "slow", MaxParallel: 3, Input: Input{Kind: FromStages, From: []string{"a"}, Stream: true}},
		}}
		run, err := plan.Start(t.Context(), r, RunOptions{})
		require.NoError(t, err)
		synctest.Wait()
		a := run.Progress()[0]
		require.Greater(t, a.Done, streamBacklog)
		require.Less(t, a.Done, streamBacklog+2*DefaultWindow)
		close(release)
		report, err := run.Wait()
		require.NoError(t, err)
		require.Equal(t, 20_000, stageNamed(report, "b").Done)
	})
}

func TestStageThatStreamsFromAFailedOneIsBlocked(t *testing.T) {
	t.Parallel()
	r, _ := fakeRunner(map[string]handler{"f": failAbove(3), "g": echo, "h": count})
	_, report, err := run(t, r, RunOptions{},
		Stage{Name: "a", Function: "f", Input: each(t, 10)},
		Stage{Name: "b", Function: "g", Input: Input{Kind: FromStages, From: []string{"a"}, Stream: true}},
		Stage{Name: "c", Function: "h", Input: Input{Kind: FromStages, From: []string{"a"}, Stream: true, Gather: true}})
	require.Error(t, err)
	require.Equal(t, Blocked, stageNamed(report, "b").Status)
	require.Equal(t, 4, stageNamed(report, "b").Done)
	require.Equal(t, 0, stageNamed(report, "c").Added, "a list that is not whole is no job")
}

type fullDisk struct{ left int }

func (w *fullDisk) Write(p []byte) (int, error) {
	if w.left -= len(p); w.left < 0 {
		return 0, errors.New("no space left on device")
	}
	return len(p), nil
}

func TestOutputThatCannotBeWrittenIsAnError(t *testing.T) {
	t.Parallel()
	r, _ := fakeRunner(map[string]handler{"f": echo})
	plan := &Plan{Name: "p", Stages: []Stage{{Name: "a", Function: "f", Input: each(t, 20_000)}}}
	report, err := plan.Run(t.Context(), r, RunOptions{Output: &fullDisk{left: 70_000}})
	require.ErrorIs(t, err, ErrOutput)
	require.ErrorContains(t, err, "no space left on device")
	require.Equal(t, Failure, report.Status)
	require.Equal(t, Success, stageNamed(report, "a").Status)
}

func TestOutputExpression(t *testing.T) {
	t.Parallel()
	r, _ := fakeRunner(map[string]handler{"f": echo})
	plan := &Plan{
		Name: "p", Stages: []Stage{{Name: "a", Function: "f", Input: each(t, 3)}},
		Output: template(t, "${{ join(stages.a.results, '+') }} of ${{ run.id }}"),
	}
	var out bytes.Buffer
	_, err := plan.Run(t.Context(), r, RunOptions{ID: "r", Output: &out})
	require.NoError(t, err)
	require.Equal(t, "0+1+2 of r\n", out.String())
}

func TestParamsAreCheckedBeforeAnythingRuns(t *testing.T) {
	t.Parallel()
	r, server := fakeRunner(map[string]handler{"f": echo})
	plan := &Plan{
		Name: "p", Params: []Param{{Name: "n", Type: Integer, Required: true}, {Name: "s", Type: String, Default: "x"}},
		Stages: []Stage{{Name: "a", Function: "f", Args: template(t, "${{ params.s }}${{ params.n }}")}},
	}
	_, err := plan.Run(t.Context(), r, RunOptions{Params: map[string]any{"m": 1}})
	_, ok := errors.AsType[*ParamError](err)
	require.True(t, ok, "%v", err)
	require.ErrorContains(t, err, `the parameter "n" is required`)
	require.ErrorContains(t, err, `no parameter "m"`)
	require.Empty(t, server.submitted("f"))
	_, err = plan.Run(t.Context(), r, RunOptions{Params: map[string]any{"n": 5}})
	require.NoError(t, err)
	require.Equal(t, []string{"x5"}, server.submitted("f"))
}

func TestEventsOfARun(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		hold := make(chan struct{})
		r, _ := fakeRunner(map[string]handler{"f": func(ctx context.Context, p string) (string, error) {
			<-hold
			return failAbove(0)(ctx, p)
		}})
		plan := &Plan{Name: "p", Stages: []Stage{{Name: "a", Function: "f", MaxParallel: 1, Input: each(t, 2)}}}
		run, err := plan.Start(t.Context(), r, RunOptions{})
		require.NoError(t, err)
		events := run.Events(t.Context(), JobFailed, JobDone, StageEnded, RunEnded)
		close(hold)
		var kinds []EventKind
		for e := range events {
			kinds = append(kinds, e.Kind)
			require.False(t, e.Time.IsZero())
		}
		require.Equal(t, []EventKind{JobDone, JobFailed, StageEnded, RunEnded}, kinds)
		_, err = run.Wait()
		require.Error(t, err)
	})
}

func TestSlowReaderOfEventsMissesJobsOnly(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		hold := make(chan struct{})
		r, _ := fakeRunner(map[string]handler{"f": func(_ context.Context, p string) (string, error) {
			<-hold
			return p, nil
		}})
		plan := &Plan{Name: "p", Stages: []Stage{{Name: "a", Function: "f", Input: each(t, 5000)}}}
		run, err := plan.Start(t.Context(), r, RunOptions{})
		require.NoError(t, err)
		events := run.Events(t.Context(), JobDone, RunEnded)
		close(hold)
		_, err = run.Wait()
		require.NoError(t, err)
		seen, missed := 0, 0
		for e := range events {
			seen, missed = seen+1, missed+e.Missed
		}
		require.Equal(t, 5001, seen+missed)
		require.Equal(t, eventBacklog+1, seen)
	})
}
