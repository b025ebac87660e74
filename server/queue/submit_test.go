package queue

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestJobStartsAtSubmit(t *testing.T) {
	t.Parallel()
	tb := newTable(t, Config{})
	tb.quiet(canDo(2, "f"))
	tb.do(&PreSleep{Peer: 2})
	tb.do(submit(1, "f", "", "x"), "1 JOB_CREATED H:1", "2 NOOP")
	tb.do(&Grab{Peer: 2}, "2 JOB_ASSIGN H:1|f|x")
	tb.do(report(2, Complete, "H:1", "y"), "1 WORK_COMPLETE H:1|y")
}

func TestKeyJoinsWhileQueuedAndRunning(t *testing.T) {
	t.Parallel()
	tb := newTable(t, Config{})
	tb.quiet(canDo(4, "f"), canDo(4, "g"))
	tb.do(submit(1, "f", "k", "x"), "1 JOB_CREATED H:1")
	tb.do(submit(2, "f", "k", "x"), "2 JOB_CREATED H:1")
	tb.do(submit(1, "g", "k", "x"), "1 JOB_CREATED H:2")
	tb.do(&Grab{Peer: 4, Detail: WithUnique}, "4 JOB_ASSIGN_UNIQ H:1|f|k|x")
	status := report(4, Status, "H:1", "1")
	status.Second = []byte("3")
	tb.do(status, "1 WORK_STATUS H:1|1|3", "2 WORK_STATUS H:1|1|3")
	tb.do(submit(3, "f", "k", "x"), "3 JOB_CREATED H:1", "3 WORK_STATUS H:1|1|3")
	tb.do(submit(3, "f", "k", "x").bg(), "3 JOB_CREATED H:1")
	tb.do(report(4, Complete, "H:1", "y"), "1 WORK_COMPLETE H:1|y", "2 WORK_COMPLETE H:1|y", "3 WORK_COMPLETE H:1|y")
	tb.do(submit(1, "f", "k", "x"), "1 JOB_CREATED H:3")
}

func TestSameConnectionTwice(t *testing.T) {
	t.Parallel()
	tb := newTable(t, Config{})
	tb.quiet(canDo(2, "f"), submit(1, "f", "k", ""))
	tb.do(submit(1, "f", "k", ""), "1 JOB_CREATED H:1")
	tb.quiet(&Grab{Peer: 2})
	tb.do(report(2, Complete, "H:1", "y"), "1 WORK_COMPLETE H:1|y", "1 WORK_COMPLETE H:1|y")
}

func TestKeysAreExactAtEveryLength(t *testing.T) {
	t.Parallel()
	for _, n := range []int{1, 62, 63, 64, 65, 255, 1024, 1025, 60000} {
		tb := newTable(t, Config{})
		key := strings.Repeat("k", n-1)
		tb.do(submit(1, "f", key+"a", "x"), "1 JOB_CREATED H:1")
		tb.do(submit(2, "f", key+"a", "x"), "2 JOB_CREATED H:1")
		tb.do(submit(2, "f", key+"b", "x"), "2 JOB_CREATED H:2")
		tb.do(&GetStatusUnique{Peer: 3, Unique: []byte(key + "a")}, "3 STATUS_RES_UNIQUE "+key+"a|1|0|0|0|2")
	}
}

func TestDashMeansThePayload(t *testing.T) {
	t.Parallel()
	tb := newTable(t, Config{})
	tb.do(submit(1, "f", "-", "x"), "1 JOB_CREATED H:1")
	tb.do(submit(2, "f", "-", "x"), "2 JOB_CREATED H:1")
	tb.do(submit(2, "f", "-", "y"), "2 JOB_CREATED H:2")
	tb.do(submit(2, "f", "x", "x"), "2 JOB_CREATED H:3")
	tb.do(submit(2, "f", "-", ""), "2 JOB_CREATED H:4")
	tb.do(submit(2, "f", "-", ""), "2 JOB_CREATED H:5")
	tb.do(submit(2, "f", "", ""), "2 JOB_CREATED H:6")
	tb.do(submit(2, "f", "", ""), "2 JOB_CREATED H:7")
}

func TestPayloadConflict(t *testing.T) {
	t.Parallel()
	tb := newTable(t, Config{Policies: []Policy{{Pattern: "strict-*", Conflict: Reject}}})
	tb.quiet(submit(1, "f", "k", "x"), submit(1, "strict-f", "k", "x"))
	tb.do(submit(2, "f", "k", "y"), "2 JOB_CREATED H:1")
	tb.do(submit(2, "strict-f", "k", "y"), "2 ERROR KEY_CONFLICT|Key belongs to a job with another payload")
	c := tb.state.Counters()
	require.Equal(t, []uint64{2, 1, 1}, []uint64{c.Conflicts, c.Refused.Conflict, c.Joined})
}

func TestJoinRaisesPriority(t *testing.T) {
	t.Parallel()
	tb := newTable(t, Config{})
	tb.quiet(canDo(2, "f"), submit(1, "f", "a", "").at(Low), submit(1, "f", "b", "").at(Low), submit(1, "f", "b", "").at(High))
	tb.do(&Grab{Peer: 2}, "2 JOB_ASSIGN H:2|f|")
}

func TestEpoch(t *testing.T) {
	t.Parallel()
	tb := newTable(t, Config{})
	tb.quiet(canDo(2, "f"), &PreSleep{Peer: 2})
	tb.do(submit(1, "f", "k", "x").when(tb.now.Add(90*time.Second)), "1 JOB_CREATED H:1")
	tb.do(submit(1, "f", "", "y").when(tb.now.Add(-time.Hour)), "1 JOB_CREATED H:2", "2 NOOP")
	tb.do(&Grab{Peer: 2}, "2 JOB_ASSIGN H:2|f|y")
	tb.do(&Grab{Peer: 2}, "2 NO_JOB")
	tb.do(&PreSleep{Peer: 2})
	next, ok := tb.state.NextDeadline()
	require.True(t, ok)
	require.Equal(t, time.Minute, next.Sub(tb.now), "a clock that was set is noticed in time")
	tb.pass(89 * time.Second)
	next, _ = tb.state.NextDeadline()
	require.Equal(t, time.Second, next.Sub(tb.now))
	tb.pass(time.Second, "2 NOOP")
	tb.do(&Grab{Peer: 2}, "2 JOB_ASSIGN H:1|f|x")

	// An impatient submission of the same key does not wait for the other one's time.
	tb.do(submit(1, "f", "l", "x").bg().when(tb.now.Add(time.Hour)), "1 JOB_CREATED H:3")
	tb.quiet(&PreSleep{Peer: 2})
	tb.do(submit(3, "f", "l", "x"), "3 JOB_CREATED H:3", "2 NOOP")
}

func TestClockIsSet(t *testing.T) {
	t.Parallel()
	tb := newTable(t, Config{})
	tb.now = time.Now() // with a monotonic reading
	start := tb.now
	state := New(Config{})
	apply := func(ev Event) []string { return render(state.Apply(tb.now, ev, nil)) }
	apply(&Join{Peer: 1})
	apply(canDoWithin(1, "f", time.Minute))
	apply(submit(1, "f", "", "").bg())
	apply(&Grab{Peer: 1})
	next, ok := state.NextDeadline()
	require.True(t, ok)
	require.Equal(t, time.Minute, next.Sub(start))
	require.Empty(t, apply(&Tick{}))
}

func TestReducer(t *testing.T) {
	t.Parallel()
	tb := newTable(t, Config{})
	ev := submit(1, "f", "k", "x")
	ev.Reducer = []byte("r")
	tb.quiet(canDo(2, "f"), ev, submit(1, "f", "l", "y"))
	tb.do(&Grab{Peer: 2, Detail: WithAll}, "2 JOB_ASSIGN_ALL H:1|f|k|r|x")
	tb.do(&Grab{Peer: 2, Detail: WithAll}, "2 JOB_ASSIGN_UNIQ H:2|f|l|y")
}

func TestLimits(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		limits Limits
		before []Event
		ev     Event
		want   string
		count  func(*Refused) uint64
	}{
		{"functions", Limits{MaxFunctions: 1}, []Event{submit(1, "f", "", "")}, submit(1, "g", "", ""),
			"1 ERROR LIMIT_EXCEEDED|Too many functions", func(r *Refused) uint64 { return r.Functions }},
		{"jobs", Limits{MaxJobs: 1}, []Event{submit(1, "f", "", "")}, submit(1, "g", "", ""),
			"1 ERROR QUEUE_ERROR|Job queue is full", func(r *Refused) uint64 { return r.Jobs }},
		{"function jobs", Limits{MaxFunctionJobs: 1}, []Event{submit(1, "f", "", "")}, submit(1, "f", "", ""),
			"1 ERROR QUEUE_ERROR|Job queue of this function is full", func(r *Refused) uint64 { return r.FunctionJobs }},
		{"clients", Limits{MaxClients: 1}, []Event{submit(1, "f", "k", "")}, submit(2, "f", "k", ""),
			"2 ERROR LIMIT_EXCEEDED|Too many clients for one job", func(r *Refused) uint64 { return r.Clients }},
		{"handles", Limits{MaxHandles: 1}, []Event{submit(1, "f", "k", "")}, submit(1, "f", "k", ""),
			"1 ERROR LIMIT_EXCEEDED|This connection waits for too many jobs", func(r *Refused) uint64 { return r.Handles }},
		{"memory", Limits{}, []Event{submit(1, "f", "k", "")}, submit(2, "f", "", "x").noMemory(),
			"2 ERROR LIMIT_EXCEEDED|Server is out of memory for new jobs", func(r *Refused) uint64 { return r.Memory }},
		{"empty function", Limits{}, nil, submit(1, "", "", ""),
			"1 ERROR INVALID_PACKET|Function name is empty", func(r *Refused) uint64 { return r.FunctionName }},
		{"empty ability", Limits{}, nil, canDo(1, ""),
			"1 ERROR INVALID_PACKET|Function name is empty", func(r *Refused) uint64 { return r.FunctionName }},
		{"abilities", Limits{MaxAbilities: 1}, []Event{canDo(1, "f")}, canDo(1, "g"),
			"1 ERROR LIMIT_EXCEEDED|Too many functions for one worker", func(r *Refused) uint64 { return r.Abilities }},
		{"function name", Limits{MaxFunctionName: 3}, nil, submit(1, "name", "", ""),
			"1 ERROR ARGUMENT_TOO_LARGE|Function name is too long", func(r *Refused) uint64 { return r.FunctionName }},
		{"unique", Limits{MaxUnique: 3}, nil, submit(1, "f", "name", ""),
			"1 ERROR ARGUMENT_TOO_LARGE|Unique id is too long", func(r *Refused) uint64 { return r.Unique }},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			tb := newTable(t, Config{Limits: c.limits})
			tb.quiet(c.before...)
			tb.do(c.ev, c.want)
			counters := tb.state.Counters()
			require.EqualValues(t, 1, c.count(&counters.Refused))
		})
	}
}

func TestMaxQueue(t *testing.T) {
	t.Parallel()
	tb := newTable(t, Config{})
	tb.quiet(canDo(2, "f"), &CantDo{Peer: 2, Function: []byte("f")})
	tb.do(&SetMaxQueue{Function: []byte("f"), Max: [3]int{0, 1, -1}})
	tb.do(submit(1, "f", "k", ""), "1 JOB_CREATED H:1")
	tb.do(submit(1, "f", "l", ""), "1 ERROR QUEUE_ERROR|Job queue is full")
	tb.do(submit(2, "f", "k", ""), "2 JOB_CREATED H:1")
	tb.do(submit(1, "f", "l", "").at(High), "1 JOB_CREATED H:2")
	tb.do(submit(1, "f", "m", "").at(Low), "1 JOB_CREATED H:3")
	tb.quiet(canDo(3, "f"), &Grab{Peer: 3}, &Grab{Peer: 3})
	tb.do(submit(1, "f", "n", ""), "1 ERROR QUEUE_ERROR|Job queue is full") // what runs counts
	tb.quiet(submit(1, "f", "k", "").at(High))
	tb.do(submit(1, "f", "n", ""), "1 JOB_CREATED H:4") // it counts where its priority is now
	tb.quiet(&Leave{Peer: 3}, &Leave{Peer: 1}, &Leave{Peer: 2})
	_, known := tb.state.Function("f")
	require.True(t, known, "its limit keeps it")
	tb.do(&SetMaxQueue{Function: []byte("f")})
	require.Zero(t, tb.state.Levels().Functions)
}

// D10: keys chosen by someone who knows the code do not meet in one line, since the hash is seeded.
func TestChosenKeysSpread(t *testing.T) {
	t.Parallel()
	state := New(Config{})
	state.Apply(time.Unix(1, 0), &Join{Peer: 1}, nil)
	for i := range 20000 {
		ev := submit(1, "f", strings.Repeat("\x00", i%500)+"AaBB"[:1+i%4]+strings.Repeat("C", i/500), "")
		state.Apply(time.Unix(1, 0), ev.bg(), nil)
	}
	longest := 0
	for i := range state.keys.size {
		n := int(state.keys.line(i).n)
		for more := state.keys.line(i).more; more != 0; more = state.keys.more.at(more).more {
			n += int(state.keys.more.at(more).n)
		}
		longest = max(longest, n)
	}
	require.Less(t, longest, 40)
}

func TestFarFuture(t *testing.T) {
	t.Parallel()
	tb := newTable(t, Config{})
	tb.do(submit(1, "f", "", "x").when(time.Unix(1<<62, 0)), "1 JOB_CREATED H:1")
	tb.quiet(canDoWithin(2, "g", 1<<63-1), submit(1, "g", "", ""), &Grab{Peer: 2})
	tb.pass(100 * 365 * 24 * time.Hour)
	require.Equal(t, Levels{Functions: 2, Connections: 9, Workers: 1, Scheduled: 1, Running: 1, Bytes: tb.state.Bytes()}, tb.state.Levels())
}

func TestPolicyPatterns(t *testing.T) {
	t.Parallel()
	cfg := Config{Policies: []Policy{
		{Pattern: "a/b-*", Conflict: Count},
		{Pattern: "a/*", Retain: time.Hour, Fresh: time.Minute},
		{Pattern: "a/*", Conflict: Reject, Retain: time.Second, Stale: time.Second, Retry: Retry{Attempts: 2}},
		{Pattern: "[", Conflict: Reject},
	}}
	for name, want := range map[string]Conflict{"a/b-c": Count, "a/b/c": Reject, "b": Unsaid, "[": Unsaid} {
		require.Equal(t, want, cfg.policyFor(name).Conflict, name)
	}
	p := cfg.policyFor("a/x")
	require.Equal(t, Policy{Conflict: Reject, Retain: time.Hour, Fresh: time.Minute, Retry: Retry{Attempts: 2}}, p)
}
