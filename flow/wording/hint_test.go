package wording

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestDidYouMean(t *testing.T) {
	t.Parallel()
	known := []string{"string", "integer", "needs", "for_each"}
	for word, want := range map[string]string{
		"int":     `did you mean "integer"?`, // its beginning
		"nedes":   `did you mean "needs"?`,   // neighbours swapped
		"foreach": `did you mean "for_each"?`,
		"x":       "",
		"timeout": "",
	} {
		require.Equal(t, want, DidYouMean(word, known), word)
	}
}
