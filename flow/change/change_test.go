package change

import (
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/geartrain/geartrain/flow/value"
)

func TestBetween(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, old, new string
		want           []string
	}{
		{"equal", `{"a":[1,{"b":null}]}`, `{"a":[1.0,{"b":null}]}`, nil},
		{"member", `{"url":"a","depth":1}`, `{"url":"b","depth":1}`, []string{`url: "a" is now "b"`}},
		{"deep", `{"p":{"l":[1,2,3]}}`, `{"p":{"l":[1,5]}}`, []string{`p.l[1]: 2 is now 5`, `p.l[2]: 3 is gone`}},
		{"added", `{}`, `{"a b":1}`, []string{`["a b"]: new: 1`}},
		{"gone", `{"x":null}`, `{}`, []string{`x: null is gone`}},
		{"kind", `{"a":1}`, `[1]`, []string{`{"a":1} is now [1]`}},
		{"text", `"a"`, `"b"`, []string{`"a" is now "b"`}},
		{"null is a value", `{"a":null}`, `{"a":0}`, []string{`a: null is now 0`}},
	} {
		old, err := value.DecodeJSON([]byte(test.old))
		require.NoError(t, err)
		now, err := value.DecodeJSON([]byte(test.new))
		require.NoError(t, err)
		changes, count := Between(old, now, 10)
		var got []string
		for _, c := range changes {
			got = append(got, c.String())
		}
		require.Equal(t, test.want, got, test.name)
		require.Equal(t, len(test.want), count, test.name)
	}
}

func TestBetweenIsBounded(t *testing.T) {
	t.Parallel()
	changes, count := Between(make([]any, 1000), []any{}, 3)
	require.Len(t, changes, 3)
	require.Equal(t, 1000, count)
}

// No change, no difference: and the other way round.
func TestBetweenFindsWhatCanonicalDoes(t *testing.T) {
	t.Parallel()
	values := rapid.Custom(func(t *rapid.T) any {
		leaf := rapid.OneOf(rapid.Just[any](nil), rapid.Just[any](1), rapid.Just[any]("x"), rapid.Just[any](true))
		switch rapid.IntRange(0, 2).Draw(t, "kind") {
		case 0:
			return leaf.Draw(t, "leaf")
		case 1:
			return rapid.SliceOfN(leaf, 0, 3).Draw(t, "list")
		}
		return rapid.MapOfN(rapid.SampledFrom([]string{"a", "b", "c"}), leaf, 0, 3).Draw(t, "map")
	})
	rapid.Check(t, func(t *rapid.T) {
		old, now := values.Draw(t, "old"), values.Draw(t, "new")
		a, err := value.Canonical(old)
		require.NoError(t, err)
		b, err := value.Canonical(now)
		require.NoError(t, err)
		_, count := Between(old, now, 1)
		require.Equal(t, string(a) == string(b), count == 0)
	})
}
