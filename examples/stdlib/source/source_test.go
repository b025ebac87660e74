package source

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func writeFiles(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600))
	}
	return dir
}

func TestRead(t *testing.T) {
	t.Parallel()
	dir := writeFiles(t, map[string]string{
		"a.go":          "package a\n\nimport \"os\"\n\nfunc F() string { return os.Args[0] }\n\ntype T int\n\nfunc (T) M(_ int) {}\n",
		"a_windows.go":  "package a\n\nimport (\n\tx \"io\"\n\t\"os\"\n)\n\nvar _, _ = x.EOF, os.EOF\n",
		"a_test.go":     "package a\n\nfunc ignored() {}\n",
		"generate.go":   "//go:build ignore\n\npackage main\n\nfunc main() {}\n",
		"notes.txt":     "not Go",
		"assembly_64.s": "TEXT",
	})
	count, err := Read("example/a", dir)
	require.NoError(t, err)
	require.Equal(t, Count{
		Package: "example/a", Files: 2, Lines: 17, Functions: 2,
		Identifiers: map[string]int{
			"a": 2, "F": 1, "string": 1, "os": 2, "Args": 1, "T": 2, "int": 2, "M": 1, "x": 2, "EOF": 2,
		},
		Imports: []string{"io", "os"},
	}, count)
}

func TestReadErrors(t *testing.T) {
	t.Parallel()
	_, err := Read("no/such", filepath.Join(t.TempDir(), "no", "such"))
	require.ErrorIs(t, err, os.ErrNotExist)
	require.ErrorContains(t, err, `package "no/such"`)

	dir := writeFiles(t, map[string]string{"broken.go": "package broken\n\nfunc {"})
	_, err = Read("broken", dir)
	require.ErrorContains(t, err, "broken.go:3:6")
}

func TestReadOnlyTests(t *testing.T) {
	t.Parallel()
	count, err := Read("only/tests", writeFiles(t, map[string]string{"x_test.go": "package x\n"}))
	require.NoError(t, err)
	require.Equal(t, Count{Package: "only/tests", Identifiers: map[string]int{}, Imports: []string{}}, count)
}

func TestWriteReport(t *testing.T) {
	t.Parallel()
	counts := []Count{
		{Package: "b", Files: 1, Lines: 10, Functions: 1, Identifiers: map[string]int{"err": 2, "x": 1}, Imports: []string{"fmt"}},
		{Package: "a", Files: 2, Lines: 10, Functions: 3, Identifiers: map[string]int{"err": 1}, Imports: []string{"fmt", "io"}},
	}
	want := `2 packages, 3 files, 20 lines, 4 functions, 2 different identifiers

Packages with most lines
   1.       10  a
   2.       10  b

Packages with most functions
   1.        3  a
   2.        1  b

Most used identifiers
   1.        3  err
   2.        1  x

Packages imported by most others
   1.        2  fmt
   2.        1  io
`
	for range 2 {
		var b strings.Builder
		require.NoError(t, WriteReport(&b, counts))
		require.Equal(t, want, b.String())
		counts[0], counts[1] = counts[1], counts[0]
	}
}
