package flow

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestKeysOfAStageAreThoseOfTheirParts(t *testing.T) {
	t.Parallel()
	m, err := newKeyMaker("a \"function\"", "1", "run r1")
	require.NoError(t, err)
	hashes := map[keyHash]bool{}
	for _, test := range []struct {
		it    item
		kind  KeyKind
		value any
	}{
		{item{}, KeyNone, nil},
		{item{[]byte("Zoë\n\x01"), textItem}, KeyText, "Zoë\n\x01"},
		{item{[]byte{}, textItem}, KeyText, ""},
		{item{[]byte{0, 255, 'x'}, textItem}, KeyBytes, []byte{0, 255, 'x'}},
		{item{[]byte(`{"b": [1.10, null], "a": 12345678901234567890}`), jsonItem}, KeyJSON, map[string]any{"a": uint64(12345678901234567890), "b": []any{1.1, nil}}},
		{item{[]byte(`1`), jsonItem}, KeyJSON, 1},
		{item{[]byte(`1`), textItem}, KeyText, "1"},
	} {
		want, err := KeyParts{Function: "a \"function\"", Version: "1", Scope: "run r1", Kind: test.kind, Arguments: test.value}.Key()
		require.NoError(t, err)
		got, hash, err := m.key(test.it)
		require.NoError(t, err)
		require.Equal(t, want, got)
		require.False(t, hashes[hash])
		hashes[hash] = true
	}
	_, _, err = m.key(item{[]byte("{"), jsonItem})
	require.Error(t, err)
}
