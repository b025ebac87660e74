package flow

import (
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/geartrain/geartrain/flow/value"
)

const keysFolder = "../testdata/keys"

// keyVector is one file of testdata/keys, for other languages to check their keys against.
type keyVector struct {
	Comment   string          `json:"comment"`
	Function  string          `json:"function"`
	Version   string          `json:"version"`
	Scope     string          `json:"scope"`
	Kind      KeyKind         `json:"kind"`
	Arguments json.RawMessage `json:"arguments"` // of kind bytes: base64
	Canonical string          `json:"canonical"`
	Key       string          `json:"key"`
}

func (v *keyVector) parts(t *testing.T) KeyParts {
	t.Helper()
	p := KeyParts{Function: v.Function, Version: v.Version, Scope: v.Scope, Kind: v.Kind}
	arguments, err := value.DecodeJSON(v.Arguments)
	require.NoError(t, err)
	p.Arguments = arguments
	if v.Kind == KeyBytes {
		var raw []byte
		require.NoError(t, json.Unmarshal(v.Arguments, &raw))
		p.Arguments = raw
	}
	return p
}

func TestKeyVectors(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob(filepath.Join(keysFolder, "*.json"))
	require.NoError(t, err)
	require.NotEmpty(t, files)
	keys := map[string]string{}
	for _, file := range files {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		var vectors []keyVector
		require.NoError(t, json.Unmarshal(text, &vectors), file)
		for _, v := range vectors {
			canonical, err := v.parts(t).Canonical()
			require.NoError(t, err, v.Comment)
			require.Equal(t, v.Canonical, string(canonical), v.Comment)
			key, err := v.parts(t).Key()
			require.NoError(t, err, v.Comment)
			require.Equal(t, v.Key, key, v.Comment)
			require.Len(t, key, 55)
			if before, ok := keys[key]; ok {
				require.Equal(t, before, v.Canonical, v.Comment)
			}
			keys[key] = v.Canonical
		}
	}
}

func TestRunID(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 1, 31, 2, 30, 0, 0, time.UTC)
	id, err := RunID("nightly", map[string]any{"day": "2026-01-30", "n": 1}, at)
	require.NoError(t, err)
	require.Equal(t, "r1.o4srucvj6vh5l7ebhzfkxgf224rnqofpvryftdoxivwgbrsxbora", id)
	berlin := time.FixedZone("CET", 3600)
	same, err := RunID("nightly", map[string]any{"n": 1.0, "day": "2026-01-30"}, at.In(berlin))
	require.NoError(t, err)
	require.Equal(t, id, same)
	for _, other := range []map[string]any{{"day": "2026-01-30", "n": 2}, {"day": "2026-01-30", "n": "1"}, nil} {
		differs, err := RunID("nightly", other, at)
		require.NoError(t, err)
		require.NotEqual(t, id, differs)
	}
}

func TestKeyRefuses(t *testing.T) {
	t.Parallel()
	for message, p := range map[string]KeyParts{
		`kind "text" cannot be int`:    {Kind: KeyText, Arguments: 1},
		`kind "bytes" cannot be strin`: {Kind: KeyBytes, Arguments: "x"},
		`kind "none" cannot be string`: {Kind: KeyNone, Arguments: ""},
		`kind "" cannot be`:            {},
		"NaN is not a JSON number":     {Kind: KeyJSON, Arguments: []any{math.NaN()}},
		"+Inf is not a JSON number":    {Kind: KeyJSON, Arguments: map[string]any{"a": math.Inf(1)}},
		"not UTF-8":                    {Kind: KeyText, Arguments: "\xff"},
		"struct {} is not a JSON":      {Kind: KeyJSON, Arguments: struct{}{}},
		"[]uint8 is not a JSON":        {Kind: KeyJSON, Arguments: []any{[]byte("x")}},
		"nested more than":             {Kind: KeyJSON, Arguments: nested(1000)},
		"out of the range":             {Kind: KeyJSON, Arguments: json.Number("1e400")},
		"is not a JSON number":         {Kind: KeyJSON, Arguments: json.Number("0x10")},
	} {
		_, err := p.Key()
		require.ErrorContains(t, err, message)
	}
}

func nested(n int) any {
	var v any
	for range n {
		v = []any{v}
	}
	return v
}

// FuzzKey: a JSON value and the text of it are different work.
func FuzzKey(f *testing.F) {
	for _, s := range []string{`{"b":[1,2.50,"é\u0000\""],"a":null}`, `"1"`, `1`, `-0.0`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		v, err := value.DecodeJSON([]byte(text))
		if err != nil {
			return
		}
		a, err := KeyParts{Function: "f", Kind: KeyJSON, Arguments: v}.Key()
		require.NoError(t, err)
		b, err := KeyParts{Function: "f", Kind: KeyText, Arguments: strings.ToValidUTF8(text, "?")}.Key()
		require.NoError(t, err)
		require.NotEqual(t, a, b)
	})
}
