package flow

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// orderPlan is a pipeline of edges of every shape. Its last stage prints what all of them gave.
func orderPlan(t testing.TB, stream bool, items, others []any) *Plan {
	edge := func(names ...string) Input { return Input{Kind: FromStages, From: names, Stream: stream} }
	flat, batch, both := edge("b"), edge("c"), edge("b", "other")
	flat.Flatten = true
	batch.Batch = 1
	both.Flatten, both.Batch = true, 1
	most := Budget{All: true}
	return &Plan{Name: "p", Stages: []Stage{
		{Name: "a", Function: "list", Input: each(t, items), AllowFailures: most, Output: JSONOutput, MaxParallel: 7},
		{Name: "other", Function: "list", Input: each(t, others), AllowFailures: most, Output: JSONOutput, Needs: []string{}},
		{Name: "b", Function: "same", Input: edge("a"), AllowFailures: most, Output: JSONOutput, MaxParallel: 5},
		{Name: "c", Function: "same", Input: flat, AllowFailures: most, Output: JSONOutput},
		{Name: "d", Function: "same", Input: batch, AllowFailures: most, Output: JSONOutput},
		{Name: "e", Function: "same", Input: edge("c", "d"), AllowFailures: most, Output: JSONOutput},
		{Name: "f", Function: "same", Input: both, AllowFailures: most, Output: JSONOutput, MaxParallel: 3},
		{Name: "g", Function: "same", Input: edge("f"), AllowFailures: most, Output: JSONOutput},
	}, Output: template(t, map[string]any{
		"c": "${{ stages.c.results }}", "d": "${{ stages.d.results }}", "e": "${{ stages.e.results }}",
		"g": "${{ stages.g.results }}", "lost": "${{ map(stages.c.failures, #.item) }}",
	})}
}

// TestStreamsAndBarriersGiveTheSame ends the jobs of a pipeline in random orders and compares what it
// prints with that of the same pipeline behind barriers.
func TestStreamsAndBarriersGiveTheSame(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		seed := rapid.Uint64().Draw(rt, "seed")
		broken := rapid.IntRange(2, 12).Draw(rt, "broken")
		lists := rapid.SliceOfN(rapid.IntRange(0, 4), 0, 20)
		items, others := numbersOf(lists.Draw(rt, "items"), 0), numbersOf(lists.Draw(rt, "others"), 1000)
		var want, got string
		synctest.Test(t, func(t *testing.T) {
			want = outputInRandomOrder(t, orderPlan(t, false, items, others), broken, rand.New(rand.NewPCG(1, 1)))
		})
		synctest.Test(t, func(t *testing.T) {
			got = outputInRandomOrder(t, orderPlan(t, true, items, others), broken, rand.New(rand.NewPCG(seed, 0)))
		})
		require.Equal(rt, want, got)
	})
}

// numbersOf is lists of different numbers, of these lengths.
func numbersOf(lengths []int, next int) []any {
	lists := []any{}
	for _, length := range lengths {
		list := []any{}
		for range length {
			list = append(list, next)
			next++
		}
		lists = append(lists, list)
	}
	return lists
}

// outputInRandomOrder fails one payload of so many as broken says, by what it holds.
func outputInRandomOrder(t *testing.T, plan *Plan, broken int, order *rand.Rand) string {
	server := &chosenServer{}
	var out bytes.Buffer
	run, err := plan.Start(t.Context(), &Runner{submitter: server}, RunOptions{Output: &out, ID: "r"})
	require.NoError(t, err)
	for {
		synctest.Wait()
		task, ok := server.take(order.IntN)
		if !ok {
			break
		}
		var err error
		sum := 0
		for _, c := range task.Payload {
			sum = sum*31 + int(c)
		}
		if sum%broken == 1 {
			err = fmt.Errorf("broken")
		}
		task.end(string(task.Payload), err)
	}
	_, err = run.Wait()
	require.NoError(t, err)
	return out.String()
}

func TestManyStreamedPlacesTakeLittleMemory(t *testing.T) {
	t.Parallel()
	o := newOrder(t.TempDir(), 1)
	defer o.close()
	const n = 200_000 // more pages than memory holds
	for place := range n {
		if err := o.add(origin{0, (place / 2) ^ 1}, place); err != nil {
			t.Fatal(err)
		}
	}
	require.LessOrEqual(t, len(o.sources[0].pages), pagesInMemory)
	for i := range n / 2 {
		first, count, err := o.of(origin{0, i})
		if err != nil || first != (i^1)*2 || count != 2 {
			t.Fatalf("result %d: places from %d, %d of them, %v", i, first, count, err)
		}
	}
}
