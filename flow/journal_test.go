package flow

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/geartrain/geartrain/gearman"
)

// memoryJournal is a Journal for tests.
type memoryJournal struct {
	mu      sync.Mutex
	answers map[string]Answer
	jobs    []JobRecord
	stages  []StageRecord
	hooks   map[HookID]HookRecord
	refuses error // given by Job
}

func newMemoryJournal() *memoryJournal {
	return &memoryJournal{answers: map[string]Answer{}, hooks: map[HookID]HookRecord{}}
}

func (m *memoryJournal) Answer(_ *Stage, key string) (Answer, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	a, ok := m.answers[key]
	return a, ok
}

func (m *memoryJournal) Job(_ *Stage, r *JobRecord) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.jobs = append(m.jobs, *r)
	if r.Outcome == OutcomeDone {
		m.answers[r.Key] = Answer{Result: append([]byte(nil), r.Result...), Attempt: r.Attempt, EndedAt: r.EndedAt}
	}
	return m.refuses
}

func (m *memoryJournal) Stage(r *StageRecord) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.stages = append(m.stages, *r)
	return nil
}

func (m *memoryJournal) Hook(id HookID) (HookRecord, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	r, ok := m.hooks[id]
	return r, ok
}

func (m *memoryJournal) HookDone(r *HookRecord) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.hooks[r.ID] = *r
	return nil
}

func (m *memoryJournal) Flush() error { return nil }

// outcomes counts the records of a stage by outcome.
func (m *memoryJournal) outcomes(stage string) map[Outcome]int {
	m.mu.Lock()
	defer m.mu.Unlock()
	counts := map[Outcome]int{}
	for _, r := range m.jobs {
		if r.Stage == stage {
			counts[r.Outcome]++
		}
	}
	return counts
}

// journalled is two stages, one after the other, and what is told at the end.
func journalled(t *testing.T) *Plan {
	t.Helper()
	told := []Hook{{Function: "told"}}
	return &Plan{
		Name:   "p",
		Params: []Param{{Name: "n", Type: Integer, Default: 5}},
		Stages: []Stage{
			{Name: "a", Function: "a", Input: Input{Kind: FromValue, Each: template(t, "${{ params.n }}")}, AllowFailures: Budget{All: true}},
			{Name: "b", Function: "b", Needs: []string{"a"}, Input: Input{Kind: FromStages, From: []string{"a"}}},
		},
		Hooks: Hooks{Success: told, Failure: told, Exit: told},
	}
}

// journalRun runs the plan on a journal; the handlers of a and b, and how often each function ran.
func journalRun(t *testing.T, journal Journal, o RunOptions, fails map[string]bool) (report *Report, runs map[string]int, err error) {
	t.Helper()
	runs = map[string]int{}
	var mu sync.Mutex
	do := func(function string) handler {
		return func(_ context.Context, p string) (string, error) {
			mu.Lock()
			defer mu.Unlock()
			runs[function]++
			if fails[function+p] {
				return "", errors.New("no")
			}
			return function + p, nil
		}
	}
	runner, _ := fakeRunner(map[string]handler{"a": do("a"), "b": do("b"), "told": do("told")})
	o.Journal = journal
	o.ID = "r1.x"
	report, err = journalled(t).Run(t.Context(), runner, o)
	return report, runs, err
}

func TestRunStartedAgainTakesWhatTheJournalHas(t *testing.T) {
	t.Parallel()
	journal := newMemoryJournal()
	_, runs, err := journalRun(t, journal, RunOptions{}, nil)
	require.NoError(t, err)
	require.Equal(t, map[string]int{"a": 5, "b": 5, "told": 2}, runs)

	report, runs, err := journalRun(t, journal, RunOptions{Attempt: 2}, nil)
	require.NoError(t, err)
	require.Empty(t, runs, "all was answered, and the end has been told")
	require.Equal(t, Success, report.Status)
	require.Equal(t, 5, stageNamed(report, "b").Answered)
	require.Equal(t, 5, stageNamed(report, "b").Done)
	require.Len(t, report.Hooks, 2)
	require.Equal(t, map[Outcome]int{OutcomeDone: 5, OutcomeAnswered: 5}, journal.outcomes("a"))

	_, runs, err = journalRun(t, journal, RunOptions{Attempt: 3, Force: []string{"b"}}, nil)
	require.NoError(t, err)
	require.Equal(t, map[string]int{"b": 5, "told": 2}, runs, "what is forced runs, and its end is news")
}

func TestFailureIsNoAnswer(t *testing.T) {
	t.Parallel()
	journal := newMemoryJournal()
	_, runs, err := journalRun(t, journal, RunOptions{}, map[string]bool{"a3": true, "ba1": true})
	require.Error(t, err)
	require.Equal(t, map[string]int{"a": 5, "b": 4, "told": 2}, runs)
	require.Equal(t, map[Outcome]int{OutcomeDone: 4, OutcomeFailed: 1}, journal.outcomes("a"))

	// The same attempt, carried on after its end was told: what failed runs again, the hooks do not.
	_, runs, err = journalRun(t, journal, RunOptions{Attempt: 1}, map[string]bool{"a3": true, "ba1": true})
	require.Error(t, err)
	require.Equal(t, map[string]int{"a": 1, "b": 1}, runs)

	_, runs, err = journalRun(t, journal, RunOptions{Attempt: 2}, nil)
	require.NoError(t, err)
	require.Equal(t, map[string]int{"a": 1, "b": 2, "told": 2}, runs, "only what was missing")
}

func TestJournalThatRefusesEndsTheRun(t *testing.T) {
	t.Parallel()
	journal := newMemoryJournal()
	journal.refuses = errors.New("another runner has it")
	report, runs, err := journalRun(t, journal, RunOptions{}, nil)
	require.ErrorContains(t, err, "another runner has it")
	require.Equal(t, Failure, stageNamed(report, "a").Status)
	require.Zero(t, runs["b"])
}

func TestCancelledStageBlocksWhatNeedsIt(t *testing.T) {
	t.Parallel()
	begun := make(chan struct{}, 10)
	runner, _ := fakeRunner(map[string]handler{"a": func(ctx context.Context, _ string) (string, error) {
		begun <- struct{}{}
		<-ctx.Done()
		return "", context.Cause(ctx)
	}, "told": func(context.Context, string) (string, error) { return "", nil }})
	run, err := journalled(t).Start(t.Context(), runner, RunOptions{})
	require.NoError(t, err)
	<-begun
	_, err = run.CancelStage("c")
	require.ErrorContains(t, err, `no stage "c"`)
	jobs, err := run.CancelStage("a")
	require.NoError(t, err)
	require.Positive(t, jobs)
	report, err := run.Wait()
	require.Error(t, err)
	require.Equal(t, Cancelled, report.Status)
	require.Equal(t, Cancelled, stageNamed(report, "a").Status)
	require.Equal(t, Blocked, stageNamed(report, "b").Status)
}

// A server that had a result before the job was submitted has answered it. One that is younger is the job's
// own, though it came late.
func TestKeptResultsCountAsAnswered(t *testing.T) {
	t.Parallel()
	for age, want := range map[time.Duration]int{0: 0, time.Nanosecond: 0, time.Minute - 1: 0, time.Minute: 1, time.Hour: 1} {
		synctest.Test(t, func(t *testing.T) {
			plan := &Plan{Name: "p", Stages: []Stage{{Name: "a", Function: "a"}}}
			runner := &Runner{submitter: keptResults(age)}
			report, err := plan.Run(t.Context(), runner, RunOptions{})
			require.NoError(t, err)
			require.Equal(t, 1, report.Stages[0].Done)
			require.Equal(t, want, report.Stages[0].Answered, "%s old", age)
		})
	}
}

// keptResults is a submitter that has kept every result for so long, and answers after a minute.
type keptResults time.Duration

func (k keptResults) open(context.Context, int) taskSet { return k }

func (k keptResults) add(t gearman.Task) {
	time.Sleep(time.Minute)
	t.OnComplete(gearman.Result{Payload: []byte("x"), Attempt: 1, Age: time.Duration(k)})
}

func (keptResults) wait() {}
