package flow

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

func isOpen(b *barrier) bool {
	select {
	case <-b.opened:
		return true
	default:
		return false
	}
}

func TestBarrierOpensOnceAfterTheLast(t *testing.T) {
	t.Parallel()
	for _, n := range []int{0, 1, 2, 10_000} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			t.Parallel()
			b := newBarrier()
			for range n {
				b.add()
			}
			require.False(t, isOpen(b), "before the input is closed")
			early := rand.IntN(n + 1)
			for range early {
				b.end()
			}
			require.False(t, isOpen(b), "before the input is closed")
			b.close()
			for range n - early {
				require.False(t, isOpen(b), "before the last job has ended")
				b.end()
			}
			require.True(t, isOpen(b))
			b.close() // again is allowed, and does not open it twice
			require.Panics(t, b.add, "nothing can be added once it is open")
			require.Panics(t, b.end, "nothing is left to end")
		})
	}
}

func TestBarrierWithConcurrentEnds(t *testing.T) {
	t.Parallel()
	b := newBarrier()
	var jobs sync.WaitGroup
	for range 10_000 {
		b.add()
		jobs.Go(b.end)
	}
	b.close()
	<-b.opened
	jobs.Wait()
}

func TestBarrierOfJobsThatAddJobs(t *testing.T) {
	t.Parallel()
	b := newBarrier()
	b.add()
	b.close()
	for range 1000 { // each adds one before it ends
		b.add()
		b.end()
		require.False(t, isOpen(b))
	}
	b.end()
	require.True(t, isOpen(b))
}
