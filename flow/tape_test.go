package flow

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// tape keeps what became of jobs by stage and arguments.
type tape struct {
	mu     sync.Mutex // guards what follows
	ends   map[string]JobRecord
	missed []string
}

func (t *tape) id(r *JobRecord) string { return r.Stage + " " + string(r.Arguments.Raw) }

func (t *tape) Play(_ *Stage, r *JobRecord) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	end, ok := t.ends[t.id(r)]
	if !ok {
		t.missed = append(t.missed, t.id(r))
	}
	r.Outcome, r.Result, r.Reason, r.Message = end.Outcome, end.Result, end.Reason, end.Message
	return ok
}

func (t *tape) Record(_ *Stage, r *JobRecord) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.ends[t.id(r)] = *r
	return nil
}

// TestTapePlaysWhatItRecorded records crawls of random sites and plays them: the output is the same and no
// job is missing, although the second run has nobody to do them.
func TestTapePlaysWhatItRecorded(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		s := drawSite(rt)
		r, server := fakeRunner(map[string]handler{
			"fetch": func(_ context.Context, p string) (string, error) { return s.answer(p) },
			"parse": upper,
			"index": echo,
		})
		recorded := &tape{ends: map[string]JobRecord{}}
		r.Tape = recorded
		want, first, err := run(t, r, RunOptions{}, crawlPlan(t).Stages...)
		require.NoError(rt, err)
		require.Len(rt, recorded.ends, len(server.tasks))
		recorded.missed = nil

		got, second, err := run(t, &Runner{Tape: recorded}, RunOptions{}, crawlPlan(t).Stages...)
		require.NoError(rt, err)
		require.Empty(rt, recorded.missed)
		require.Equal(rt, want, got)
		require.Equal(rt, first.Status, second.Status)
		for i := range first.Stages {
			require.Equal(rt, first.Stages[i].Done, second.Stages[i].Done)
			require.Equal(rt, first.Stages[i].Failed, second.Stages[i].Failed)
		}
	})
}

// A job that was cut off because another one was enough is on the tape too.
func TestTapeOfAStageThatIsCut(t *testing.T) {
	t.Parallel()
	r, _ := fakeRunner(map[string]handler{"f": func(ctx context.Context, p string) (string, error) {
		if p == "3" {
			return "won", nil
		}
		<-ctx.Done()
		return "", ctx.Err()
	}})
	recorded := &tape{ends: map[string]JobRecord{}}
	r.Tape = recorded
	race := Stage{Name: "race", Function: "f", Input: each(t, 10), Wait: Wait{Count: 1}}
	_, _, err := run(t, r, RunOptions{}, race)
	require.NoError(t, err)
	recorded.missed = nil
	out, report, err := run(t, &Runner{Tape: recorded}, RunOptions{}, race)
	require.NoError(t, err)
	require.Empty(t, recorded.missed)
	require.Equal(t, "won\n", out)
	require.Equal(t, Success, report.Status)
}

func TestTapeIsWithoutHooksAndRates(t *testing.T) {
	t.Parallel()
	recorded := &tape{ends: map[string]JobRecord{}}
	for i := range 100 {
		recorded.ends[fmt.Sprint("s ", i)] = JobRecord{Outcome: OutcomeDone, Result: []byte("x")}
	}
	_, report, err := run(t, &Runner{Tape: recorded}, RunOptions{}, Stage{
		Name: "s", Function: "f", Input: each(t, 100), Rate: &Rate{Limit: 1, Every: 1 << 40},
		Hooks: Hooks{Exit: []Hook{{Function: "nobody"}}},
	})
	require.NoError(t, err)
	require.Empty(t, stageNamed(report, "s").Hooks)
	_, _, err = run(t, &Runner{Tape: recorded}, RunOptions{}, Stage{Name: "s", Function: "f", Input: each(t, 101)})
	require.Error(t, err, "what is not on the tape is asked of servers, and there are none")
}

func TestTapeThatCannotRecordEndsTheRun(t *testing.T) {
	t.Parallel()
	r, _ := fakeRunner(map[string]handler{"f": echo})
	r.Tape = fullTape{}
	_, _, err := run(t, r, RunOptions{}, Stage{Name: "s", Function: "f", Input: each(t, 3)})
	require.ErrorContains(t, err, "the disk is full")
}

type fullTape struct{}

func (fullTape) Play(*Stage, *JobRecord) bool    { return false }
func (fullTape) Record(*Stage, *JobRecord) error { return errors.New("the disk is full") }
