package flow

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/geartrain/geartrain/flow/value"
)

func TestJSONResultsAreValues(t *testing.T) {
	t.Parallel()
	nested := func(n int) string { return strings.Repeat("[", n) + strings.Repeat("]", n) }
	for _, text := range []string{
		`{"a":1}`, ` [1,2] `, `"x"`, `1.5`, `1e5`, `1e999`, `[1,1E999]`, `{"1e999":"1e999"}`, nested(150), nested(250), nested(50_000),
		`["` + strings.Repeat("]", 300) + `",` + nested(250) + `]`, `["\"[",` + nested(100) + `]`, `{`, ``, `1 2`, `nul`,
		strings.Repeat("9", 400), strings.Repeat("9", 400) + ".5", `[0.` + strings.Repeat("1", 299) + `,` + strings.Repeat("1", 299) + `]`,
	} {
		_, want := value.DecodeJSON([]byte(text))
		it, err := JSONOutput.read([]byte(text))
		require.Equal(t, want == nil, err == nil, "%.40s: %v", text, want)
		if err == nil {
			require.Equal(t, strings.TrimSpace(text), string(it.raw))
		}
	}
}
