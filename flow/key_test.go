package flow

import (
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/gowebpki/jcs"
	"github.com/stretchr/testify/require"
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
	arguments, err := DecodeJSON(v.Arguments)
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

// Whole numbers beyond 2^53 are where RFC 8785 alone would give two values the same bytes.
func TestCanonicalNumbers(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		value any
		want  string
	}{
		{1.0, "1"}, {1, "1"}, {uint8(1), "1"}, {math.Copysign(0, -1), "0"}, {json.Number("-0"), "0"},
		{json.Number("1.10"), "1.1"}, {1e-7, "1e-7"}, {0.000001, "0.000001"}, {1e21, "1e+21"},
		{9007199254740992, "9007199254740992"},
		{9007199254740993, "9007199254740993"},
		{float64(1 << 60), "1152921504606846976"},
		{1152921504606847000, "1152921504606847000"},
		{json.Number("1000000000000000000000"), "1000000000000000000000"},
		{json.Number("123456789012345678901234567890"), "123456789012345678901234567890"},
		{uint64(math.MaxUint64), "18446744073709551615"},
		{1e20, "100000000000000000000"},
		{-1e20, "-100000000000000000000"},
	} {
		got, err := Canonical(c.value)
		require.NoError(t, err)
		require.Equal(t, c.want, string(got), "%v", c.value)
	}
}

// FuzzKey: the canonical bytes give the value back, so no two values share them; and apart from
// large whole numbers they are those of RFC 8785.
func FuzzKey(f *testing.F) {
	for _, s := range []string{`{"b":[1,2.50,"é\u0000\""],"a":null}`, `"1"`, `1`, `[["a","bc"],["ab","c"]]`, `9007199254740993`, `1e21`, `-0.0`, `{"\ue000":1,"😀":2}`, `1e-320`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		v, err := DecodeJSON([]byte(text))
		if err != nil {
			return
		}
		canonical, err := Canonical(v)
		require.NoError(t, err)
		back, err := DecodeJSON(canonical)
		require.NoError(t, err)
		require.True(t, sameValue(v, back), "%s became %s", text, canonical)
		again, err := Canonical(back)
		require.NoError(t, err)
		require.Equal(t, string(canonical), string(again))
		if standard, err := jcs.Transform([]byte(text)); err == nil && !hasLargeNumber(v) {
			require.Equal(t, string(standard), string(canonical))
		}
		a, err := KeyParts{Function: "f", Kind: KeyJSON, Arguments: v}.Key()
		require.NoError(t, err)
		b, err := KeyParts{Function: "f", Kind: KeyText, Arguments: strings.ToValidUTF8(text, "?")}.Key()
		require.NoError(t, err)
		require.NotEqual(t, a, b)
	})
}

// sameValue compares as numbers what may be a float64 on one side and a whole number on the other.
func sameValue(a, b any) bool {
	switch x := a.(type) {
	case []any:
		y, ok := b.([]any)
		if !ok || len(x) != len(y) {
			return false
		}
		for i := range x {
			if !sameValue(x[i], y[i]) {
				return false
			}
		}
		return true
	case map[string]any:
		y, ok := b.(map[string]any)
		if !ok || len(x) != len(y) {
			return false
		}
		for key := range x {
			if !sameValue(x[key], y[key]) {
				return false
			}
		}
		return true
	case float64:
		switch y := b.(type) {
		case int:
			return x == float64(y)
		case json.Number:
			f, err := y.Float64()
			return err == nil && x == f
		}
	}
	return reflect.DeepEqual(a, b)
}

func hasLargeNumber(v any) bool {
	switch v := v.(type) {
	case json.Number:
		return true
	case int:
		return v > 1<<53 || v < -1<<53
	case float64:
		return math.Abs(v) >= 1<<53
	case []any:
		for _, element := range v {
			if hasLargeNumber(element) {
				return true
			}
		}
	case map[string]any:
		for _, element := range v {
			if hasLargeNumber(element) {
				return true
			}
		}
	}
	return false
}
