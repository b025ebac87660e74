package queue

import (
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestBytesFollowWhatIsHeld(t *testing.T) {
	t.Parallel()
	tb := newTable(t, Config{})
	rest := tb.state.Bytes()
	first := submit(1, "f", "key", strings.Repeat("p", 10_000))
	tb.quiet(first)
	require.Equal(t, rest+functionBytes+JobBytes(first), tb.state.Bytes())
	tb.quiet(submit(2, "f", "key", string(first.Payload)))
	require.Equal(t, rest+functionBytes+JobBytes(first)+seatBytes, tb.state.Bytes())
	for i := range 100 {
		tb.quiet(submit(1, "f", fmt.Sprint(i), "payload").bg())
	}
	require.Greater(t, tb.state.Bytes(), rest+100*jobBytes)
	require.Equal(t, tb.state.Bytes(), tb.state.Levels().Bytes)
	tb.quiet(&DropFunction{Function: []byte("f")})
	require.Equal(t, rest, tb.state.Bytes())
}

// The budget of the whole server is an approximation, but it must not be one of the wrong size.
func TestBytesAreAboutWhatAJobCosts(t *testing.T) {
	before := heap()
	s := New(Config{})
	s.Apply(time.Unix(1, 0), &Join{Peer: 1}, nil)
	const jobs = 100_000
	for i := range jobs {
		s.Apply(time.Unix(1, 0), submit(1, "f", fmt.Sprint("key-", i), strings.Repeat("p", 64)).bg(), nil)
	}
	held := float64(heap() - before)
	runtime.KeepAlive(s)
	require.InEpsilon(t, held, float64(s.Bytes()), 0.35)
}

func TestJoinsNeedNoMemory(t *testing.T) {
	t.Parallel()
	tb := newTable(t, Config{})
	tb.do(submit(1, "f", "k", "x"), "1 JOB_CREATED H:1")
	tb.do(submit(2, "f", "k", "x").noMemory(), "2 JOB_CREATED H:1")
	tb.do(submit(2, "g", "k", "x").noMemory(), "2 ERROR LIMIT_EXCEEDED|Server is out of memory for new jobs")
	require.Equal(t, 1, tb.state.Levels().Functions, "a refused job leaves no function behind")
}

func TestHandlesAreForForegroundJobs(t *testing.T) {
	t.Parallel()
	tb := newTable(t, Config{Limits: Limits{MaxHandles: 1}})
	tb.quiet(canDo(2, "f"), submit(1, "f", "a", ""))
	tb.do(submit(1, "f", "b", ""), "1 ERROR LIMIT_EXCEEDED|This connection waits for too many jobs")
	tb.do(submit(1, "f", "c", "").bg(), "1 JOB_CREATED H:2")
	tb.quiet(&Grab{Peer: 2}, report(2, Complete, "H:1", ""))
	tb.do(submit(1, "f", "b", ""), "1 JOB_CREATED H:3")
}

func TestDeadLettersAreBoundedByBytes(t *testing.T) {
	t.Parallel()
	tb := newTable(t, Config{JobRetries: 1, DeadLetterBytes: 10_000})
	rest := tb.state.Bytes()
	tb.quiet(canDo(2, "f"))
	for i := range 4 {
		tb.quiet(submit(1, "f", "", strings.Repeat("p", []int{4000, 4000, 20_000, 4000}[i])).bg())
		tb.quiet(&Grab{Peer: 2}, &Leave{Peer: 2}, &Join{Peer: 2}, canDo(2, "f"))
	}
	var left []string
	for d := range tb.state.DeadLetters() {
		left = append(left, d.Handle)
	}
	require.Equal(t, []string{"H:2", "H:4"}, left, "the oldest made room, the one that is too large was not kept")
	require.EqualValues(t, 4, tb.state.Counters().DeadLetters)
	require.EqualValues(t, 2, tb.state.Counters().DeadDropped)
	tb.quiet(&DropDead{Handle: []byte("H:2")}, &DropDead{Handle: []byte("H:4")}, &Leave{Peer: 2}, &Join{Peer: 2})
	require.Equal(t, rest, tb.state.Bytes())
}

func TestExceptionsForEveryClient(t *testing.T) {
	t.Parallel()
	tb := newTable(t, Config{Exceptions: true})
	tb.quiet(canDo(2, "f"), submit(1, "f", "", ""), &Grab{Peer: 2})
	tb.do(report(2, Exception, "H:1", "why"), "1 WORK_EXCEPTION H:1|why")
	tb.do(report(2, Fail, "H:1", ""))
}

// A listing that is taken in parts has each job once, whatever holes there are.
func TestJobsFromGoesOn(t *testing.T) {
	t.Parallel()
	tb := newTable(t, Config{})
	for range 700 {
		tb.state.Apply(tb.now, submit(1, "f", "", "").bg(), nil)
	}
	for i := 1; i <= 700; i += 3 {
		tb.state.Apply(tb.now, &CancelJob{Handle: fmt.Appendf(nil, "H:%d", i)}, nil)
	}
	var whole, parts []string
	for j := range tb.state.Jobs() {
		whole = append(whole, j.Handle)
	}
	require.Len(t, whole, 700-234)
	for place, more := uint32(0), true; more; {
		more = false
		n := 0
		for at, j := range tb.state.JobsFrom(place) {
			if n++; n > 37 {
				place, more = at, true
				break
			}
			parts = append(parts, j.Handle)
		}
	}
	require.Equal(t, whole, parts)
}
