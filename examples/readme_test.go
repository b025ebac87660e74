// Package examples tests that the READMEs show what is in the files.
package examples

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestReadmes looks for every block of Go, YAML and report text of a README in the files beside it.
func TestReadmes(t *testing.T) {
	t.Parallel()
	readmes, err := filepath.Glob(filepath.Join("*", "README.md"))
	require.NoError(t, err)
	require.Len(t, readmes, 7)
	block := regexp.MustCompile("(?ms)^```(go|yaml|text)\n(.*?)^```$")
	patterns := map[string]string{"go": "*.go", "yaml": "*.yaml", "text": "testdata/*.txt"}
	for _, readme := range readmes {
		text, err := os.ReadFile(readme)
		require.NoError(t, err)
		for _, match := range block.FindAllStringSubmatch(string(text), -1) {
			files, err := filepath.Glob(filepath.Join(filepath.Dir(readme), patterns[match[1]]))
			require.NoError(t, err)
			require.True(t, anyContains(t, files, match[2]), "%s: not in %q:\n%s", readme, files, match[2])
		}
	}
}

// TestTopReadme looks for every block of the project's README that names a file in that file.
func TestTopReadme(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../README.md")
	require.NoError(t, err)
	block := regexp.MustCompile("(?ms)^<!-- from (\\S+) -->\n```(?:go|yaml)\n(.*?)^```$")
	matches := block.FindAllStringSubmatch(string(text), -1)
	require.Len(t, matches, 3)
	for _, match := range matches {
		require.True(t, anyContains(t, []string{"../" + match[1]}, match[2]), "not in %s:\n%s", match[1], match[2])
	}
}

func anyContains(t *testing.T, files []string, text string) bool {
	t.Helper()
	for _, file := range files {
		content, err := os.ReadFile(file)
		require.NoError(t, err)
		if strings.Contains(string(content), text) {
			return true
		}
	}
	return false
}

// TestIndex has each example in the list.
func TestIndex(t *testing.T) {
	t.Parallel()
	index, err := os.ReadFile("README.md")
	require.NoError(t, err)
	folders, err := filepath.Glob(filepath.Join("*", "README.md"))
	require.NoError(t, err)
	for _, readme := range folders {
		name := filepath.Dir(readme)
		require.Contains(t, string(index), "| ["+name+"]("+name+") |")
	}
}
