package runs

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestLineIsInTheOrderOfComing(t *testing.T) {
	s := openState(t)
	came := time.Now()
	stand := func(group, id string, at int) *ticket {
		place, err := s.line(group, id, came.Add(time.Duration(at)))
		require.NoError(t, err)
		return place
	}
	isFirst := func(place *ticket, want bool) {
		t.Helper()
		got, err := place.isFirst(time.Now().Add(2 * ticketSettles))
		require.NoError(t, err)
		require.Equal(t, want, got)
	}
	third, first, second := stand("g", "r1.a", 3), stand("g", "r1.c", 1), stand("g", "r1.b", 2)
	other := stand("another", "r1.d", 9)
	isFirst(first, true)
	isFirst(second, false)
	isFirst(third, false)
	isFirst(other, true)

	require.NoError(t, first.leave())
	isFirst(second, true)
	isFirst(third, false)

	require.NoError(t, second.file.Close()) // it has died
	isFirst(third, true)
	isFirst(stand("g", "r1.e", 4), false)
	require.Error(t, second.leave(), "nothing is left of it")
	require.NoError(t, third.leave())
}
