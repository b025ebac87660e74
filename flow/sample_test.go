package flow

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// keysOf is the keys of a function's tasks by payload.
func (f *fakeServer) keysOf(function string) map[string]string {
	f.mu.Lock()
	defer f.mu.Unlock()
	keys := map[string]string{}
	for _, t := range f.tasks {
		if t.Function == function {
			keys[string(t.Payload)] = t.Key
		}
	}
	return keys
}

func TestSampleIsAPartOfTheFullRun(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	stages := func(n any) []Stage {
		return []Stage{
			{Name: "a", Function: "echo", Input: each(t, n), Args: template(t, map[string]any{"n": "${{ item }}", "at": "${{ index }}"})},
			{Name: "b", Function: "upper", Input: Input{Kind: FromStages, From: []string{"a"}, Stream: true}},
			{Name: "c", Function: "count", Input: Input{Kind: FromStages, From: []string{"b"}, Gather: true}},
		}
	}
	full, all := fakeRunner(map[string]handler{"echo": echo, "upper": upper, "count": count})
	_, _, err := run(t, full, RunOptions{ScheduledAt: at}, stages(500)...)
	require.NoError(t, err)
	part, some := fakeRunner(map[string]handler{"echo": echo, "upper": upper, "count": count})
	out, report, err := run(t, part, RunOptions{ScheduledAt: at, Sample: 20}, stages(500)...)
	require.NoError(t, err)
	require.Equal(t, "20\n", out)
	a := stageNamed(report, "a")
	require.Equal(t, []int{20, 20, 480}, []int{a.Added, a.Done, a.LeftOut})
	for _, function := range []string{"echo", "upper"} {
		require.Len(t, some.keysOf(function), 20)
		require.Subset(t, all.keysOf(function), some.keysOf(function), "the same jobs, with the index of the whole input")
	}

	tomorrow, again := fakeRunner(map[string]handler{"echo": echo, "upper": upper, "count": count})
	_, _, err = run(t, tomorrow, RunOptions{ScheduledAt: at.AddDate(0, 0, 1), Sample: 20}, stages(500)...)
	require.NoError(t, err)
	require.ElementsMatch(t, some.submitted("echo"), again.submitted("echo"), "the same items in every run")
}

func TestSampleDoesNotDependOnTheOrder(t *testing.T) {
	t.Parallel()
	items := make([]any, 300)
	for i := range items {
		items[i] = fmt.Sprint(i % 250) // some are twice there
	}
	var first []string
	for seed := range uint64(5) {
		shuffled := slices.Clone(items)
		rand.New(rand.NewPCG(seed, 0)).Shuffle(len(shuffled), func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
		r, server := fakeRunner(map[string]handler{"f": echo})
		out, _, err := run(t, r, RunOptions{Sample: 7}, Stage{Name: "s", Function: "f", Input: each(t, shuffled)})
		require.NoError(t, err)
		got := server.submitted("f")
		slices.Sort(got)
		require.Len(t, got, 7)
		if first == nil {
			first = got
		}
		require.Equal(t, first, got)
		require.Equal(t, inOrderOf(shuffled, got), strings.Fields(out), "in the order of the input")
	}
}

// inOrderOf is some of all, in the order in which they come first there.
func inOrderOf(all []any, some []string) (ordered []string) {
	for _, v := range all {
		if s := v.(string); slices.Contains(some, s) && !slices.Contains(ordered, s) {
			ordered = append(ordered, s)
		}
	}
	return ordered
}

// What is sampled in a crawl is the same under every order of the answers, and its barrier is as exact.
func TestSampleOfACrawlUnderEveryOrder(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		s := drawSite(rt)
		limit := rapid.IntRange(1, 12).Draw(rt, "sample")
		seed := rapid.Uint64().Draw(rt, "order")
		var asked [2][]string
		for i := range asked {
			synctest.Test(t, func(t *testing.T) {
				asked[i] = sampledCrawl(t, s, limit, rand.New(rand.NewPCG(seed, uint64(i))))
			})
		}
		require.Equal(rt, asked[0], asked[1])
		require.LessOrEqual(rt, len(asked[0]), limit)
		if reached := len(s.reached()); !slices.Contains(s.broken, true) && reached <= limit {
			require.Len(rt, asked[0], reached, "a small site is crawled as a whole")
		}
	})
}

func sampledCrawl(t *testing.T, s site, limit int, order *rand.Rand) []string {
	server := &chosenServer{}
	run, err := crawlPlan(t).Start(t.Context(), &Runner{submitter: server}, RunOptions{Sample: limit})
	require.NoError(t, err)
	var asked []string
	indexes := 0
	for {
		synctest.Wait()
		task, ok := server.take(order.IntN)
		if !ok {
			break
		}
		switch payload := string(task.Payload); task.Function {
		case "fetch":
			require.NotContains(t, asked, payload)
			asked = append(asked, payload)
			task.end(s.answer(payload))
		case "index":
			require.Empty(t, server.tasks, "the barrier opened while jobs ran")
			indexes++
			task.end("done", nil)
		default:
			task.end(payload, nil)
		}
	}
	_, err = run.Wait()
	require.NoError(t, err)
	require.Equal(t, 1, indexes)
	slices.Sort(asked)
	return asked
}

func TestSampleOfACrawlKeepsToMaxItems(t *testing.T) {
	t.Parallel()
	r, server := fakeRunner(map[string]handler{"f": func(context.Context, string) (string, error) { return `[1,2,3,4,5,6,7,8,9]`, nil }})
	_, report, err := run(t, r, RunOptions{Sample: 8}, Stage{
		Name: "s", Function: "f", Input: each(t, []any{0}), Output: JSONOutput,
		Discover: &Discover{Items: template(t, "${{ result }}"), MaxItems: 5},
	})
	require.NoError(t, err)
	require.Len(t, server.submitted("f"), 5)
	require.Equal(t, 5, stageNamed(report, "s").LeftOut)
}

func TestSampleWithLists(t *testing.T) {
	t.Parallel()
	r, server := fakeRunner(map[string]handler{"list": func(context.Context, string) (string, error) { return `["x","y","z","u","v"]`, nil }, "echo": echo})
	out, report, err := run(t, r, RunOptions{Sample: 3},
		Stage{Name: "a", Function: "list", Output: JSONOutput},
		Stage{Name: "b", Function: "echo", Input: Input{Kind: FromStages, From: []string{"a"}, Stream: true, Flatten: true}},
	)
	require.NoError(t, err)
	require.Len(t, strings.Fields(out), 3)
	require.Len(t, server.submitted("echo"), 3)
	require.Equal(t, 2, stageNamed(report, "b").LeftOut)
}

// An item that makes no job is chosen by itself, and fails like another.
func TestSampleOfItemsThatFail(t *testing.T) {
	t.Parallel()
	r, _ := fakeRunner(map[string]handler{"f": echo})
	_, report, err := run(t, r, RunOptions{Sample: 4}, Stage{
		Name: "s", Function: "f", Input: each(t, 50), Args: template(t, "${{ item.name.first }}"),
	})
	require.ErrorIs(t, err, ErrTooManyFailures)
	s := stageNamed(report, "s")
	require.Equal(t, []int{4, 4, 46}, []int{s.Added, s.Failed, s.LeftOut})
}

// The end may come at any time: while the sample is chosen, while it starts, between two levels.
func TestDrainOfASampledRun(t *testing.T) {
	t.Parallel()
	for step := range 12 {
		synctest.Test(t, func(t *testing.T) {
			server := &chosenServer{}
			plan := &Plan{Name: "p", Stages: []Stage{{
				Name: "s", Function: "f", Input: each(t, 6), Output: JSONOutput, MaxParallel: 2,
				Discover: &Discover{Items: template(t, "${{ result }}")},
			}}}
			run, err := plan.Start(t.Context(), &Runner{submitter: server}, RunOptions{Sample: 9})
			require.NoError(t, err)
			for i := 0; ; i++ {
				if i == step {
					run.Drain()
				}
				synctest.Wait()
				task, ok := server.take(func(int) int { return 0 })
				if !ok {
					break
				}
				task.end("[7,8,9,10,11,12]", nil)
			}
			report, _ := run.Wait()
			s := stageNamed(report, "s")
			require.Equal(t, s.Added, s.Done+s.Dropped)
			require.Zero(t, s.Open)
		})
	}
}
