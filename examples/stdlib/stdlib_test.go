// Package stdlib tests the pipeline of this folder.
package stdlib

import (
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/geartrain/geartrain/examples/internal/exampletest"
)

func TestStdlib(t *testing.T) {
	t.Parallel()
	list, err := exec.CommandContext(t.Context(), "go", "list", "std").Output()
	if err != nil {
		t.Skip("the go command is needed:", err)
	}
	report := exampletest.RunFile(t, "stdlib.yaml", nil)
	summary := regexp.MustCompile(`^(\d+) packages, \d{4,} files, \d{6,} lines, \d{5,} functions, \d{5,} different identifiers\n`)
	match := summary.FindStringSubmatch(report)
	require.NotNil(t, match, report)
	require.Equal(t, strconv.Itoa(len(strings.Fields(string(list)))), match[1])
	for _, title := range []string{
		"Packages with most lines", "Packages with most functions", "Most used identifiers", "Packages imported by most others",
	} {
		require.Contains(t, report, "\n"+title+"\n   1. ")
	}
	require.Regexp(t, `1\. +\d+  err\n`, report)
	require.Regexp(t, `1\. +\d+  errors\n`, report)
}
