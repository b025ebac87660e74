package expression

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/geartrain/geartrain/flow/value"
)

// allContexts is what a template of a test may use.
func allContexts() []string { return append(contextNames(), "page") }

func testScope() *Scope {
	item := map[string]any{"url": "https://Example.org:8080/a/b.html", "depth": 2, "tags": []any{"x", "y"}, "max-age": 5}
	results := func() ([]any, error) {
		return []any{map[string]any{"rows": 3}, map[string]any{"rows": 4}}, nil
	}
	return &Scope{
		Params: map[string]any{"seed": "https://e.org/", "max_depth": 3, "user-agent": "me", "names": []any{"b", "a"}},
		Env:    map[string]string{"LANG": "C"},
		Item:   item, Index: 7,
		Result: map[string]any{"links": []any{"1", "2"}},
		Run:    RunValues{ID: "r1.x", Name: "crawl", ScheduledAt: time.Date(2026, 3, 1, 2, 30, 0, 0, time.UTC), Attempt: 1},
		Stages: map[string]StageValues{
			"a-1":        {Results: func() ([]any, error) { return []any{"dash"}, nil }, Count: 1},
			"load":       {Results: results, Count: 2, Status: "success"},
			"fetch-page": {Results: func() ([]any, error) { return []any{"one"}, nil }, Count: 1},
		},
	}
}

func TestTemplateEval(t *testing.T) {
	t.Parallel()
	big := json.Number("123456789012345678901234567890")
	for _, c := range []struct {
		source, want any
	}{
		{"plain", "plain"},
		{nil, nil},
		{1.5, 1.5},
		{big, big},
		{"${{ item.depth }}", 2},
		{"${{item.depth + 1}}", 3},
		{"depth ${{ item.depth }} of ${{ params.max_depth }}", "depth 2 of 3"},
		{"${{ item.tags }}!", `["x","y"]!`},
		{"${{ nil }}!", "!"},
		{" ${{ item.depth }}", " 2"},
		{map[string]any{"url": "${{ item.url }}", "n": []any{1, "${{ index }}"}}, map[string]any{"url": "https://Example.org:8080/a/b.html", "n": []any{1, 7}}},
		{"${{ page.depth }}", 2},
		{"${{ item.missing }}", nil},
		{"${{ default(item.missing, 'x') }}", "x"},
		{"${{ item.missing?.deeper ?? 'none' }}", "none"},
		{"${{ item['max-age'] }}", 5},
		{"${{ params.user-agent }}", "me"},
		{"${{ params['user-agent'] }}", "me"},
		{"${{ toJSON(params) contains 'user-agent' and params.user-agent == 'me' }}", true},
		{"${{ params.max_depth - item.depth }}", 1},
		{"${{ stages.a-1.results }}", []any{"dash"}},
		{"${{ stages['a-1'].result + stages?.a-1?.result }}", "dashdash"},
		{"${{ 'stages.a-1 ' + \"params.b-2\" }}", "stages.a-1 params.b-2"},
		{"${{ item.depth-1 }}", 1},
		{"${{ default(item.stages, 2)-1 }}", 1},
		{"${{ item.スー == nil and item['スー'] == nil }}", true},
		{"${{ item.url matches '^https?://' and not (nil matches 'x') }}", true},
		{"${{ stages.fetch-page.result }}", "one"},
		{"${{ stages.load.count }} ${{ stages.load.status }}", "2 success"},
		{"${{ sum(stages.load.results, 'rows') }}", 7},
		{"${{ len(stages.load.failures) }}", 0},
		{"${{ run.scheduled_at }}", "2026-03-01T02:30:00Z"},
		{"${{ date(run.scheduled_at, 'YYYY-MM-DD', '-1d') }}", "2026-02-28"},
		{"${{ {a: {b: 1}} }}", map[string]any{"a": map[string]any{"b": 1}}},
		{"${{ '}}' }}", "}}"},
		{"${{ '${{' }} x }}", "${{ x }}"},
		{"${{ map(params.names, upper(#)) }}", []any{"B", "A"}},
		{"${{ 1..3 }}", []any{1, 2, 3}},
		{"${{ env.LANG }}", "C"},
		{"${{ item.depth > 1 and not contains(item.url, 'zzz') }}", true},
		{"${{ item.url contains 'Example' && startsWith(item.url, 'https') && !(item.url endsWith 'x') }}", true},
		{"${{ item.url not contains ('zzz') }}", true},
	} {
		tpl, err := Compile(c.source, allContexts()...)
		require.NoError(t, err, "%v", c.source)
		got, err := tpl.Eval(testScope())
		require.NoError(t, err, "%v", c.source)
		require.Equal(t, c.want, got, "%v", c.source)
		require.False(t, tpl.IsZero())
		require.Equal(t, c.source, tpl.Source())
	}
}

func TestFunctions(t *testing.T) {
	t.Parallel()
	for expression, want := range map[string]any{
		`len('äb')`:                                2,
		`len([1,2])`:                               2,
		`lines("a\r\nb\n\nc\n")`:                   []any{"a", "b", "", "c"},
		`split('a,b', ',')`:                        []any{"a", "b"},
		`join([1,'b',nil], '-')`:                   "1-b-",
		`fromJSON('{"a":[1,2.5]}')`:                map[string]any{"a": []any{1, 2.5}},
		`toJSON({b: 1, a: '<'})`:                   `{"a":"<","b":1}`,
		`keys({b: 1, a: 2})`:                       []any{"a", "b"},
		`values({b: 1, a: 2})`:                     []any{2, 1},
		`sum([1, 2.5])`:                            3.5,
		`min([3,1,2])`:                             1,
		`max(3, 1)`:                                3,
		`max([{n: 1}, {n: 5}], 'n')`:               5,
		`min([])`:                                  nil,
		`first([])`:                                nil,
		`last([1,2])`:                              2,
		`unique([1, 1.0, '1', 2])`:                 []any{1, "1", 2},
		`unique([{a: 1, b: 1}, {a: 1}], 'a')`:      []any{map[string]any{"a": 1, "b": 1}},
		`sort(['b','a'])`:                          []any{"a", "b"},
		`sort([{n: 2}, {n: 1.5}], 'n')`:            []any{map[string]any{"n": 1.5}, map[string]any{"n": 2}},
		`flatten([[1],[2,[3]],4])`:                 []any{1, 2, []any{3}, 4},
		`zip([1,2],['a','b','c'])`:                 []any{[]any{1, "a"}, []any{2, "b"}},
		`contains([1,2], 2)`:                       true,
		`contains({a: 1}, 'b')`:                    false,
		`endsWith('ab', 'b')`:                      true,
		`replace('aXbX', 'X', '-')`:                "a-b-",
		`lower('AÄ') + upper('b') + trim(' c')`:    "aäBc",
		`format('%s has %03d, %.1f%%', 'x', 7, 2)`: "x has 007, 2.0%",
		`date('2026-01-31')`:                       "2026-01-31",
		`date('2026-01-31T12:00:05+02:00', 'DD.MM.YY HH:mm:ss')`: "31.01.26 12:00:05",
		`date('2026-03-01', 'YYYYMMDD', '2d')`:                   "20260303",
		`duration('1d12h')`:                                      129600,
		`duration('1500ms')`:                                     1.5,
		`host('http://WWW.Example.org:81/x')`:                    "www.example.org",
		`basename('/a/b.txt')`:                                   "b.txt",
		`dirname('/a/b.txt')`:                                    "/a",
		`default('', 'x')`:                                       "x",
		`hash('a') == hash("a")`:                                 true,
		`hash(1) == hash('1')`:                                   false,
		`count([1,2,3], # > 1)`:                                  2,
		`filter([{n: 1}, {n: 2}], .n > 1)`:                       []any{map[string]any{"n": 2}},
		`any([[1],[2]], any(#, # == 2))`:                         true,
		`[1,2] | map(# * 2) | sum()`:                             6,
	} {
		tpl, err := Compile("${{ " + expression + " }}")
		require.NoError(t, err, expression)
		got, err := tpl.Eval(&Scope{})
		require.NoError(t, err, expression)
		require.Equal(t, want, got, expression)
	}
}

func TestCompileErrors(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		source  string
		offset  int
		message string
	}{
		{"ä${{ item.", 1, `"${{" without "}}"`},
		{"ab ${{ }}", 6, "the expression is empty"},
		{"ab ${{ itm.x }}", 7, `did you mean "item"`},
		{"${{ foo }}", 4, `unknown name "foo"; known here: `},
		{"${{ frist([1]) }}", 4, `unknown function "frist"; did you mean "first"?`},
		{"${{ now() }}", 4, "no clock"},
		{"${{ len() }}", 4, "len has 0 arguments; write len("},
		{"${{ 1 + }}", 7, "ends too early"},
		{"${{ stages }}", 4, "stages.NAME.results"},
		{"${{ stages[item.x].results }}", 4, "stages.NAME.results"},
		{"${{ stages.a.resluts }}", 4, `a stage has no "resluts"`},
		{"${{ run.date }}", 4, `run has no "date"`},
		{"${{ let x = 1; x }}", 8, "an expression is one value"},
		{"${{ reduce([1], #acc + #) }}", 4, "unknown function"},
		{"${{ item.url.String() }}", 13, "only functions can be called"},
		{"${{ len }}", 4, "len is a function"},
		{"${{ $env }}", 4, `unknown name "$env"`},
		{"${{ $work }}", 4, `unknown name "$work"`},
		{"${{ $step(1, 2) }}", 4, `unknown function "$step"`},
		{"${{ item.url matches '(' }}", 21, "missing closing )"},
		{"${{ map([1], map([2], map([3], 1))) }}", 22, "nested more than 2 deep"},
		{"${{ b'x' }}", 4, "bytes are not a JSON value"},
	} {
		_, err := Compile(c.source, allContexts()...)
		var x *Error
		require.ErrorAs(t, err, &x, c.source)
		require.Contains(t, err.Error(), c.message, c.source)
		require.Equal(t, c.offset, x.Offset, "%s: %v", c.source, err)
	}
}

func TestCompileReportsAll(t *testing.T) {
	t.Parallel()
	_, err := Compile(map[string]any{"a": "${{ x1 }}", "b": []any{0, "${{ y1 }} ${{ z1 }}"}})
	var all interface{ Unwrap() []error }
	require.True(t, errors.As(err, &all))
	require.Len(t, all.Unwrap(), 3)
	var x *Error
	require.ErrorAs(t, all.Unwrap()[2], &x)
	require.Equal(t, []any{"b", 1}, x.Path)
	require.Equal(t, 14, x.Offset)
}

func TestEvalErrors(t *testing.T) {
	t.Parallel()
	for source, message := range map[string]string{
		"${{ item.a.b }}":                      "cannot fetch b",
		"${{ 1 % 0 }}":                         "divide by zero",
		"${{ 1.0 / 0 }}":                       "not a JSON number",
		"${{ stages.load.result }}":            "2 results",
		"${{ stages.gone.results }}":           `stage "gone" has no values here`,
		"${{ sum(['a']) }}":                    "sum wants numbers, not text",
		"${{ 1..100000000 }}":                  "more than 4194304 elements; let a job do it",
		"${{ fromJSON('{') }}":                 "not JSON",
		"${{ sort([1, 'a']) }}":                "cannot order",
		"${{ format('%d', 'x') }}":             "whole number",
		"${{ format('%d') }}":                  "more verbs than values",
		"${{ format('x', 1) }}":                "1 value for 0 verbs",
		"${{ date('yesterday') }}":             "neither a date",
		"${{ host('nothing') }}":               "host wants an address",
		"${{ sum([9223372036854775807, 1]) }}": "larger than whole numbers go",
		"${{ split('a', '') }}":                "separator",
		"${{ 1 matches '1' }}":                 "matches wants two texts",
	} {
		tpl, err := Compile(source, allContexts()...)
		require.NoError(t, err, source)
		_, err = tpl.Eval(testScope())
		require.ErrorContains(t, err, message, source)
	}
}

// Each of these would need minutes or gigabytes if nothing stopped it. That what they do is counted can
// be seen with little work already; how long all the work takes is measured by BenchmarkMaxWork.
func TestEvalIsBounded(t *testing.T) {
	t.Parallel()
	list := make([]any, 2000)
	for i := range list {
		list[i] = i
	}
	scope := &Scope{Item: map[string]any{"text": strings.Repeat("x", 1<<12), "list": list, "lists": []any{list, list, list}}}
	for _, source := range []string{
		"replace(replace(item.text, 'x', item.text), 'x', item.text)",
		"any(item.list, any(item.list, # < 0))",
		"map(item.list, len(replace(item.text, 'x', 'yy')))",
		"map(item.list, len(toJSON(item.list)))",
		"map(item.list, hash(item.list))",
		"map(item.list, sort(item.list))",
		"map(item.list, unique(item.list))",
		"map(item.list, flatten(item.lists))",
		"map(item.list, zip(item.list, item.list))",
		"map(item.list, split(item.text, 'x'))",
		"map(item.list, len(item.lists))",
		"map(item.list, item.text + item.text)",
		"map(item.list, [item.text, item.list])",
		"map(item.list, item.list == item.list)",
		"map(item.list, -1 in item.list)",
		"map(item.list, contains(item.list, -1))",
		"count(item.list, item.text matches '(x+x+)+y')",
		"map(item.list, format('%999s', 'x'))",
		"count(item.list, item.text matches item.text[0:500])",
	} {
		tpl, err := Compile("${{ "+source+" }}", ContextItem)
		require.NoError(t, err, source)
		w := &work{left: 1 << 18}
		_, err = tpl.evalWithin(w, scope)
		require.ErrorContains(t, err, errTooMuchWork.Error(), source)
	}
}

func TestTextIsBounded(t *testing.T) {
	t.Parallel()
	tpl, err := Compile(strings.Repeat("${{ item }}", 33), ContextItem)
	require.NoError(t, err)
	_, err = tpl.Eval(&Scope{Item: strings.Repeat("x", 2<<20)})
	require.ErrorContains(t, err, "over 64 MiB")
}

// BenchmarkMaxWork is how long an expression may take before it is stopped.
func BenchmarkMaxWork(b *testing.B) {
	list := make([]any, 20000)
	for i := range list {
		list[i] = i
	}
	scope := &Scope{Item: map[string]any{"text": strings.Repeat("x", 1<<16), "list": list}}
	for name, source := range map[string]string{
		"steps": "any(item.list, any(item.list, # < 0))", "json": "map(item.list, len(toJSON(item.list)))",
		"sort": "map(item.list, sort(item.list))", "pattern": "count(item.list, item.text matches '(x+x+)+y')",
	} {
		tpl, err := Compile("${{ "+source+" }}", ContextItem)
		require.NoError(b, err)
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				_, err = tpl.Eval(scope)
				require.Error(b, err)
			}
		})
	}
}

func TestTemplateLooksOnlyAtWhatItUses(t *testing.T) {
	t.Parallel()
	called := 0
	scope := &Scope{Stages: map[string]StageValues{
		"a": {Results: func() ([]any, error) { called++; return []any{1}, nil }, Count: 1},
		"b": {Results: func() ([]any, error) { return nil, errors.New("never") }},
	}}
	count, err := Compile("${{ stages.a.count }}", ContextStages)
	require.NoError(t, err)
	v, err := count.Eval(scope)
	require.NoError(t, err)
	require.Equal(t, 1, v)
	require.Zero(t, called)

	results, err := Compile(map[string]any{"x": "${{ stages.a.results }}", "y": "${{ stages.a.results }}"}, ContextStages)
	require.NoError(t, err)
	require.Equal(t, []string{"a"}, results.Stages())
	require.True(t, results.Uses(ContextStages))
	require.False(t, results.Uses(ContextItem))
	_, err = results.Eval(scope)
	require.NoError(t, err)
	require.Equal(t, 1, called)
}

func TestTemplateGivesItsSourceBack(t *testing.T) {
	t.Parallel()
	source := map[string]any{"b": "${{ item }} <&>", "a": []any{1, nil}}
	tpl, err := Compile(source, ContextItem)
	require.NoError(t, err)
	text, err := json.Marshal(map[string]any{"t": tpl, "zero": Template{}})
	require.NoError(t, err)
	require.JSONEq(t, `{"t":{"a":[1,null],"b":"${{ item }} <&>"},"zero":null}`, string(text))
	require.Equal(t, `{"a":[1,null],"b":"${{ item }} <&>"}`, tpl.String())

	literal, err := Value("${{ item }}")
	require.NoError(t, err)
	v, err := literal.Eval(nil)
	require.NoError(t, err)
	require.Equal(t, "${{ item }}", v)
	require.True(t, Template{}.IsZero())
	require.Equal(t, "", Template{}.String())
}

func FuzzExpression(f *testing.F) {
	for _, s := range []string{"item.a + 1", "map(1..9, # * 2)", "contains('a', 'b')", "stages.a-b.results", "'}}'", "{a: [1]}", "not contains(item, 1)", "((((", "item?.x ?? 1", "format('%99d', 1)"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, source string) {
		tpl, err := Compile("x ${{"+source+"}}", allContexts()...)
		if err != nil {
			var x *Error
			require.ErrorAs(t, err, &x)
			return
		}
		scope := testScope()
		first, err := tpl.Eval(scope)
		if err != nil {
			return
		}
		_, err = value.Canonical(first)
		if err != nil {
			return // text that is not UTF-8
		}
		second, err := tpl.Eval(scope)
		require.NoError(t, err)
		require.Equal(t, first, second, "an expression is pure")
	})
}
