package flowtest_test

import (
	"context"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/geartrain/geartrain/flow"
	"github.com/geartrain/geartrain/flow/flowtest"
	"github.com/geartrain/geartrain/gearman"
)

// TestCassette records with handlers and plays without; the second time nobody could be asked.
func TestCassette(t *testing.T) {
	length := gearman.NewFunc[string, int]("length")
	sum := gearman.NewFunc[[]int, int]("sum")
	p := flow.Define("lengths", func(in flow.Stream[string]) flow.Single[int] {
		return flow.Reduce(flow.Each(in, length), sum)
	})
	words := func(yield func(string) bool) { _ = yield("a") && yield("bcd") }
	dir := t.TempDir()
	var calls atomic.Int32
	t.Run("record", func(t *testing.T) {
		t.Setenv(flowtest.RecordVariable, "1")
		r := flowtest.Cassette(t, dir,
			flowtest.Do(length, func(_ context.Context, s string) (int, error) { calls.Add(1); return len(s), nil }),
			flowtest.Do(sum, func(_ context.Context, all []int) (int, error) { return all[0] + all[1], nil }))
		out, err := p.Run(t.Context(), r, words)
		require.NoError(t, err)
		require.Equal(t, 4, out)
	})
	require.EqualValues(t, 2, calls.Load())
	t.Run("play", func(t *testing.T) {
		out, err := p.Run(t.Context(), flowtest.Cassette(t, dir), words)
		require.NoError(t, err)
		require.Equal(t, 4, out)
	})
}
