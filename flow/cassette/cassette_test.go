package cassette

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/geartrain/geartrain/flow"
	"github.com/geartrain/geartrain/flow/value"
)

var fetch = flow.Stage{Name: "fetch", Function: "fetch-page", Version: "2"}

func job(kind flow.KeyKind, raw string) *flow.JobRecord {
	return &flow.JobRecord{Stage: "fetch", Arguments: flow.Datum{Kind: kind, Raw: []byte(raw)}, Item: flow.Datum{Kind: kind, Raw: []byte(raw)}}
}

func done(kind flow.KeyKind, raw, result string) *flow.JobRecord {
	j := job(kind, raw)
	j.Outcome, j.Result = flow.OutcomeDone, []byte(result)
	return j
}

func saved(t *testing.T, jobs ...*flow.JobRecord) *Cassette {
	t.Helper()
	c := New(filepath.Join(t.TempDir(), "new", "folder"), nil)
	for _, j := range jobs {
		require.NoError(t, c.Record(&fetch, j))
	}
	require.NoError(t, c.Save([]byte("out\n")))
	again, err := Open(c.dir)
	require.NoError(t, err)
	return again
}

func TestFilesAreForPeople(t *testing.T) {
	t.Parallel()
	failed := job(flow.KeyText, "z")
	failed.Outcome, failed.Reason, failed.Message = flow.OutcomeFailed, "exception", "no <page>"
	c := saved(t, failed,
		done(flow.KeyJSON, `{"url": "b", "n": 1.0}`, "{\"links\":[]}\n"),
		done(flow.KeyText, "a", "text & more\n"),
		done(flow.KeyJSON, `"a"`, "1\n\n"),
		done(flow.KeyBytes, "\xff", "\xfe"),
		done(flow.KeyNone, "", ""),
	)
	text, err := os.ReadFile(filepath.Join(c.dir, "fetch.jsonl"))
	require.NoError(t, err)
	var lines []string
	for l := range strings.Lines(string(text)) {
		require.Regexp(t, `^\{"key":"f1\.[a-z2-7]{52}",`, l)
		lines = append(lines, strings.TrimSpace("{"+l[strings.Index(l, ",")+1:]))
	}
	require.Equal(t, []string{
		`{"kind":"bytes","arguments":"/w==","bytes":"/g=="}`,
		`{"kind":"json","arguments":"a","text":"1\n\n"}`,
		`{"arguments":"a","text":"text & more"}`,
		`{"arguments":"z","failed":{"reason":"exception","message":"no <page>"}}`,
		`{"arguments":null,"text":""}`,
		`{"arguments":{"n":1,"url":"b"},"json":{"links":[]}}`,
	}, lines)
	output, ok, err := c.Output()
	require.NoError(t, err)
	require.True(t, ok)
	require.Equal(t, "out\n", string(output))
}

// Whatever bytes a worker sends come back, but for the line end that is no part of a result.
func TestRoundTrip(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	rapid.Check(t, func(rt *rapid.T) {
		result := rapid.OneOf(
			rapid.String(),
			rapid.Map(rapid.SliceOf(rapid.Byte()), func(b []byte) string { return string(b) }),
			rapid.SampledFrom([]string{"\n", "\r\n", "x\n\n", "{}\n", "[1, 2]", "[1,2]", "{\"a\":\"\u2028<&>\"}", "{\"a\":1e999}", "\"x\"", "null", "[\"\xff\"]"}),
		).Draw(rt, "result")
		argument := rapid.String().Filter(utf8.ValidString).Draw(rt, "argument")
		c := New(dir, nil)
		require.NoError(rt, c.Record(&fetch, done(flow.KeyText, argument, result)))
		require.NoError(rt, c.Save(nil))
		again, err := Open(dir)
		require.NoError(rt, err)
		j := job(flow.KeyText, argument)
		require.True(rt, again.Play(&fetch, j))
		require.Equal(rt, flow.OutcomeDone, j.Outcome)
		require.Equal(rt, withoutLineEnd([]byte(result)), append([]byte{}, j.Result...))
	})
}

func TestMissSaysWhatTheRecordingHas(t *testing.T) {
	t.Parallel()
	c := saved(t, done(flow.KeyJSON, `{"url":"a","depth":1}`, "x"), done(flow.KeyJSON, `{"url":"b","depth":7,"x":[1]}`, "y"))
	j := job(flow.KeyJSON, `{"url":"c","depth":1}`)
	require.True(t, c.Play(&fetch, j))
	require.Equal(t, flow.OutcomeFailed, j.Outcome)
	require.Equal(t, "no recording of this job\nthe nearest recording differs: url: \"a\" is now \"c\"", j.Message)
	newer := fetch
	newer.Version = "3"
	require.True(t, c.Play(&newer, job(flow.KeyJSON, `{"url":"a","depth":1}`)))
	other := job(flow.KeyNone, "")
	other.Stage = "parse"
	require.True(t, c.Play(&flow.Stage{}, other))
	misses, count := c.Misses()
	require.Equal(t, 3, count)
	require.Equal(t, "it was recorded with function fetch-page, version 2, and is now function fetch-page, version 3", misses[1].Why)
	require.Equal(t, "the recording has no stage of this name", misses[2].Why)
	require.Equal(t, map[string]int{"fetch": 2}, c.Unused())
}

// A stage may have unlike tasks: the same arguments are then another job for each function.
func TestUnlikeTasks(t *testing.T) {
	t.Parallel()
	c := New(t.TempDir(), nil)
	load, check := flow.Stage{Function: "load"}, flow.Stage{Function: "check", Version: "2"}
	require.NoError(t, c.Record(&load, done(flow.KeyText, "a", "loaded")))
	require.NoError(t, c.Record(&check, done(flow.KeyText, "a", "checked")))
	require.NoError(t, c.Save(nil))
	again, err := Open(c.dir)
	require.NoError(t, err)
	for task, result := range map[*flow.Stage]string{&load: "loaded", &check: "checked"} {
		j := job(flow.KeyText, "a")
		require.True(t, again.Play(task, j))
		require.Equal(t, result, string(j.Result))
	}
}

func TestSaveReplacesTheRecordingAndNothingElse(t *testing.T) {
	t.Parallel()
	c := saved(t, done(flow.KeyText, "a", "x"))
	note := filepath.Join(c.dir, "README.md")
	require.NoError(t, os.WriteFile(note, []byte("mine"), 0o666))
	next := New(c.dir, nil)
	other := done(flow.KeyText, "a", "x")
	other.Stage = "other"
	require.NoError(t, next.Record(&flow.Stage{Function: "f"}, other))
	require.NoError(t, next.Save(nil))
	require.NoFileExists(t, filepath.Join(c.dir, "fetch.jsonl"))
	require.FileExists(t, filepath.Join(c.dir, "other.jsonl"))
	require.FileExists(t, note)
}

func TestSecretsAreMasked(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	c := New(dir, func(p []byte) []byte { return []byte(strings.ReplaceAll(string(p), "canary", "***")) })
	require.NoError(t, c.Record(&fetch, done(flow.KeyText, "a", "my canary sings")))
	failed := job(flow.KeyText, "b")
	failed.Outcome, failed.Message = flow.OutcomeFailed, "canary died"
	require.NoError(t, c.Record(&fetch, failed))
	require.NoError(t, c.Save([]byte("canary\n")))
	require.Equal(t, 1, c.Masked())
	files, err := filepath.Glob(filepath.Join(dir, "*"))
	require.NoError(t, err)
	require.Len(t, files, 3)
	for _, name := range files {
		text, err := os.ReadFile(name)
		require.NoError(t, err)
		require.NotContains(t, string(text), "canary")
	}
}

func TestDamagedFiles(t *testing.T) {
	t.Parallel()
	_, err := Open(t.TempDir())
	require.ErrorIs(t, err, ErrNoCassette)
	for name, test := range map[string][2]string{
		"key of others": {`{"key":"f1.x","arguments":"a","text":"x"}`, "line 1: the key is not that of these arguments"},
		"twice":         {"{\"arguments\":\"a\",\"text\":\"x\"}\n\n{\"arguments\":\"a\",\"text\":\"y\"}", "line 3: these arguments are there twice"},
		"two results":   {`{"arguments":"a","text":"x","json":1}`, "line 1: want one of json"},
		"no result":     {`{"arguments":"a"}`, "line 1: want one of json"},
		"unknown":       {`{"arguments":"a","txt":"x"}`, `line 1: json: unknown field "txt"`},
		"wrong kind":    {`{"arguments":1,"kind":"text","text":"x"}`, `line 1: arguments: 1 is not of kind "text"`},
		"no arguments":  {`{"text":"x"}`, "line 1: arguments: "},
		"not JSON":      {"\x00", "line 1: "},
	} {
		c := saved(t, done(flow.KeyText, "a", "x"))
		require.NoError(t, os.WriteFile(filepath.Join(c.dir, "fetch.jsonl"), []byte(test[0]), 0o666))
		_, err := Open(c.dir)
		require.ErrorContains(t, err, "fetch.jsonl: "+test[1], name)
	}
	c := saved(t)
	require.NoError(t, os.WriteFile(filepath.Join(c.dir, "run.json"), []byte(`{"cassette":1,"pipeline":"p","stages":{"../../etc/passwd":{"function":"f"}}}`), 0o666))
	_, err = Open(c.dir)
	require.ErrorContains(t, err, "path escapes")
}

func FuzzLine(f *testing.F) {
	f.Add([]byte(`{"arguments":{"a":1},"json":{"b":[2]}}`))
	f.Add([]byte(`{"arguments":"/w==","kind":"bytes","bytes":"AA=="}`))
	f.Add([]byte(`{"arguments":null,"failed":{"reason":"fail","message":"x"}}`))
	info := StageInfo{"f", "1"}
	f.Fuzz(func(t *testing.T, text []byte) {
		e, err := parseLine(text, info)
		if err != nil {
			return
		}
		written, err := value.EncodeJSON(e.line(info))
		require.NoError(t, err)
		again, err := parseLine(written, info)
		require.NoError(t, err, "%s", written)
		require.Equal(t, e.key, again.key)
		require.Equal(t, withoutLineEnd(e.result), withoutLineEnd(again.result))
	})
}
