package queue

import (
	"go/parser"
	"go/token"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// The queue is a pure state machine: what could do I/O, read the clock or start goroutines has no
// place in it.
func TestImports(t *testing.T) {
	t.Parallel()
	files, err := os.ReadDir(".")
	require.NoError(t, err)
	for _, file := range files {
		if !strings.HasSuffix(file.Name(), ".go") || strings.HasSuffix(file.Name(), "_test.go") {
			continue
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), file.Name(), nil, 0)
		require.NoError(t, err)
		for _, spec := range parsed.Imports {
			name, err := strconv.Unquote(spec.Path.Value)
			require.NoError(t, err)
			require.False(t, slices.Contains([]string{"net", "os", "log", "log/slog", "sync", "context", "io"}, name), "%s imports %s", file.Name(), name)
		}
		source, err := os.ReadFile(file.Name())
		require.NoError(t, err)
		for _, word := range []string{"time.Now", "time.Since", "time.Sleep", "\tgo "} {
			require.NotContains(t, string(source), word, file.Name())
		}
	}
}
