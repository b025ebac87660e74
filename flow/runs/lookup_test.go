package runs

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/geartrain/geartrain/flow"
)

// A lookup finds what a driver would, and takes nothing from one that is there.
func TestLookupFindsWhatADriverWould(t *testing.T) {
	t.Parallel()
	s := openState(t)
	always := &flow.Stage{Name: "s", Function: "f", Fresh: flow.Fresh{Always: true}}
	none, err := s.Lookup(idOf(t, 1))
	require.NoError(t, err)
	_, ok := none.Answer(runScope, "f1.a")
	require.False(t, ok)
	require.NoError(t, none.Close())

	d := drive(t, s, 1)
	require.NoError(t, d.Job(runScope, done(0, "f1.a", "A")))
	require.NoError(t, d.Job(always, done(1, "f1.b", "B")))
	require.NoError(t, d.Flush())
	for n, wanted := range map[int][]bool{1: {true, true}, 2: {false, true}} { // of the run, of another one
		x, err := s.Lookup(idOf(t, n))
		require.NoError(t, err)
		a, own := x.Answer(runScope, "f1.a")
		b, across := x.Answer(always, "f1.b")
		require.Equal(t, wanted, []bool{own, across})
		require.Equal(t, "B", string(b.Result))
		if own {
			require.Equal(t, "A", string(a.Result))
		}
		require.NoError(t, x.Close())
	}
	_, err = s.Lookup("../../etc")
	require.ErrorIs(t, err, ErrBadID)
}
