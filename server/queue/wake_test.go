package queue

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestSleepWithWorkQueued(t *testing.T) {
	t.Parallel()
	tb := newTable(t, Config{})
	tb.quiet(canDo(2, "f"), submit(1, "f", "", ""))
	tb.do(&PreSleep{Peer: 2}, "2 NOOP")
	tb.do(submit(1, "f", "", ""), "1 JOB_CREATED H:2") // one NOOP per sleep
	tb.do(&PreSleep{Peer: 2}, "2 NOOP")
}

func TestWakesOneInTurn(t *testing.T) {
	t.Parallel()
	tb := newTable(t, Config{})
	for worker := Peer(2); worker <= 4; worker++ {
		tb.quiet(canDo(worker, "f"), &PreSleep{Peer: worker})
	}
	for _, want := range []string{"2 NOOP", "3 NOOP", "4 NOOP"} {
		out := render(tb.state.Apply(tb.now, submit(1, "f", "", ""), nil))
		require.Equal(t, want, out[1])
	}
	tb.quiet(&Grab{Peer: 3}, &Grab{Peer: 2}, &Grab{Peer: 4}, &PreSleep{Peer: 4}, &PreSleep{Peer: 2})
	tb.do(submit(1, "f", "", ""), "1 JOB_CREATED H:4", "4 NOOP")
}

func TestWakesAsManyAsConfigured(t *testing.T) {
	t.Parallel()
	tb := newTable(t, Config{WakeUp: 2})
	for worker := Peer(2); worker <= 4; worker++ {
		tb.quiet(canDo(worker, "f"), &PreSleep{Peer: worker})
	}
	tb.do(submit(1, "f", "", ""), "1 JOB_CREATED H:1", "2 NOOP", "3 NOOP")
	tb.do(submit(1, "f", "", ""), "1 JOB_CREATED H:2", "4 NOOP")
}

// A worker that was woken for a job and does something else passes the wake-up on.
func TestWakeupIsNotLost(t *testing.T) {
	t.Parallel()
	for name, instead := range map[string]Event{
		"leaves":     &Leave{Peer: 2},
		"cannot":     &CantDo{Peer: 2, Function: []byte("f")},
		"resets":     &ResetAbilities{Peer: 2},
		"takes high": &Grab{Peer: 2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tb := newTable(t, Config{})
			tb.quiet(canDo(2, "f"), canDo(2, "g"), canDo(3, "f"), &PreSleep{Peer: 2}, &PreSleep{Peer: 3})
			tb.do(submit(1, "f", "", ""), "1 JOB_CREATED H:1", "2 NOOP")
			tb.do(submit(1, "g", "", "").at(High), "1 JOB_CREATED H:2")
			out := render(tb.state.Apply(tb.now, instead, nil))
			require.Contains(t, out, "3 NOOP")
			require.NoError(t, tb.state.Check())
		})
	}
}

// A worker that was woken and is stopped, or busy for another server, does not keep a job from those that
// sleep.
func TestWokenWorkerThatDoesNotGrab(t *testing.T) {
	t.Parallel()
	tb := newTable(t, Config{})
	for worker := Peer(2); worker <= 4; worker++ {
		tb.quiet(canDo(worker, "f"), &PreSleep{Peer: worker})
	}
	tb.do(submit(1, "f", "", ""), "1 JOB_CREATED H:1", "2 NOOP")
	tb.pass(patience - 1)
	tb.pass(1, "3 NOOP")
	tb.pass(patience, "4 NOOP")
	tb.pass(patience)
	tb.do(&Grab{Peer: 2}, "2 JOB_ASSIGN H:1|f|") // it was only slow
	tb.do(&Grab{Peer: 3}, "3 NO_JOB")
	_, more := tb.state.NextDeadline()
	require.False(t, more)
}

// Nobody else is woken once the job is taken.
func TestWokenWorkerThatIsSlow(t *testing.T) {
	t.Parallel()
	tb := newTable(t, Config{})
	tb.quiet(canDo(2, "f"), &PreSleep{Peer: 2}, canDo(3, "f"), &PreSleep{Peer: 3}, canDo(4, "f"))
	tb.do(submit(1, "f", "", ""), "1 JOB_CREATED H:1", "2 NOOP")
	tb.do(&Grab{Peer: 4}, "4 JOB_ASSIGN H:1|f|")
	tb.pass(patience)
	tb.do(submit(1, "f", "", ""), "1 JOB_CREATED H:2", "3 NOOP")
}

func TestCanDoWhileAsleep(t *testing.T) {
	t.Parallel()
	tb := newTable(t, Config{})
	tb.quiet(submit(1, "f", "", "").at(Low), &PreSleep{Peer: 2})
	tb.do(canDo(2, "f"), "2 NOOP")
	tb.do(&Grab{Peer: 2}, "2 JOB_ASSIGN H:1|f|")
}

// The timed-out worker sleeps, but the job is not for it: no NOOP that would be in vain.
func TestBarredSleeperIsNotWoken(t *testing.T) {
	t.Parallel()
	tb := newTable(t, Config{})
	tb.quiet(canDoWithin(2, "f", time.Second), submit(1, "f", "", ""), &Grab{Peer: 2})
	tb.do(&PreSleep{Peer: 2})
	tb.pass(time.Second)
	tb.do(&PreSleep{Peer: 2})
	tb.quiet(canDo(3, "f"))
	tb.do(&PreSleep{Peer: 3}, "3 NOOP")
}

// A worker that is about to grab gets the job, and nobody is woken for it.
func TestComingWorkerSparesANoop(t *testing.T) {
	t.Parallel()
	tb := newTable(t, Config{})
	tb.quiet(canDo(2, "f"), canDo(3, "f"), canDo(4, "g"), &PreSleep{Peer: 2})
	tb.do(&Grab{Peer: 4, Later: true})
	tb.do(&Grab{Peer: 3, Later: true})
	require.True(t, tb.state.Coming(3))
	tb.do(submit(1, "f", "", ""), "1 JOB_CREATED H:1")
	tb.do(submit(1, "f", "", ""), "1 JOB_CREATED H:2", "2 NOOP") // it takes one job
	tb.do(&Grab{Peer: 3}, "3 JOB_ASSIGN H:1|f|")
	require.False(t, tb.state.Coming(3))
	tb.do(&Grab{Peer: 4}, "4 NO_JOB")
	tb.do(&Grab{Peer: 2, Later: true}, "2 JOB_ASSIGN H:2|f|")
	require.False(t, tb.state.Coming(2))
}

// One that was coming and does not come passes the job on.
func TestComingWorkerThatDoesNotCome(t *testing.T) {
	t.Parallel()
	for name, instead := range map[string]Event{
		"leaves": &Leave{Peer: 3}, "cannot": &CantDo{Peer: 3, Function: []byte("f")}, "resets": &ResetAbilities{Peer: 3},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tb := newTable(t, Config{})
			tb.quiet(canDo(2, "f"), canDo(3, "f"), &PreSleep{Peer: 2}, &Grab{Peer: 3, Later: true})
			tb.do(submit(1, "f", "", ""), "1 JOB_CREATED H:1")
			tb.do(instead, "2 NOOP")
			require.NoError(t, tb.state.Check())
		})
	}
}
