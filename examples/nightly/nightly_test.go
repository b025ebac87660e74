// Package nightly tests the pipeline of this folder.
package nightly

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/geartrain/geartrain/examples/internal/exampletest"
)

func TestNightly(t *testing.T) {
	t.Setenv("WAREHOUSE_DSN", "postgres://user:password@warehouse.example/sales")
	want := "published {\"day\":\"2026-01-31\",\"rows\":314}\n"
	for _, full := range []string{"false", "true"} {
		require.Equal(t, want, exampletest.RunFile(t, "nightly.yaml", map[string]string{"day": "2026-01-31", "full": full}))
	}
}

func TestRebuildAlone(t *testing.T) {
	t.Parallel()
	out := exampletest.RunFile(t, "rebuild.yaml", map[string]string{"day": "2026-01-31"})
	require.Equal(t, "by day 2026-01-31\nby region 2026-01-31\n", out)
}
