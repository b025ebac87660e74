package flow

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/geartrain/geartrain/flow/value"
	"github.com/geartrain/geartrain/gearman"
)

// chosenServer is a submitter whose tasks end when, and in the order in which, a test says.
type chosenServer struct {
	mu    sync.Mutex // guards open
	tasks []chosenTask
}

type chosenTask struct {
	gearman.Task
	set *chosenSet
}

type chosenSet struct {
	server   *chosenServer
	places   chan struct{}
	undone   sync.WaitGroup
	callback sync.Mutex
}

func (c *chosenServer) open(_ context.Context, limit int) taskSet {
	return &chosenSet{server: c, places: make(chan struct{}, limit)}
}

func (s *chosenSet) add(t gearman.Task) {
	s.places <- struct{}{}
	s.undone.Add(1)
	s.server.mu.Lock()
	defer s.server.mu.Unlock()
	s.server.tasks = append(s.server.tasks, chosenTask{t, s})
}

func (s *chosenSet) wait() { s.undone.Wait() }

// take gives a task that is running, chosen by pick, or false.
func (c *chosenServer) take(pick func(n int) int) (chosenTask, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.tasks) == 0 {
		return chosenTask{}, false
	}
	i := pick(len(c.tasks))
	t := c.tasks[i]
	c.tasks = slices.Delete(c.tasks, i, i+1)
	return t, true
}

func (t chosenTask) end(result string, err error) {
	<-t.set.places
	t.set.callback.Lock()
	defer t.set.callback.Unlock()
	defer t.set.undone.Done()
	if err != nil {
		t.OnFail(err)
		return
	}
	t.OnComplete(gearman.Result{Payload: []byte(result), Attempt: 1})
}

// site is a random graph of pages, of which some cannot be had.
type site struct {
	links  [][]int
	broken []bool
}

func drawSite(t *rapid.T) site {
	n := rapid.IntRange(1, 40).Draw(t, "pages")
	s := site{links: make([][]int, n), broken: make([]bool, n)}
	for i := range n {
		s.links[i] = rapid.SliceOfN(rapid.IntRange(0, n-1), 0, 5).Draw(t, "links")
		s.broken[i] = rapid.IntRange(0, 9).Draw(t, "broken") == 0
	}
	return s
}

// reached is the pages that a crawl from page 0 must ask for, by a walk that knows the whole graph.
func (s site) reached() map[int]bool {
	seen, todo := map[int]bool{0: true}, []int{0}
	for len(todo) > 0 {
		page := todo[0]
		todo = todo[1:]
		if s.broken[page] {
			continue
		}
		for _, link := range s.links[page] {
			if !seen[link] {
				seen[link], todo = true, append(todo, link)
			}
		}
	}
	return seen
}

func (s site) answer(payload string) (string, error) {
	page, err := strconv.Atoi(payload)
	if err == nil && s.broken[page] {
		err = fmt.Errorf("404")
	}
	if err != nil {
		return "", err
	}
	text, err := value.EncodeJSON(map[string]any{"page": page, "links": s.links[page]})
	return string(text), err
}

// crawlPlan is a crawl, a stage that streams from it, and one behind the barrier of both.
func crawlPlan(t testing.TB) *Plan {
	return &Plan{Name: "crawl", Stages: []Stage{
		{
			Name: "fetch", Function: "fetch", Input: each(t, []any{0}), MaxParallel: 4, Output: JSONOutput,
			AllowFailures: Budget{All: true}, Discover: &Discover{Items: template(t, "${{ result.links }}")},
		},
		{
			Name: "parse", Function: "parse", MaxParallel: 3,
			Input: Input{Kind: FromStages, From: []string{"fetch"}, Stream: true}, Args: template(t, "${{ item.page }}"),
		},
		{
			Name: "index", Function: "index", Needs: []string{"fetch", "parse"},
			Args: template(t, map[string]any{"pages": "${{ stages.parse.results }}", "failed": "${{ len(stages.fetch.failures) }}"}),
		},
	}}
}

// TestCrawlUnderEveryOrder lets the jobs of a crawl end in random orders, with pages that fail, and
// compares what ran with a walk of the graph.
func TestCrawlUnderEveryOrder(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		s := drawSite(rt)
		seed := rapid.Uint64().Draw(rt, "order")
		synctest.Test(t, func(t *testing.T) { crawlInRandomOrder(t, s, rand.New(rand.NewPCG(seed, 0))) })
	})
}

func crawlInRandomOrder(t *testing.T, s site, order *rand.Rand) {
	server := &chosenServer{}
	run, err := crawlPlan(t).Start(t.Context(), &Runner{submitter: server}, RunOptions{})
	require.NoError(t, err)
	asked, parsed, index := map[string]int{}, map[string]int{}, ""
	for {
		synctest.Wait()
		task, ok := server.take(order.IntN)
		if !ok {
			break
		}
		payload := string(task.Payload)
		switch task.Function {
		case "fetch":
			asked[payload]++
			task.end(s.answer(payload))
		case "parse":
			parsed[payload]++
			task.end(payload, nil)
		case "index":
			require.Empty(t, server.tasks, "the barrier opened while jobs ran")
			require.Empty(t, index, "the barrier opened twice")
			index = payload
			task.end("done", nil)
		}
	}
	report, err := run.Wait()
	require.NoError(t, err)
	want, good := s.reached(), 0
	require.Len(t, asked, len(want))
	for page := range want {
		require.Equal(t, 1, asked[fmt.Sprint(page)], "page %d", page)
		if !s.broken[page] {
			require.Equal(t, 1, parsed[fmt.Sprint(page)], "page %d", page)
			good++
		}
	}
	require.Len(t, parsed, good)
	require.Equal(t, good, stageNamed(report, "parse").Done)
	require.Contains(t, index, fmt.Sprintf(`"failed":%d`, len(want)-good))
}

func TestDiscoverHasALimit(t *testing.T) {
	t.Parallel()
	r, server := fakeRunner(map[string]handler{"f": func(_ context.Context, p string) (string, error) {
		n, err := strconv.Atoi(p)
		return fmt.Sprintf(`[%d,%d]`, 2*n+1, 2*n+2), err
	}})
	_, report, err := run(t, r, RunOptions{}, Stage{
		Name: "s", Function: "f", Input: each(t, []any{0}), Output: JSONOutput,
		Discover: &Discover{Items: template(t, "${{ result }}"), MaxItems: 100},
	})
	require.NoError(t, err)
	require.Len(t, server.submitted("f"), 100)
	s := stageNamed(report, "s")
	require.Equal(t, 100, s.Done)
	require.Positive(t, s.Refused)
}

func TestDiscoverWithMembersAndCondition(t *testing.T) {
	t.Parallel()
	r, server := fakeRunner(map[string]handler{"f": func(_ context.Context, p string) (string, error) {
		return `{"links":[{"url":"b"},{"url":"c"}]}`, nil
	}})
	_, _, err := run(t, r, RunOptions{}, Stage{
		Name: "s", Function: "f", Output: JSONOutput,
		Input: each(t, []any{map[string]any{"url": "a", "depth": 0}}),
		Key:   template(t, "${{ item.url }}"),
		Discover: &Discover{
			Items: template(t, "${{ result.links }}"), If: template(t, "${{ item.depth < 2 }}"),
			With: map[string]any{"depth": template(t, "${{ item.depth + 1 }}"), "via": "link"},
		},
	})
	require.NoError(t, err)
	got := server.submitted("f")
	slices.Sort(got)
	require.Equal(t, []string{
		`{"depth":0,"url":"a"}`, `{"depth":1,"url":"b","via":"link"}`, `{"depth":1,"url":"c","via":"link"}`,
	}, got)
}

func TestDiscoverThatGivesNoListFailsTheJob(t *testing.T) {
	t.Parallel()
	r, _ := fakeRunner(map[string]handler{"f": func(context.Context, string) (string, error) { return `{"links":"x"}`, nil }})
	_, report, err := run(t, r, RunOptions{}, Stage{
		Name: "s", Function: "f", Output: JSONOutput, Input: each(t, 1),
		Discover: &Discover{Items: template(t, "${{ result.links }}")},
	})
	require.ErrorIs(t, err, ErrTooManyFailures)
	require.Contains(t, stageNamed(report, "s").Failures[0].Message, "discover: items: want a list, not text")
}

func TestDrainOfACrawlDropsWhatIsQueued(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		server := &chosenServer{}
		plan := &Plan{Name: "p", Stages: []Stage{{
			Name: "s", Function: "f", Input: each(t, []any{0}), Output: JSONOutput, MaxParallel: 2,
			Discover: &Discover{Items: template(t, "${{ result }}")},
		}}}
		run, err := plan.Start(t.Context(), &Runner{submitter: server}, RunOptions{})
		require.NoError(t, err)
		synctest.Wait()
		first, _ := server.take(func(int) int { return 0 })
		first.end("["+strings.Repeat("1,2,3,", 3)+"4,5,6]", nil)
		synctest.Wait()
		run.Drain()
		synctest.Wait()
		ended := 1
		for {
			synctest.Wait()
			task, ok := server.take(func(int) int { return 0 })
			if !ok {
				break
			}
			task.end("[7,8]", nil)
			ended++
		}
		report, err := run.Wait()
		require.ErrorIs(t, err, ErrDrained)
		s := stageNamed(report, "s")
		require.Equal(t, ended, s.Done)
		require.Equal(t, 3, ended, "the first one, and the two that ran")
		require.Equal(t, s.Added-ended, s.Dropped)
	})
}
