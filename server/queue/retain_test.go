package queue

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/geartrain/geartrain/gearman/protocol"
)

func (ev *Submit) with(o protocol.TaskOptions) *Submit { ev.Options = &o; return ev }

// retaining keeps results of f for an hour.
func retaining(more Policy) Config {
	more.Pattern, more.Retain = "f", time.Hour
	return Config{Policies: []Policy{more}}
}

// work lets peer 2 do the next job of f.
func (tb *table) work(handle string, kind ReportKind, data string) {
	tb.Helper()
	tb.quiet(canDo(2, "f"), &Grab{Peer: 2})
	tb.quiet(report(2, kind, handle, data))
}

// Seed 4's second client, a while after the end.
func TestRetainedResultIsTheAnswer(t *testing.T) {
	t.Parallel()
	tb := newTable(t, retaining(Policy{}))
	tb.quiet(submit(1, "f", "k", "x"))
	tb.work("H:1", Complete, "r")
	tb.do(&PreSleep{Peer: 2})
	tb.pass(59 * time.Minute)
	tb.do(submit(3, "f", "k", "x"), "3 JOB_CREATED H:1", "3 WORK_COMPLETE H:1|r")
	tb.do(submit(3, "f", "k", "x").bg(), "3 JOB_CREATED H:1")
	tb.do(submit(3, "f", "k", "x").bg().when(tb.now.Add(time.Hour)), "3 JOB_CREATED H:1")
	tb.do(&GetStatus{Peer: 3, Handle: []byte("H:1")}, "3 STATUS_RES H:1|0|0|0|0")
	tb.do(&GetStatusUnique{Peer: 3, Unique: []byte("k")}, "3 STATUS_RES_UNIQUE k|0|0|0|0|0")
	tb.do(submit(3, "g", "k", "x"), "3 JOB_CREATED H:2")
	for _, r := range tb.state.ResultsFrom(tb.now, 0) {
		require.Equal(t, ResultInfo{"H:1", "f", "k", 1, 59 * time.Minute, time.Minute}, r)
	}
	next, ok := tb.state.NextDeadline()
	require.True(t, ok)
	require.Equal(t, time.Minute, next.Sub(tb.now))
	tb.pass(time.Minute)
	tb.do(submit(3, "f", "k", "x"), "3 JOB_CREATED H:3", "2 NOOP")
	require.Equal(t, Kept{Results: 1, Answers: 3, Expired: 1}, tb.state.Counters().Kept)
	require.EqualValues(t, 1, tb.state.Counters().Assigned)
}

func TestWhatIsRetained(t *testing.T) {
	t.Parallel()
	hour := protocol.TaskOptions{Retain: time.Hour}
	for name, c := range map[string]struct {
		ev   *Submit
		kind ReportKind
		kept bool
	}{
		"by policy":            {submit(1, "f", "k", "x"), Complete, true},
		"background":           {submit(1, "f", "k", "x").bg(), Complete, true},
		"the payload is a key": {submit(1, "f", "-", "x"), Complete, true},
		"a failure":            {submit(1, "f", "k", "x"), Fail, false},
		"an exception":         {submit(1, "f", "k", "x"), Exception, false},
		"without a key":        {submit(1, "f", "", "x"), Complete, false},
		"an empty payload key": {submit(1, "f", "-", ""), Complete, false},
		"too large":            {submit(1, "f", "k", "large"), Complete, false},
		"the task says no":     {submit(1, "f", "k", "x").with(protocol.TaskOptions{Retain: -1}), Complete, false},
		"the task says yes":    {submit(1, "g", "k", "x").with(hour), Complete, true},
		"nobody says so":       {submit(1, "g", "k", "x"), Complete, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg := retaining(Policy{})
			cfg.MaxResult = 4
			tb := newTable(t, cfg)
			tb.quiet(canDo(2, "g"), c.ev)
			tb.work("H:1", c.kind, string(c.ev.Payload))
			require.Equal(t, c.kept, tb.state.Levels().Results == 1)
			again := render(tb.state.Apply(tb.now, c.ev, nil))
			if c.kept {
				require.Contains(t, again[0], "JOB_CREATED H:1")
			} else {
				require.Contains(t, again[0], "JOB_CREATED H:2")
			}
		})
	}
}

func TestResultGuard(t *testing.T) {
	t.Parallel()
	tb := newTable(t, retaining(Policy{Conflict: Reject}))
	tb.quiet(submit(1, "f", "k", "x"), submit(1, "g", "k", "x").with(protocol.TaskOptions{Retain: time.Hour}))
	tb.work("H:1", Complete, "r")
	tb.quiet(canDo(2, "g"))
	tb.work("H:2", Complete, "r")
	tb.do(submit(1, "f", "k", "y"), "1 ERROR KEY_CONFLICT|Key belongs to a result of another payload")
	tb.do(submit(1, "g", "k", "y"), "1 JOB_CREATED H:2", "1 WORK_COMPLETE H:2|r")
	tb.do(submit(1, "g", "k", "y").with(protocol.TaskOptions{Reject: true}), "1 ERROR KEY_CONFLICT|Key belongs to a result of another payload")
	tb.quiet(submit(1, "h", "k", "x"))
	tb.do(submit(1, "h", "k", "y").with(protocol.TaskOptions{Reject: true}), "1 ERROR KEY_CONFLICT|Key belongs to a job with another payload")
	require.EqualValues(t, 4, tb.state.Counters().Conflicts)
}

func TestFreshness(t *testing.T) {
	t.Parallel()
	tb := newTable(t, retaining(Policy{}))
	tb.quiet(submit(1, "f", "k", "x"))
	tb.work("H:1", Complete, "old")
	tb.pass(time.Minute)
	tb.do(submit(1, "f", "k", "x").with(protocol.TaskOptions{Fresh: time.Minute}), "1 JOB_CREATED H:1", "1 WORK_COMPLETE H:1|old")
	tb.do(submit(1, "f", "k", "x").with(protocol.TaskOptions{Fresh: time.Second}), "1 JOB_CREATED H:2")
	tb.do(submit(3, "f", "k", "x"), "3 JOB_CREATED H:1", "3 WORK_COMPLETE H:1|old")
	tb.do(submit(3, "f", "k", "x").with(protocol.TaskOptions{Fresh: -1}), "3 JOB_CREATED H:2")
	tb.work("H:2", Fail, "")
	tb.do(submit(3, "f", "k", "x"), "3 JOB_CREATED H:1", "3 WORK_COMPLETE H:1|old")
	tb.do(submit(3, "f", "k", "x").with(protocol.TaskOptions{Fresh: -1}), "3 JOB_CREATED H:3")
	tb.work("H:3", Complete, "new")
	tb.do(submit(3, "f", "k", "x"), "3 JOB_CREATED H:3", "3 WORK_COMPLETE H:3|new")
	require.Equal(t, 1, tb.state.Levels().Results)

	// What has ended without being kept is no answer, and neither is what was there before.
	tb.do(submit(3, "f", "k", "x").with(protocol.TaskOptions{Fresh: -1, Retain: -1}), "3 JOB_CREATED H:4")
	tb.work("H:4", Complete, "newer")
	require.Zero(t, tb.state.Levels().Results)
}

// N20: 1000 clients at expiry: all are answered, one run.
func TestStaleWhileRefresh(t *testing.T) {
	t.Parallel()
	tb := newTable(t, retaining(Policy{Fresh: time.Minute, Stale: time.Minute}))
	tb.quiet(submit(1, "f", "k", "x"))
	tb.work("H:1", Complete, "old")
	tb.do(&PreSleep{Peer: 2})
	tb.pass(time.Minute + time.Second)
	tb.do(submit(1, "f", "k", "x"), "1 JOB_CREATED H:1", "1 WORK_COMPLETE H:1|old", "2 NOOP")
	for range 999 {
		tb.do(submit(1, "f", "k", "x"), "1 JOB_CREATED H:1", "1 WORK_COMPLETE H:1|old")
	}
	tb.do(&Grab{Peer: 2}, "2 JOB_ASSIGN H:2|f|x")
	tb.do(report(2, Complete, "H:2", "new"))
	tb.do(submit(1, "f", "k", "x"), "1 JOB_CREATED H:2", "1 WORK_COMPLETE H:2|new")
	tb.pass(2*time.Minute + time.Second)
	tb.do(submit(1, "f", "k", "x"), "1 JOB_CREATED H:3")
	require.EqualValues(t, 1, tb.state.Counters().Kept.Refreshes)
}

func TestResultsAreBounded(t *testing.T) {
	t.Parallel()
	cfg := retaining(Policy{})
	cfg.MaxResults, cfg.MaxResultBytes = 3, 20
	tb := newTable(t, cfg)
	for i, size := range []int{1, 1, 1, 1, 15, 20, 30} {
		key := fmt.Sprint("k", i)
		o := protocol.TaskOptions{Retain: time.Hour - time.Duration(i%2)*time.Minute}
		tb.quiet(submit(1, "f", key, "x").bg().with(o))
		tb.work(fmt.Sprint("H:", i+1), Complete, strings.Repeat("r", size))
	}
	var left []string
	for _, r := range tb.state.ResultsFrom(tb.now, 0) {
		left = append(left, r.Unique)
	}
	require.Empty(t, left, "the last one alone is too much")
	require.EqualValues(t, 7, tb.state.Counters().Kept.Evicted)
}

func TestEvictionTakesTheFirstToExpire(t *testing.T) {
	t.Parallel()
	cfg := retaining(Policy{})
	cfg.MaxResults = 2
	tb := newTable(t, cfg)
	for i, minutes := range []time.Duration{3, 1, 2} {
		tb.quiet(submit(1, "f", fmt.Sprint("k", i), "x").bg().with(protocol.TaskOptions{Retain: minutes * time.Minute}))
		tb.work(fmt.Sprint("H:", i+1), Complete, "r")
	}
	tb.do(submit(1, "f", "k1", "x").bg(), "1 JOB_CREATED H:4")
	tb.do(submit(1, "f", "k0", "x").bg(), "1 JOB_CREATED H:1")
	tb.do(submit(1, "f", "k2", "x").bg(), "1 JOB_CREATED H:3")
	rest := tb.state.Levels()
	tb.quiet(&DropFunction{Function: []byte("f")}, &CantDo{Peer: 2, Function: []byte("f")}, &DropFunction{Function: []byte("f")})
	require.Equal(t, 2, rest.Results)
	require.Equal(t, Levels{Connections: 9, Bytes: 9 * peerBytes}, tb.state.Levels())
}

func TestResultsAreDurable(t *testing.T) {
	t.Parallel()
	d := newDurable(t, retaining(Policy{}))
	large := strings.Repeat("r", 300)
	d.quiet(canDo(2, "f"), submit(1, "f", "a", "x"), submit(1, "f", "b", "x").bg())
	d.stored()
	d.quiet(&Grab{Peer: 2}, &Grab{Peer: 2})
	d.do(report(2, Complete, "H:1", large), "1 WORK_COMPLETE H:1|"+large+" after 2", "2 waits after 2")
	d.do(submit(3, "f", "a", "x"), "3 JOB_CREATED H:1", "3 WORK_COMPLETE H:1|"+large+" after 2")
	d.do(report(2, Complete, "H:2", "r"), "2 waits after 3")
	d.do(&NotCommitted{First: 2, Last: 3, Full: true})
	d.do(submit(3, "f", "b", "x"), "3 JOB_CREATED H:2", "3 WORK_COMPLETE H:2|r")
	d.stored()
	d.do(submit(3, "f", "a", "x"), "3 JOB_CREATED H:1", "3 WORK_COMPLETE H:1 + body 1")
	d.now = d.now.Add(30 * time.Minute)
	d.restart()
	require.Empty(t, d.state.Ops())
	d.do(submit(3, "f", "a", "x"), "3 JOB_CREATED H:1", "3 WORK_COMPLETE H:1 + body 1")
	d.do(submit(3, "f", "b", "x"), "3 JOB_CREATED H:2", "3 WORK_COMPLETE H:2|r")
	d.do(&AttachJob{Peer: 3, Function: []byte("f"), Key: []byte("a")}, "3 JOB_CREATED H:1", "3 WORK_COMPLETE H:1 + body 1")
	d.do(&BodyLost{Peer: 3, ID: 1, Result: true}, "3 WORK_FAIL H:1")
	d.do(&FindJob{Peer: 3, Function: []byte("f"), Key: []byte("b")}, "3 FIND_RES f|b|retained|1800000")
	d.do(submit(3, "f", "a", "x"), "3 JOB_CREATED H:3")
	d.pass(30 * time.Minute)
	require.Zero(t, d.state.Levels().Results)
	d.disk.take(d.state.Ops())
	d.stored()
	require.Empty(t, d.disk.records)
}

// A crash between the new result and the end of the old one leaves both; the new one counts.
func TestNewestResultIsRestored(t *testing.T) {
	t.Parallel()
	d := newDurable(t, retaining(Policy{}))
	for i, data := range []string{"old", "new"} {
		d.quiet(canDo(2, "f"), submit(1, "f", "k", "x").with(protocol.TaskOptions{Fresh: -1}), &Grab{Peer: 2})
		d.quiet(report(2, Complete, fmt.Sprint("H:", i+1), data))
		d.disk.commit(uint64(i+1), false)
	}
	require.Len(t, d.disk.records, 2)
	d.restart()
	d.do(submit(3, "f", "k", "x"), "3 JOB_CREATED H:2", "3 WORK_COMPLETE H:2|new")
	d.stored()
	require.Len(t, d.disk.records, 1)
}

func TestClockIsSetWhileTheServerIsDown(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		jump time.Duration
		left int
	}{"forward": {24 * time.Hour, 0}, "back": {-24 * time.Hour, 1}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := newDurable(t, retaining(Policy{}))
			d.quiet(canDo(2, "f"), submit(1, "f", "k", "x"), &Grab{Peer: 2}, report(2, Complete, "H:1", "r"))
			d.stored()
			d.now = d.now.Add(c.jump)
			d.restart()
			require.Equal(t, c.left, d.state.Levels().Results)
			d.stored()
			d.pass(time.Hour)
			require.Zero(t, d.state.Levels().Results)
		})
	}
}

func TestRefreshIsDurable(t *testing.T) {
	t.Parallel()
	d := newDurable(t, retaining(Policy{Fresh: time.Second, Stale: time.Hour}))
	d.quiet(canDo(2, "f"), submit(1, "f", "k", "x"), &Grab{Peer: 2}, report(2, Complete, "H:1", "old"))
	d.stored()
	d.pass(time.Minute)
	d.do(submit(1, "f", "k", "x"), "1 JOB_CREATED H:1", "1 WORK_COMPLETE H:1|old")
	d.refused()
	d.do(submit(1, "f", "k", "x"), "1 JOB_CREATED H:1", "1 WORK_COMPLETE H:1|old")
	d.stored()
	d.restart()
	d.quiet(canDo(2, "f"))
	d.do(&Grab{Peer: 2}, "2 JOB_ASSIGN H:3|f|x")
	d.do(report(2, Complete, "H:3", "new"), fmt.Sprint("2 waits after ", 1))
	d.stored()
	require.Len(t, d.disk.records, 1)
}
