package gearman

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// The numbers are those of String::CRC32 and Gearman::Task in Perl.
func TestPerlSelectorAgreesWithPerl(t *testing.T) {
	t.Parallel()
	servers := []string{"a", "b", "c", "d", "e", "f", "g"}
	for key, hash := range map[string]int{"alpha": 20704, "beta": 3985, "key1": 11356, "f1.abc": 31142, "kéy": 2198} {
		for n := 1; n <= len(servers); n++ {
			order := PerlSelector{}.Pick("whatever", key, servers[:n])
			require.Equal(t, servers[hash%n], order[0], key)
			require.ElementsMatch(t, servers[:n], order)
		}
	}
	require.Equal(t, []string{"b", "c", "a"}, PerlSelector{}.Pick("f", "alpha", servers[:3]))
	require.Equal(t, []string{"a", "b", "c", "d", "e", "f", "g"}, servers, "what it was given is as it was")
}
