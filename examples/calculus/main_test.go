package main

import (
	"context"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/geartrain/geartrain/gearman"
	"github.com/geartrain/geartrain/server/servertest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestCalculus(t *testing.T) {
	t.Setenv("GEARTRAIN_SERVERS", "")
	t.Setenv("GEARMAN_SERVERS", "")
	var out strings.Builder
	require.NoError(t, run(t.Context(), []string{"2+3", "7-9", "6*7", "8/2"}, &out))
	require.Equal(t, "2+3 = 5\n7-9 = -2\n6*7 = 42\n8/2 = 4\n", out.String())

	out.Reset()
	err := run(t.Context(), []string{"1/0", "1+1"}, &out)
	require.ErrorIs(t, err, gearman.ErrTaskFailed)
	require.Contains(t, out.String(), "1/0: division by zero\n")
	require.Contains(t, out.String(), "1+1 = 2\n")

	require.ErrorContains(t, run(t.Context(), nil, &out), "no expression")
	require.ErrorContains(t, run(t.Context(), []string{"two"}, &out), `"two" is not NUMBER`)
}

// TestFourWorkers has a worker of its own for each operation.
func TestFourWorkers(t *testing.T) {
	srv := servertest.Start(t)
	ctx, stop := context.WithCancel(t.Context())
	var workers sync.WaitGroup
	for _, op := range operations() {
		workers.Go(func() {
			require.NoError(t, run(ctx, []string{"worker", "-S", srv.Addr, op.function.Name()}, nil))
		})
	}
	defer workers.Wait()
	defer stop()
	var out strings.Builder
	require.NoError(t, run(ctx, []string{"-S", srv.Addr, "1+1", "1-1", "1*1", "1/1"}, &out))
	require.Equal(t, "1+1 = 2\n1-1 = 0\n1*1 = 1\n1/1 = 1\n", out.String())
}

func TestParse(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]struct {
		function    string
		left, right float64
	}{
		"2+3":    {"add", 2, 3},
		"2+-3":   {"add", 2, -3},
		"-2--3":  {"subtract", -2, -3},
		"1e-3*2": {"multiply", 1e-3, 2},
		".5/4":   {"divide", .5, 4},
	} {
		op, numbers, err := parse(text)
		require.NoError(t, err, text)
		require.Equal(t, want.function, op.function.Name(), text)
		require.Equal(t, operands{want.left, want.right}, numbers, text)
	}
	for _, text := range []string{"", "+", "2", "2+", "+2", "2**3", "1+2+3", "a+b"} {
		_, _, err := parse(text)
		require.Error(t, err, text)
	}
}
