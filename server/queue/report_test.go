package queue

import (
	"bytes"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/geartrain/geartrain/gearman/protocol"
)

func TestExceptions(t *testing.T) {
	t.Parallel()
	tb := newTable(t, Config{})
	tb.do(option(1, protocol.OptionExceptions), "1 OPTION_RES exceptions")
	tb.do(option(1, "nonsense"), "1 ERROR UNKNOWN_OPTION|Server does not recognize given option")
	tb.quiet(canDo(9, "f"), submit(1, "f", "k", ""), submit(2, "f", "k", ""), &Grab{Peer: 9})
	tb.do(report(9, Exception, "H:1", "bang"), "1 WORK_EXCEPTION H:1|bang", "2 WORK_FAIL H:1")
	tb.do(report(9, Fail, "H:1", ""))
	require.Zero(t, tb.state.Counters().LateReports, "WORK_FAIL after WORK_EXCEPTION is one failure")
	tb.do(report(9, Fail, "H:1", ""))
	require.EqualValues(t, 1, tb.state.Counters().LateReports)
}

func TestForeignReportsAreDropped(t *testing.T) {
	t.Parallel()
	tb := newTable(t, Config{})
	tb.quiet(canDo(2, "f"), submit(1, "f", "", ""), &Grab{Peer: 2})
	const strange = "ERROR JOB_NOT_FOUND|Job given in work result not found"
	for _, handle := range []string{"H:1", "H:1/1", "H:01", "H:", "", "H:2", "H:1/", "H:18446744073709551617", "X:1"} {
		for kind := Data; kind <= Exception; kind++ {
			tb.do(report(3, kind, handle, "x"), "3 "+strange)
			if handle != "H:1" {
				tb.do(report(2, kind, handle, "x"))
			}
		}
	}
	tb.do(report(2, Complete, "H:1", "r"), "1 WORK_COMPLETE H:1|r")
	tb.do(report(1, Fail, "H:1", ""), "1 "+strange)
}

// F3: a job that times out goes to another worker, its late result reaches nobody, and no worker is
// told of an error.
func TestTimeout(t *testing.T) {
	t.Parallel()
	tb := newTable(t, Config{})
	tb.quiet(canDoWithin(2, "f", 250*time.Millisecond), canDo(3, "f"), submit(1, "f", "", "x"), &Grab{Peer: 2}, &PreSleep{Peer: 3})
	next, ok := tb.state.NextDeadline()
	require.True(t, ok)
	require.Equal(t, 250*time.Millisecond, next.Sub(tb.now))
	tb.pass(249 * time.Millisecond)
	tb.pass(time.Millisecond, "3 NOOP")
	tb.do(&Grab{Peer: 3}, "3 JOB_ASSIGN H:1|f|x")
	tb.do(report(2, Complete, "H:1", "late"))
	tb.do(report(3, Complete, "H:1", "good"), "1 WORK_COMPLETE H:1|good")
	c := tb.state.Counters()
	require.Equal(t, []uint64{1, 1, 1, 2}, []uint64{c.Timeouts, c.Requeues, c.LateReports, c.Assigned})
	_, ok = tb.state.NextDeadline()
	require.False(t, ok)
}

// Without attempts by number, a connection is not given the job again whose old attempt it may still
// report on.
func TestLateAttemptBarsItsConnection(t *testing.T) {
	t.Parallel()
	tb := newTable(t, Config{})
	tb.quiet(canDoWithin(2, "f", time.Second), submit(1, "f", "", "x"), submit(1, "f", "", "y"), &Grab{Peer: 2})
	tb.pass(time.Second)
	tb.do(&Grab{Peer: 2}, "2 JOB_ASSIGN H:2|f|y")
	tb.do(report(2, Complete, "H:2", "r"), "1 WORK_COMPLETE H:2|r")
	tb.do(&Grab{Peer: 2}, "2 NO_JOB")
	tb.do(&PreSleep{Peer: 2})
	tb.do(report(2, Complete, "H:1", "late"), "2 NOOP")
	tb.do(&Grab{Peer: 2}, "2 JOB_ASSIGN H:1|f|x")
	tb.do(report(2, Complete, "H:1", "good"), "1 WORK_COMPLETE H:1|good")
}

func TestAttemptsByNumber(t *testing.T) {
	t.Parallel()
	tb := newTable(t, Config{})
	tb.do(option(2, protocol.OptionAttempts), "2 OPTION_RES geartrain-attempts")
	tb.do(option(2, protocol.OptionCancel), "2 OPTION_RES geartrain-cancel")
	tb.quiet(canDoWithin(2, "f", time.Second), submit(1, "f", "", "x"))
	tb.do(&Grab{Peer: 2}, "2 JOB_ASSIGN H:1/1|f|x")
	tb.pass(time.Second, "2 JOB_CANCEL H:1/1|timeout")
	tb.do(&Grab{Peer: 2}, "2 JOB_ASSIGN H:1/2|f|x")
	tb.do(report(2, Complete, "H:1/1", "late"))
	tb.do(report(2, Complete, "H:1", "nobody's"))
	tb.do(report(2, Data, "H:1/2", "d"), "1 WORK_DATA H:1|d")
	tb.do(report(2, Complete, "H:1/2", "good"), "1 WORK_COMPLETE H:1|good")
	require.EqualValues(t, 2, tb.state.Counters().LateReports)
}

// A job that kills its workers ends as a dead letter with its history.
func TestPoisonJob(t *testing.T) {
	t.Parallel()
	tb := newTable(t, Config{JobRetries: 3})
	tb.quiet(submit(1, "f", "poison", "x").bg(), submit(1, "f", "poison", "x"))
	for worker := Peer(2); worker <= 3; worker++ {
		tb.quiet(canDo(worker, "f"), &Grab{Peer: worker})
		tb.do(&Leave{Peer: worker})
	}
	tb.quiet(&SetClientID{Peer: 4, ID: []byte("four")}, canDoWithin(4, "f", time.Second))
	tb.do(&Grab{Peer: 4}, "4 JOB_ASSIGN H:1|f|x")
	tb.pass(time.Second, "1 WORK_FAIL H:1")
	tb.do(&Grab{Peer: 4}, "4 NO_JOB")
	d, ok := tb.state.DeadLetter("H:1")
	require.True(t, ok)
	require.Equal(t, []string{"f", "poison", "x"}, []string{d.Function, d.Unique, string(d.Payload)})
	require.Len(t, d.History, 3)
	require.Equal(t, LostAttempt{2, "10.0.0.3", tb.now.Add(-time.Second), tb.now.Add(-time.Second), "worker lost", ""}, normal(d.History[1]))
	require.Equal(t, LostAttempt{3, "four", tb.now.Add(-time.Second), tb.now, "timeout", ""}, normal(d.History[2]))

	tb.do(submit(1, "f", "poison", "z").bg(), "1 JOB_CREATED H:2")
	tb.do(&RetryDead{Handle: []byte("H:1")})
	require.Equal(t, 1, tb.state.Levels().DeadLetters, "its key is in use")
	tb.quiet(&CancelJob{Handle: []byte("H:2")}, report(4, Fail, "H:1", ""), &PreSleep{Peer: 4})
	tb.do(&RetryDead{Handle: []byte("H:1")}, "4 NOOP")
	tb.do(&Grab{Peer: 4, Detail: WithUnique}, "4 JOB_ASSIGN_UNIQ H:3|f|poison|x")
	require.Zero(t, tb.state.Levels().DeadLetters)
}

func normal(l LostAttempt) LostAttempt {
	l.Started, l.Ended = time.Unix(0, l.Started.UnixNano()), time.Unix(0, l.Ended.UnixNano())
	return l
}

func TestLongClientIDsAreCut(t *testing.T) {
	t.Parallel()
	tb := newTable(t, Config{})
	tb.quiet(&SetClientID{Peer: 1, ID: bytes.Repeat([]byte("i"), 1000)})
	w, known := tb.state.Worker(1)
	require.True(t, known)
	require.Len(t, w.ID, 127)
}

func TestDeadLettersAreBounded(t *testing.T) {
	t.Parallel()
	tb := newTable(t, Config{JobRetries: 1, DeadLetters: 2})
	tb.quiet(canDoWithin(2, "f", time.Second))
	for range 3 {
		tb.quiet(submit(1, "f", "", "").bg(), &Grab{Peer: 2})
		tb.pass(time.Second)
	}
	var left []string
	for d := range tb.state.DeadLetters() {
		left = append(left, d.Handle)
	}
	require.Equal(t, []string{"H:2", "H:3"}, left)
	tb.do(&DropDead{Handle: []byte("H:2")})
	require.Equal(t, 1, tb.state.Levels().DeadLetters)
	require.EqualValues(t, 1, tb.state.Counters().DeadDropped)
}

func TestCancel(t *testing.T) {
	t.Parallel()
	tb := newTable(t, Config{})
	tb.quiet(option(2, protocol.OptionCancel), canDo(2, "f"), canDo(3, "f"))
	tb.quiet(submit(1, "f", "a", ""), submit(1, "f", "b", ""), submit(1, "f", "c", ""), submit(1, "f", "d", "").when(tb.now.Add(time.Hour)))
	tb.quiet(&Grab{Peer: 2}, &Grab{Peer: 3})
	tb.do(&CancelJob{Handle: []byte("H:1")}, "2 JOB_CANCEL H:1|cancelled", "1 WORK_FAIL H:1")
	tb.do(&CancelJob{Handle: []byte("H:2")}, "1 WORK_FAIL H:2")
	tb.do(&CancelJob{Handle: []byte("H:3")}, "1 WORK_FAIL H:3")
	tb.do(&CancelJob{Handle: []byte("H:4")}, "1 WORK_FAIL H:4")
	tb.do(&CancelJob{Handle: []byte("H:4")})
	tb.do(report(3, Complete, "H:2", "late"))
	tb.do(submit(1, "f", "a", ""), "1 JOB_CREATED H:5")
}

func TestDropFunction(t *testing.T) {
	t.Parallel()
	tb := newTable(t, Config{})
	drop := &DropFunction{Function: []byte("f")}
	tb.do(&CreateFunction{Function: []byte("f")})
	tb.quiet(canDo(2, "f"))
	tb.do(drop)
	require.Equal(t, 1, tb.state.Levels().Functions, "it has a worker")
	tb.quiet(&CantDo{Peer: 2, Function: []byte("f")})
	tb.quiet(submit(1, "f", "", "").at(Low), submit(1, "f", "", "").bg(), submit(1, "f", "", "").when(tb.now.Add(time.Hour)))
	tb.do(drop, "1 WORK_FAIL H:1", "1 WORK_FAIL H:3")
	require.Equal(t, Levels{Connections: 9, Bytes: 9 * peerBytes}, tb.state.Levels())
}
