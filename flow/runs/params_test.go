package runs

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestParamsAreReadAsTheyWere(t *testing.T) {
	for _, params := range []Params{
		{"whole": 720, "list": []any{1, 2.5, "x", nil}, "map": map[string]any{"deep": 3}},
		{"large": 9007199254740993, "negative": -1},
		nil,
	} {
		text, err := json.Marshal(Record{Params: params})
		require.NoError(t, err)
		var read Record
		require.NoError(t, json.Unmarshal(text, &read))
		require.Equal(t, params, read.Params)
		require.True(t, SameParams(params, read.Params))
	}
	require.False(t, SameParams(Params{"large": 9007199254740993}, Params{"large": 9007199254740992}))
	require.Error(t, json.Unmarshal([]byte(`{"params": [1]}`), &Record{}))
}
