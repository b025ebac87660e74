package sources

import (
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/require"
)

func TestFind(t *testing.T) {
	t.Parallel()
	files := fstest.MapFS{"a.sql": {}, "sub/b.sql": {}, "sub/deep/c.sql": {}, "sub/deep/d.txt": {}}
	for pattern, want := range map[string][]string{
		"a.sql":        {"a.sql"},
		"./a.sql":      {"a.sql"},
		"*.sql":        {"a.sql"},
		"**/*.sql":     {"a.sql", "sub/b.sql", "sub/deep/c.sql"},
		"sub/**":       {"sub/b.sql", "sub/deep/c.sql", "sub/deep/d.txt"},
		"sub/**/d.*":   {"sub/deep/d.txt"},
		"gone.sql":     nil,
		"gone/**/*.sh": nil,
	} {
		found, err := Find(files, pattern)
		require.NoError(t, err, pattern)
		require.Equal(t, want, found, pattern)
	}
	_, err := Find(files, "sub")
	require.ErrorContains(t, err, "write sub/** for all of its files")
}

func TestCheckKeepsInside(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"", "/etc/passwd", "..", "../x", "a/../../x", `a\b`, "a\x00b", "[a"} {
		require.Error(t, Check(name), "%q", name)
	}
	for _, name := range []string{"a", "a/../b", "**/*.sql", "..a"} {
		require.NoError(t, Check(name), "%q", name)
	}
}
