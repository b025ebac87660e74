package queue

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/geartrain/geartrain/gearman/protocol"
)

func retrying(attempts int) Config {
	return Config{Policies: []Policy{{Pattern: "f", Retry: Retry{Attempts: attempts, Delay: time.Second}}}}
}

func TestRetriesOfTheServer(t *testing.T) {
	t.Parallel()
	tb := newTable(t, retrying(4))
	tb.quiet(option(3, protocol.OptionExceptions), canDoWithin(2, "f", 10*time.Second))
	tb.quiet(submit(1, "f", "k", "x").bg(), submit(1, "f", "k", "x"))
	tb.do(&Grab{Peer: 2}, "2 JOB_ASSIGN H:1|f|x")
	tb.do(report(2, Fail, "H:1", ""))
	tb.do(&Grab{Peer: 2}, "2 NO_JOB")
	tb.do(&PreSleep{Peer: 2})
	tb.do(submit(3, "f", "k", "x").at(High), "3 JOB_CREATED H:1")
	tb.do(&FindJob{Peer: 3, Function: []byte("f"), Key: []byte("k")}, "3 FIND_RES f|k|scheduled|0")
	for j := range tb.state.Scheduled() {
		require.True(t, j.Retrying)
		require.Equal(t, tb.now.Add(time.Second).UnixNano(), j.RunAt.UnixNano())
	}
	next, _ := tb.state.NextDeadline()
	require.Equal(t, time.Second, next.Sub(tb.now))
	tb.pass(999 * time.Millisecond)
	tb.pass(time.Millisecond, "2 NOOP")
	tb.do(&Grab{Peer: 2}, "2 JOB_ASSIGN H:1|f|x")
	tb.do(report(2, Exception, "H:1", "no luck"))
	tb.do(report(2, Fail, "H:1", ""))
	tb.pass(2 * time.Second)
	tb.do(&Grab{Peer: 2}, "2 JOB_ASSIGN H:1|f|x")
	tb.pass(10 * time.Second)
	tb.pass(4 * time.Second)
	tb.quiet(canDo(4, "f"))
	tb.do(&Grab{Peer: 4}, "4 JOB_ASSIGN H:1|f|x")
	tb.do(report(4, Exception, "H:1", "bang"), "1 WORK_FAIL H:1", "3 WORK_EXCEPTION H:1|bang")
	dead, ok := tb.state.DeadLetter("H:1")
	require.True(t, ok)
	var history []string
	for _, l := range dead.History {
		history = append(history, l.Reason+" "+l.Detail)
	}
	require.Equal(t, []string{"failed ", "exception no luck", "timeout ", "exception bang"}, history)
	c := tb.state.Counters()
	require.Equal(t, Tried{Retries: 3, Failures: 2}, c.Tried)
	require.Equal(t, []uint64{1, 1, 1, 0}, []uint64{c.Exhausted, c.DeadLetters, c.Exceptions, c.Failed})
	tb.do(&FindJob{Peer: 3, Function: []byte("f"), Key: []byte("k")}, "3 FIND_RES f|k|dead|0")
}

// Whose client has not asked and whose function has no rule fails as it always has.
func TestForegroundJobsFailAtOnce(t *testing.T) {
	t.Parallel()
	tb := newTable(t, retrying(4))
	tb.quiet(canDo(2, "f"), canDo(2, "g"), submit(1, "f", "", ""), submit(1, "g", "", "").bg(), submit(1, "f", "", "").with(protocol.TaskOptions{Attempts: 2}))
	tb.quiet(&Grab{Peer: 2}, &Grab{Peer: 2}, &Grab{Peer: 2})
	tb.do(report(2, Fail, "H:1", ""), "1 WORK_FAIL H:1")
	tb.do(report(2, Fail, "H:2", ""))
	require.Equal(t, 1, tb.state.jobs.n)
	tb.do(report(2, Fail, "H:3", ""))
	tb.do(&Grab{Peer: 2}, "2 JOB_ASSIGN H:3|f|")
	tb.do(report(2, Fail, "H:3", ""), "1 WORK_FAIL H:3")
	require.Zero(t, tb.state.Levels().DeadLetters, "a foreground job's client knows of its end")
}

func TestRetryOfALostWorker(t *testing.T) {
	t.Parallel()
	tb := newTable(t, Config{JobRetries: 1})
	tb.quiet(canDo(2, "f"), submit(1, "f", "", "").with(protocol.TaskOptions{Attempts: 3, Delay: time.Second}), submit(1, "f", "", ""), &Grab{Peer: 2}, &Grab{Peer: 2})
	tb.do(&Leave{Peer: 2}, "1 WORK_FAIL H:2")
	require.Equal(t, 1, tb.state.Levels().Scheduled)
	tb.do(&Leave{Peer: 1})
	require.Zero(t, tb.state.jobs.n, "nobody waits for it any more")
}

func TestDelays(t *testing.T) {
	t.Parallel()
	s := New(Config{Seed: 7})
	second := Retry{Attempts: 9, Delay: time.Second}
	for i, want := range []time.Duration{1, 1, 2, 4, 8, 16, 32, 60, 60} {
		require.Equal(t, want*time.Second, s.delay(second, i))
	}
	require.Equal(t, time.Minute, s.delay(second, 1_000_000))
	require.Zero(t, s.delay(Retry{}, 5))
	even := Retry{Delay: time.Hour, Backoff: 1, MaxDelay: 2 * time.Hour, Jitter: 0.5}
	var all []time.Duration
	for range 100 {
		d := s.delay(even, 3)
		require.InDelta(t, time.Hour, d, float64(30*time.Minute))
		all = append(all, d)
	}
	slices.Sort(all)
	require.Greater(t, all[99]-all[0], 30*time.Minute)
	require.LessOrEqual(t, s.delay(Retry{Delay: time.Hour, MaxDelay: time.Hour, Jitter: 1}, 1), time.Hour)
}

func TestRetriesAreCountedOverRestarts(t *testing.T) {
	t.Parallel()
	d := newDurable(t, retrying(3))
	d.quiet(canDo(2, "f"), submit(1, "f", "k", strings.Repeat("x", 300)).bg().with(protocol.TaskOptions{Run: "nightly", Stage: "s"}))
	d.stored()
	d.quiet(&Grab{Peer: 2})
	d.do(report(2, Fail, "H:1", ""), "2 waits after 2")
	d.stored()
	before := jobsOf(d.state)
	d.now = d.now.Add(-24 * time.Hour) // somebody sets the clock
	d.restart()
	require.Len(t, before, 1)
	require.Equal(t, 1, d.state.Levels().Scheduled)
	j, _ := d.state.Job("H:1")
	require.Equal(t, []any{1, "nightly", "s", true}, []any{j.Attempts, j.Run, j.Stage, j.Retrying})
	d.quiet(canDo(2, "f"))
	d.pass(time.Minute)
	d.do(&Grab{Peer: 2}, "2 JOB_ASSIGN H:1|f + body 1")
	d.do(&Leave{Peer: 2})
	d.stored()
	d.restart()
	d.quiet(canDo(2, "f"))
	d.pass(time.Minute)
	d.do(&Grab{Peer: 2}, "2 JOB_ASSIGN H:1|f + body 1")
	d.do(report(2, Fail, "H:1", ""), "2 waits after 1")
	d.stored()
	d.restart()
	dead, ok := d.state.DeadLetter("H:1")
	require.True(t, ok)
	require.Len(t, dead.History, 3)
	require.Equal(t, 300, dead.Size)
	d.do(&RetryDead{Handle: []byte("H:1"), Payload: []byte(strings.Repeat("x", 300))})
	d.stored()
	d.stored()
	j, _ = d.state.Job("H:2")
	require.Equal(t, []any{0, "nightly"}, []any{j.Attempts, j.Run})
	require.Len(t, d.disk.records, 1)
}

func TestTimeoutOfTheTask(t *testing.T) {
	t.Parallel()
	tb := newTable(t, Config{})
	tb.quiet(canDoWithin(2, "f", time.Hour), option(2, protocol.OptionCancel))
	tb.quiet(submit(1, "f", "", "").with(protocol.TaskOptions{Timeout: time.Second, Attempts: 1}), &Grab{Peer: 2})
	tb.pass(time.Second, "2 JOB_CANCEL H:1|timeout", "1 WORK_FAIL H:1")
}

// By policy the late result of any worker is taken, also of one that knows nothing of options.
func TestLateResultIsTakenByPolicy(t *testing.T) {
	t.Parallel()
	for late, taken := range map[Late]uint64{LateUnsaid: 0, LateDropped: 0, LateTaken: 1} {
		tb := newTable(t, Config{Policies: []Policy{{Pattern: "f", Late: late}}})
		tb.quiet(canDoWithin(2, "f", time.Second), submit(1, "f", "k", "x"))
		tb.do(&Grab{Peer: 2}, "2 JOB_ASSIGN H:1|f|x")
		tb.pass(time.Second)
		if taken == 1 {
			tb.do(report(2, Complete, "H:1", "late"), "1 WORK_COMPLETE H:1|late")
		} else {
			tb.do(report(2, Complete, "H:1", "late"))
		}
		require.Equal(t, taken, tb.state.Counters().Tried.LateTaken)
	}
}

func TestLateResultIsTaken(t *testing.T) {
	t.Parallel()
	late := protocol.TaskOptions{Timeout: time.Second, AcceptLate: true}
	start := func(t *testing.T, o protocol.TaskOptions) *table {
		tb := newTable(t, Config{})
		tb.quiet(canDo(2, "f"), canDo(3, "f"), option(3, protocol.OptionCancel), submit(1, "f", "k", "x").with(o), &Grab{Peer: 2})
		tb.pass(time.Second)
		return tb
	}
	t.Run("queued", func(t *testing.T) {
		t.Parallel()
		tb := start(t, late)
		tb.do(report(2, Complete, "H:1", "r"), "1 WORK_COMPLETE H:1|r")
		tb.do(report(2, Complete, "H:1", "r"))
		tb.do(&Grab{Peer: 3}, "3 NO_JOB")
		require.EqualValues(t, 1, tb.state.Counters().Tried.LateTaken)
	})
	t.Run("waiting for another attempt", func(t *testing.T) {
		t.Parallel()
		more := late
		more.Attempts, more.Delay = 3, time.Minute
		tb := start(t, more)
		tb.do(report(2, Complete, "H:1", "r"), "1 WORK_COMPLETE H:1|r")
		require.Zero(t, tb.state.jobs.n)
	})
	t.Run("running elsewhere", func(t *testing.T) {
		t.Parallel()
		tb := start(t, late)
		tb.do(&Grab{Peer: 3}, "3 JOB_ASSIGN H:1|f|x")
		tb.do(report(2, Complete, "H:1", "r"), "3 JOB_CANCEL H:1|cancelled", "1 WORK_COMPLETE H:1|r")
		tb.do(report(3, Complete, "H:1", "second"))
	})
	t.Run("a failure is not", func(t *testing.T) {
		t.Parallel()
		tb := start(t, late)
		tb.do(report(2, Fail, "H:1", ""))
		tb.do(report(2, Complete, "H:1", "r"))
		require.Equal(t, 1, tb.state.Levels().Queued)
	})
	t.Run("nobody asked", func(t *testing.T) {
		t.Parallel()
		tb := start(t, protocol.TaskOptions{Timeout: time.Second})
		tb.do(report(2, Complete, "H:1", "r"))
		require.Equal(t, 1, tb.state.Levels().Queued)
	})
	t.Run("by number", func(t *testing.T) {
		t.Parallel()
		tb := newTable(t, Config{})
		tb.quiet(canDo(2, "f"), option(2, protocol.OptionAttempts), submit(1, "f", "k", "x").with(late), &Grab{Peer: 2})
		tb.pass(time.Second)
		tb.do(&Grab{Peer: 2}, "2 JOB_ASSIGN H:1/2|f|x")
		tb.do(report(2, Complete, "H:1/1", "first"), "1 WORK_COMPLETE H:1|first")
		tb.do(report(2, Complete, "H:1/2", "second"))
	})
}

func TestPause(t *testing.T) {
	t.Parallel()
	tb := newTable(t, Config{})
	tb.do(&PauseFunction{Function: []byte("f")})
	require.Equal(t, 1, tb.state.Levels().Functions)
	tb.quiet(canDo(2, "f"), canDo(3, "f"), canDo(3, "g"))
	tb.do(&PreSleep{Peer: 2})
	tb.do(submit(1, "f", "", ""), "1 JOB_CREATED H:1")
	tb.do(submit(1, "f", "", ""), "1 JOB_CREATED H:2")
	tb.do(&Grab{Peer: 3}, "3 NO_JOB")
	tb.do(submit(1, "g", "", "").at(Low), "1 JOB_CREATED H:3")
	tb.do(&Grab{Peer: 3}, "3 JOB_ASSIGN H:3|g|")
	tb.do(&PreSleep{Peer: 3})
	f, _ := tb.state.Function("f")
	require.True(t, f.Paused)
	tb.do(&ResumeFunction{Function: []byte("f")}, "2 NOOP", "3 NOOP")
	tb.do(&ResumeFunction{Function: []byte("f")})
	tb.do(&Grab{Peer: 3}, "3 JOB_ASSIGN H:1|f|")
	tb.do(&PauseFunction{Function: []byte("h")})
	tb.do(&ResumeFunction{Function: []byte("h")})
	require.Equal(t, 2, tb.state.Levels().Functions)
}
