package queue

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/geartrain/geartrain/gearman/protocol"
)

func TestPriorityIsGlobalAndFIFO(t *testing.T) {
	t.Parallel()
	tb := newTable(t, Config{})
	tb.quiet(canDo(2, "a"), canDo(2, "b"))
	tb.quiet(submit(1, "a", "", "1").at(Low), submit(1, "a", "", "2"), submit(1, "a", "", "3"), submit(1, "b", "", "4").at(High))
	for _, want := range []string{"H:4|b|4", "H:2|a|2", "H:3|a|3", "H:1|a|1"} {
		tb.do(&Grab{Peer: 2}, "2 JOB_ASSIGN "+want)
	}
	tb.do(&Grab{Peer: 2}, "2 NO_JOB")
}

// B11: a function that is always full does not starve the others of a worker, whatever their order.
func TestNoStarvation(t *testing.T) {
	t.Parallel()
	tb := newTable(t, Config{})
	tb.quiet(canDo(2, "a"), canDo(2, "full"), canDo(2, "b"))
	for range 50 {
		tb.quiet(submit(1, "full", "", ""))
	}
	for _, name := range []string{"b", "a"} {
		tb.quiet(submit(1, name, "", ""))
		served := 0
		for range 3 {
			out := tb.state.Apply(tb.now, &Grab{Peer: 2}, nil)
			if string(out[0].Args[1]) == name {
				served++
			}
		}
		require.Equal(t, 1, served, name)
	}
}

func TestFairBetweenFunctions(t *testing.T) {
	t.Parallel()
	tb := newTable(t, Config{})
	served := map[string]int{}
	for i := range 10 {
		tb.quiet(canDo(2, fmt.Sprint("f", i)))
		for range 20 {
			tb.quiet(submit(1, fmt.Sprint("f", i), "", ""))
		}
	}
	for range 100 {
		out := tb.state.Apply(tb.now, &Grab{Peer: 2}, nil)
		served[string(out[0].Args[1])]++
	}
	for name, n := range served {
		require.Equal(t, 10, n, name)
	}
}

func TestClientsLeave(t *testing.T) {
	t.Parallel()
	tb := newTable(t, Config{})
	tb.quiet(canDo(9, "f"))
	tb.quiet(submit(1, "f", "gone", ""), submit(1, "f", "kept", ""), submit(2, "f", "kept", "").bg(), submit(3, "f", "two", ""), submit(1, "f", "two", ""))
	tb.do(&Leave{Peer: 1})
	require.Equal(t, 2, tb.state.Levels().Queued)
	tb.do(submit(2, "f", "gone", ""), "2 JOB_CREATED H:4")
	tb.do(&Grab{Peer: 9}, "9 JOB_ASSIGN H:2|f|")
	tb.do(report(9, Complete, "H:2", ""))
	tb.do(&Grab{Peer: 9}, "9 JOB_ASSIGN H:3|f|")
	tb.do(&Leave{Peer: 3})
	tb.do(submit(4, "f", "two", ""), "4 JOB_CREATED H:3")
	tb.do(report(9, Complete, "H:3", "r"), "4 WORK_COMPLETE H:3|r")
	tb.do(&Grab{Peer: 9}, "9 JOB_ASSIGN H:4|f|")
	tb.do(&Leave{Peer: 2})
	require.Equal(t, 1, tb.state.Levels().Running, "a running job is finished")
	tb.do(report(9, Complete, "H:4", "r"))
	require.EqualValues(t, 1, tb.state.Counters().Abandoned)
}

func TestWorkerLost(t *testing.T) {
	t.Parallel()
	tb := newTable(t, Config{})
	tb.quiet(canDo(2, "f"), canDo(3, "f"), canDo(4, "f"))
	for i := range 4 {
		tb.quiet(submit(1, "f", "", fmt.Sprint(i+1)))
	}
	tb.quiet(&Grab{Peer: 2}, &Grab{Peer: 2}, &Grab{Peer: 4}, &Grab{Peer: 4}, &Grab{Peer: 4}, &PreSleep{Peer: 4}, &PreSleep{Peer: 3})
	tb.do(&Leave{Peer: 2}, "4 NOOP", "3 NOOP")
	tb.do(&Grab{Peer: 3}, "3 JOB_ASSIGN H:1|f|1")
	tb.do(&GetStatus{Peer: 1, Handle: []byte("H:2")}, "1 STATUS_RES H:2|1|0|0|0")
	tb.do(&Grab{Peer: 3}, "3 JOB_ASSIGN H:2|f|2")
}

func TestCantDoKeepsWhatRuns(t *testing.T) {
	t.Parallel()
	tb := newTable(t, Config{})
	tb.quiet(canDo(2, "f"), submit(1, "f", "", ""), &Grab{Peer: 2})
	tb.do(&CantDo{Peer: 2, Function: []byte("f")})
	tb.do(&ResetAbilities{Peer: 2})
	tb.do(report(2, Complete, "H:1", "r"), "1 WORK_COMPLETE H:1|r")
	require.Zero(t, tb.state.Levels().Functions)
}

func TestLargePayloadIsShared(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		size          int
		owned, shared bool
	}{{10, true, false}, {inlineLimit + 1, false, true}, {1 << 20, true, true}} {
		tb := newTable(t, Config{})
		payload := make([]byte, c.size)
		ev := submit(1, "f", "key", "")
		ev.Payload, ev.Owned = payload, c.owned
		tb.quiet(canDo(2, "f"), ev)
		out := tb.state.Apply(tb.now, &Grab{Peer: 2, Detail: WithUnique}, nil)
		require.Equal(t, protocol.JobAssignUniq, out[0].Type)
		require.Equal(t, c.shared, out[0].Shared)
		require.Equal(t, payload, out[0].Args[3])
		require.Equal(t, c.owned && c.shared, &payload[0] == &out[0].Args[3][0], "kept without a copy")
	}
}

// The memory of a flood is given back, and the index with it.
func TestMemoryIsGivenBack(t *testing.T) {
	t.Parallel()
	c := newCycle(1)
	flood(c, 20000)
	require.Greater(t, c.state.keys.size, 1000)
	for range 20000 {
		c.apply(&c.grab)
		c.report.Handle = append(c.assigned[:0], c.out[0].Args[0]...)
		c.apply(&c.report)
	}
	require.Equal(t, segmentSize, c.state.keys.size)
	require.Equal(t, segmentSize, c.state.serials.size)
	for _, page := range c.state.jobs.items {
		require.Nil(t, page)
	}
	require.NoError(t, c.state.Check())
}

// A worker of thousands of functions costs a grab no more than one of one: what it looks at is in
// its ready list.
func TestGrabDoesNotScan(t *testing.T) {
	t.Parallel()
	c := newCycle(5000)
	c.run()
	p := c.state.peers[2]
	require.Zero(t, p.ready[Normal].n)
	c.apply(&c.submit)
	require.Equal(t, 1, p.ready[Normal].n)
	require.Equal(t, time.Unix(1_700_000_000, 0), c.now)
}
