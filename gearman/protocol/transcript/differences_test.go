package transcript_test

import (
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/geartrain/geartrain/gearman/protocol/transcript"
)

// TestDifferencesAreListed holds the list of differences to what the conversations say.
func TestDifferencesAreListed(t *testing.T) {
	t.Parallel()
	all, err := transcript.ParseAll(os.DirFS("../../../testdata/wire"))
	require.NoError(t, err)
	list, err := os.ReadFile("../../../testdata/wire/DIFFERENCES.md")
	require.NoError(t, err)
	var want, got []string
	for _, script := range all {
		if reason, ok := script.Not["gearmand"]; ok {
			want = append(want, script.Name+" | "+reason)
		}
	}
	table, _, _ := strings.Cut(string(list), "What no conversation can show")
	for line := range strings.Lines(table) {
		cells := strings.Split(strings.Trim(line, "| \n"), " | ")
		if len(cells) != 3 || cells[0] == "conversation" {
			continue
		}
		require.NotEmpty(t, cells[2], line)
		got = append(got, cells[0]+" | "+cells[1])
	}
	require.Equal(t, want, got, "testdata/wire/DIFFERENCES.md is the list of all lines \"not: gearmand\"")
}
