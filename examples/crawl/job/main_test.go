package main

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestRun(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	pages := `[{"url":"http://x/","start":true,"status":200,"type":"text/html","title":"Home"}]`
	require.NoError(t, run(t.Context(), []string{"index"}, strings.NewReader(pages), &out))
	require.Contains(t, out.String(), "Crawl of http://x/\n")
	require.Contains(t, out.String(), "  /  Home\n")

	for _, tt := range []struct{ name, in, want string }{
		{"", "{}", "want one of open, fetch and index"},
		{"other", "{}", `"other"`},
		{"index", "{", "read arguments"},
		{"open", `{"timeout":"1s"}`, "no start address"},
		{"fetch", `{"url":"","site":{"start":[],"timeout":"1s"}}`, "not an address to follow"},
	} {
		err := run(t.Context(), strings.Fields(tt.name), strings.NewReader(tt.in), &out)
		require.ErrorContains(t, err, tt.want, tt.name)
	}
}
