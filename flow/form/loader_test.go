package form

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/geartrain/geartrain/flow"
	"github.com/geartrain/geartrain/flow/form/document"
)

const flowsFolder = "../../testdata/flows"

// TestFlows reads each file of testdata/flows and compares what is said about it, or the plan that
// it becomes, with the .want file beside it. UPDATE_WANT=1 writes those instead; read the diff.
func TestFlows(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob(filepath.Join(flowsFolder, "*.yaml"))
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			t.Parallel()
			want := strings.TrimSuffix(file, ".yaml") + ".want"
			got := describeFile(t, file)
			if os.Getenv("UPDATE_WANT") != "" {
				require.NoError(t, os.WriteFile(want, []byte(got), 0o644))
			}
			expected, err := os.ReadFile(want)
			require.NoError(t, err)
			require.Equal(t, string(expected), got)
		})
	}
}

// describeFile is what validate prints about a file, then its plan if it has one.
func describeFile(t *testing.T, file string) string {
	t.Helper()
	read, err := LoadFile(file)
	var found []document.Problem
	var invalid *Error
	if err != nil {
		require.ErrorAs(t, err, &invalid)
		require.Nil(t, read)
		found = invalid.Problems
	} else {
		found = read.Warnings
	}
	var b strings.Builder
	for i := range found {
		found[i].File = filepath.Base(file)
	}
	require.NoError(t, document.WriteProblems(&b, found))
	if read != nil {
		text, err := flow.Format(read.Plan)
		require.NoError(t, err)
		b.WriteString(text)
	}
	return filepath.ToSlash(b.String())
}

func loadText(t *testing.T, text string) *File {
	t.Helper()
	read, err := Load("test.yaml", strings.NewReader(text))
	require.NoError(t, err)
	return read
}

func problemsOf(t *testing.T, text string) []document.Problem {
	t.Helper()
	read, err := Load("test.yaml", strings.NewReader(text))
	var invalid *Error
	require.ErrorAs(t, err, &invalid)
	require.Nil(t, read)
	return invalid.Problems
}

func TestLoadHostileFiles(t *testing.T) {
	t.Parallel()
	laughs := "name: x\nx-a0: &a0 [lol, lol, lol, lol, lol, lol, lol, lol, lol]\n"
	for i := 1; i < 12; i++ {
		laughs += fmt.Sprintf("x-a%d: &a%d [*a%d,*a%d,*a%d,*a%d,*a%d,*a%d,*a%d,*a%d,*a%d]\n", i, i, i-1, i-1, i-1, i-1, i-1, i-1, i-1, i-1, i-1)
	}
	for name, c := range map[string]struct{ text, rule, message string }{
		"10 MB":          {"name: x\ndescription: " + strings.Repeat("x", 10<<20), "limit", "over 4 MiB"},
		"deep flow":      {"name: x\nx-a: " + strings.Repeat("[", 1000) + strings.Repeat("]", 1000), "limit", "nested more than 100 deep"},
		"very deep flow": {"name: x\nx-a: " + strings.Repeat("[", 200000), "limit", "nested more than 100 deep"},
		"deep block":     {"name: x\nx-a:\n" + deepBlock(1000), "limit", "nested more than 100 deep"},
		"billion laughs": {laughs, "limit", "aliases stand for more than"},
		"not UTF-8":      {"name: x\nä: \xff", "yaml-syntax", "not UTF-8"},
		"UTF-16":         {"\xff\xfen\x00", "yaml-syntax", "not UTF-8"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			found := problemsOf(t, c.text)
			require.Equal(t, c.rule, found[0].Rule, "%v", found[0])
			require.Contains(t, found[0].Message, c.message)
		})
	}
}

func deepBlock(n int) string {
	var b strings.Builder
	for i := range n {
		b.WriteString(strings.Repeat(" ", i+1) + "a:\n")
	}
	return b.String()
}

func TestLoadStopsCountingProblems(t *testing.T) {
	t.Parallel()
	found := problemsOf(t, "name: x\nstages:\n"+strings.Repeat("  - {}\n", 5000))
	require.Len(t, found, 100)
}

func TestProblemForms(t *testing.T) {
	t.Parallel()
	found := problemsOf(t, "name: x\nstages:\n  - {name: ä, function: f}\n  - {name: b, fnction: f}\n")
	require.Len(t, found, 3)
	p := found[1]
	require.Equal(t, `test.yaml:4:12: stage "b" has none of "function", "run", "pipeline" and "tasks"; write function: NAME or run: COMMAND [missing]`, p.String())
	text, err := json.Marshal(found[2])
	require.NoError(t, err)
	require.JSONEq(t, `{"file":"test.yaml","line":4,"column":15,"end_column":22,"rule":"unknown-key","severity":"error",
		"message":"unknown key \"fnction\" in stage \"b\"","hint":"did you mean \"function\"?"}`, string(text))
	var b strings.Builder
	require.NoError(t, document.WriteProblems(&b, found[2:]))
	require.Contains(t, b.String(), "    4 |   - {name: b, fnction: f}\n      |               ^~~~~~~\n")
	require.Equal(t, `::error file=test.yaml,line=4,col=15,endColumn=22,title=unknown-key::unknown key "fnction" in stage "b"; did you mean "function"?`, found[2].Annotation())
}

func TestAnnotationOfAWholeFile(t *testing.T) {
	t.Parallel()
	p := document.Problem{File: "a,b.yaml", Rule: "limit", Message: "100%\nfull", Warning: true}
	require.Equal(t, "::warning file=a%2Cb.yaml,title=limit::100%25%0Afull", p.Annotation())
}

func TestLoadFileThatIsNotThere(t *testing.T) {
	t.Parallel()
	_, err := LoadFile(filepath.Join(t.TempDir(), "gone.yaml"))
	require.ErrorIs(t, err, os.ErrNotExist)
	var invalid *Error
	require.False(t, errors.As(err, &invalid))
}

func TestInputsOfStages(t *testing.T) {
	t.Parallel()
	for line, want := range map[string]flow.Input{
		`for_each: ${{ stages.a.results }}`:                                        {Kind: flow.FromStages, From: []string{"a"}},
		`for_each: ${{ flatten(stages.a.results) }}`:                               {Kind: flow.FromStages, From: []string{"a"}, Flatten: true},
		`for_each: ${{ flatten([stages.b-c.results, stages.a.results]) }}`:         {Kind: flow.FromStages, From: []string{"b-c", "a"}},
		`for_each: ${{ flatten(flatten([stages.a.results,stages.b-c.results])) }}`: {Kind: flow.FromStages, From: []string{"a", "b-c"}, Flatten: true},
		`args: ${{ stages.a.results }}`:                                            {Kind: flow.FromStages, From: []string{"a"}, Gather: true},
		`stream: [a, b-c]`:                                                         {Kind: flow.FromStages, From: []string{"a", "b-c"}, Stream: true},
		"for_each: ${{ stages.a.results }}\n    batch: 5":                          {Kind: flow.FromStages, From: []string{"a"}, Batch: 5},
	} {
		plan := loadText(t, "name: x\nstages:\n  - {name: a, function: f}\n  - {name: b-c, function: f}\n  - name: z\n    function: g\n    "+line+"\n").Plan
		z := plan.Stages[2]
		require.Equal(t, want, z.Input, line)
		require.True(t, z.Args.IsZero(), line)
		if want.Stream {
			require.Empty(t, z.Needs)
		} else {
			require.Subset(t, z.Needs, want.From, line)
		}
	}
}

func TestStagesAreOrdered(t *testing.T) {
	t.Parallel()
	plan := loadText(t, "name: x\nstages:\n  - {name: c, function: f, needs: [b]}\n  - {name: a, function: f, needs: []}\n  - {name: b, function: f}\n").Plan
	var names []string
	for _, s := range plan.Stages {
		names = append(names, s.Name)
	}
	require.Equal(t, []string{"a", "b", "c"}, names)
	require.Equal(t, []string{"a"}, plan.Stages[1].Needs)
}

func TestEveryKeyIsDocumented(t *testing.T) {
	t.Parallel()
	for _, p := range []place{topPlace, paramPlace, defaultsPlace, functionPlace, stagePlace, discoverPlace, retryPlace, ratePlace, hookPlace, schedulePlace, concurrencyPlace, taskPlace, resultsPlace} {
		seen := map[string]bool{}
		for _, spec := range keysOfPlace(p) {
			require.False(t, seen[spec.name], "%s: %s twice", p, spec.name)
			seen[spec.name] = true
			require.NotZero(t, spec.shape, "%s: %s", p, spec.name)
			require.NotEmpty(t, spec.doc, "%s: %s", p, spec.name)
		}
	}
}

// fuzzSeeds are small, since the fuzzer tries to make each find of its own smaller, byte by byte. Whole
// files are read by TestFlows.
func fuzzSeeds() []string {
	one := "name: x\nstages:\n  - name: a\n    function: f\n    "
	seeds := []string{
		"", "# only this\n", "[]", "a: b: c", "name: 'x", "\tname: x", "name: x\n---\nname: y", "a: &a [*a]", "\ufeffname: x\r\n",
		"name: x\nx-a: &a {timeout: 5s}\nstages: [{<<: *a, name: a, function: f}]",
		"name: x\nparams: {n: 5, d: {type: date, default: \"${{ run.scheduled_at }}\"}}\nstages: [{name: a, run: [echo, \"${{ params.n }}\"]}]",
		"name: x\nfunctions: {f: {run: cat, version: 2, output: json}}\nstages: [{name: a, function: f}]\noutput: ${{ stages.a.result }}",
		"name: x\nstages:\n  - {name: a, function: f, needs: [b]}\n  - {name: b, function: f, needs: [a]}",
		"name: x\nstages: [{name: a, function: f, args: {x: ${{ item }}}}]",
		one + "for_each: [1, {a: 2}]\n    args: \"${{ item.a }} ${{ index }}\"\n    key: ${{ item }}",
		one + "for_each: [1]\n    discover: {items: \"${{ result }}\", with: {d: 1}, max_items: 9}\n",
		one + "matrix: {a: [1, 2], b: \"${{ params.x }}\", exclude: [{a: 1}]}\n",
		one + "retry: {attempts: 3, delay: 1s, on: [fail]}\n    rate: {limit: 5/s, per: \"${{ item }}\"}\n    wait: 50%",
		one + "on_failure: [{run: ./x.sh}]\n    allow_failures: 2%\n    fresh: 12h",
	}
	for _, text := range []string{"010", "1.10", "yes", "12:30:00", "2026-01-01", "${{ a", "'it''s'", "|\n      x\n", "{a: [b}"} {
		seeds = append(seeds, one+"args: "+text)
	}
	return seeds
}

// maxFuzzed is how many bytes are looked at: enough for two stages with a mistake each.
const maxFuzzed = 320

func FuzzLoad(f *testing.F) {
	for _, text := range fuzzSeeds() {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if len(text) > maxFuzzed {
			return
		}
		read, err := Load("fuzz.yaml", strings.NewReader(text))
		var found []document.Problem
		if err == nil {
			found = read.Warnings
			_, err := flow.Format(read.Plan)
			require.NoError(t, err)
			require.NotEmpty(t, read.Plan.Stages)
		} else {
			var invalid *Error
			require.ErrorAs(t, err, &invalid)
			found = invalid.Problems
			require.NotEmpty(t, found)
		}
		for _, p := range found {
			require.NotEmpty(t, p.Rule)
			require.Positive(t, p.EndColumn, "%v", p)
		}
		require.NoError(t, document.WriteProblems(&strings.Builder{}, found))
	})
}
