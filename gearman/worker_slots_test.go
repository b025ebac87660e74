package gearman

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// Any order of events keeps each slot in one place, keeps every limit, and never leaves a slot idle that
// a server might have a job for.
func TestSlots(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 6).Draw(t, "slots")
		s := newSlots(n)
		rested := make(map[*source]int)
		for range rapid.IntRange(1, 4).Draw(t, "sources") {
			var src *source
			src = s.join(rapid.IntRange(1, n).Draw(t, "limit"), func() { rested[src]++ })
		}
		told := make(map[*source]int) // grabs sent on the current connection and not answered
		do := func(asks []ask) {
			for _, a := range asks {
				require.Same(t, a.src.link, a.link)
				require.False(t, s.draining)
				if a.sleep {
					require.Zero(t, told[a.src], "it sleeps although grabs are on their way")
				}
				told[a.src] += a.grabs
			}
		}
		for range rapid.IntRange(1, 100).Draw(t, "events") {
			src := rapid.SampledFrom(s.sources).Draw(t, "source")
			slotsEvent(t, s, src, told, do)
			checkSlots(t, s, n, told, rested)
		}
	})
}

func slotsEvent(t *rapid.T, s *slots, src *source, told map[*source]int, do func([]ask)) {
	switch event := rapid.SampledFrom([]string{"connected", "lost", "assigned", "no job", "noop", "done", "drain"}).Draw(t, "event"); event {
	case "connected":
		if src.link == nil && !s.draining {
			do(s.connected(src, &link{}))
		}
	case "lost":
		if src.link != nil {
			told[src] = 0
			do(s.lost(src))
		}
	case "assigned":
		asked := told[src] > 0
		told[src] = max(told[src]-1, 0)
		asks, ok := s.assigned(src)
		require.Equal(t, asked, ok)
		do(asks)
	case "no job":
		told[src] = max(told[src]-1, 0)
		do(s.noJob(src))
	case "noop":
		do(s.noop(src))
	case "done":
		if src.running > 0 {
			do(s.done(src))
			s.sent(src)
		}
	case "drain":
		if rapid.IntRange(0, 20).Draw(t, "really") == 0 {
			s.drain()
		}
	default:
		panic(fmt.Sprint("no event ", event))
	}
}

func checkSlots(t *rapid.T, s *slots, n int, told, rested map[*source]int) {
	held := s.free
	for _, src := range s.sources {
		held += src.asking + src.running
		require.Equal(t, told[src], src.asking)
		require.LessOrEqual(t, src.asking+src.running, src.limit)
		require.LessOrEqual(t, rested[src], 1)
		if s.draining {
			require.Equal(t, src.asking+src.running == 0, rested[src] == 1)
			continue
		}
		require.Zero(t, rested[src])
		if src.link != nil && src.asking == 0 && src.running < src.limit && s.free > 0 {
			require.True(t, src.dry && src.asleep, "a free slot, a source that may have work, and nobody asks")
		}
	}
	require.Equal(t, n, held)
	require.GreaterOrEqual(t, s.free, 0)
}

func TestSlotsAlternateBetweenServers(t *testing.T) {
	t.Parallel()
	s := newSlots(1)
	a, b := s.join(1, nil), s.join(1, nil)
	s.connected(a, &link{})
	s.connected(b, &link{})
	var order []*source
	for range 6 {
		src := a
		if b.asking > 0 {
			src = b
		}
		order = append(order, src)
		s.assigned(src)
		s.done(src)
	}
	require.Equal(t, []*source{a, b, a, b, a, b}, order, "both have work: neither starves the other")
}
