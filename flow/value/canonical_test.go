package value

import (
	"encoding/json"
	"math"
	"reflect"
	"testing"

	"github.com/gowebpki/jcs"
	"github.com/stretchr/testify/require"
)

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

// FuzzCanonical: the canonical bytes give the value back, so no two values share them; and apart from
// large whole numbers they are those of RFC 8785.
func FuzzCanonical(f *testing.F) {
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
