package main

import (
	"context"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestServe(t *testing.T) {
	t.Parallel()
	dir := filepath.Join("..", "..", "..", "testdata", "site")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.NoError(t, serve(ctx, "127.0.0.1:0", dir), "it ends with its context")
	require.ErrorContains(t, serve(ctx, "127.0.0.1:0", t.TempDir()), "-dir")
	require.Error(t, serve(ctx, "nonsense", dir))
}
