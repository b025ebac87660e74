package flow

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

func TestGateSpreadsTheStartsOfEachGroup(t *testing.T) {
	t.Parallel()
	g := newGate(Rate{Limit: 2, Every: time.Second})
	now := time.Unix(0, 0)
	for i := range 6 {
		g.offer(now, []string{"a", "b"}[i%2], &job{place: i})
	}
	starts := map[int]time.Duration{}
	for {
		j, wait, ok := g.next(now)
		if !ok {
			break
		}
		if j == nil {
			now = now.Add(wait)
			continue
		}
		starts[j.place] = now.Sub(time.Unix(0, 0))
	}
	half := time.Second / 2
	require.Equal(t, map[int]time.Duration{0: 0, 1: 0, 2: half, 3: half, 4: 2 * half, 5: 2 * half}, starts)
}

func TestGateForgetsIdleGroups(t *testing.T) {
	t.Parallel()
	g := newGate(Rate{Limit: 10, Every: time.Second})
	now := time.Unix(0, 0)
	for i := range 100_000 {
		g.offer(now, fmt.Sprint(i), &job{})
		_, _, ok := g.next(now)
		require.True(t, ok)
		now = now.Add(10 * time.Millisecond)
	}
	require.LessOrEqual(t, len(g.groups), idleGroups)
}

func TestRateOfOneHostDoesNotHoldOthersUp(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		starts := map[string][]time.Duration{}
		began := time.Now()
		r, _ := fakeRunner(map[string]handler{"fetch": func(_ context.Context, p string) (string, error) {
			mu.Lock()
			defer mu.Unlock()
			starts[p[:1]] = append(starts[p[:1]], time.Since(began))
			return p, nil
		}})
		items := []any{}
		for i := range 100 {
			items = append(items, fmt.Sprintf("a%d", i))
		}
		items = append(items, "b0", "b1")
		_, _, err := run(t, r, RunOptions{}, Stage{
			Name: "s", Function: "fetch", Input: each(t, items),
			Rate: &Rate{Limit: 1, Every: time.Second, Per: template(t, "${{ item[0:1] }}")},
		})
		require.NoError(t, err)
		require.Equal(t, []time.Duration{0, time.Second}, starts["b"], "not after all of a")
		require.Len(t, starts["a"], 100)
		for i, at := range starts["a"] {
			require.Equal(t, time.Duration(i)*time.Second, at)
		}
	})
}
