package flow

import (
	"errors"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestAttemptsAreNumbered(t *testing.T) {
	t.Parallel()
	a, failed := &attempts{}, errors.New("no")
	require.Equal(t, 1, a.number("x", 0), "a server that does not count")
	require.Equal(t, 3, a.number("x", 3), "other workers had it before")
	a.ended("x", 3, failed)
	require.Equal(t, 4, a.number("x", 1))
	require.Equal(t, 1, a.number("y", 1))
	a.ended("x", 4, nil)
	require.Equal(t, 1, a.number("x", 1), "a success ends the count")
}

func TestAttemptsRememberOnlySoMany(t *testing.T) {
	t.Parallel()
	a, failed := &attempts{}, errors.New("no")
	for i := range 5 * maxTried {
		a.ended(strconv.Itoa(i), 1, failed)
	}
	require.LessOrEqual(t, len(a.young)+len(a.old), 2*maxTried)
	require.Equal(t, 2, a.number(strconv.Itoa(5*maxTried-1), 1))
	require.Equal(t, 1, a.number("0", 1), "too long ago")
}
