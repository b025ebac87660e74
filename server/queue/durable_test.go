package queue

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/geartrain/geartrain/server/store"
)

// durable is a table with a disk.
type durable struct {
	*table
	disk disk
}

func newDurable(t *testing.T, cfg Config) *durable {
	cfg.Durable = true
	return &durable{table: newTable(t, cfg), disk: disk{records: map[store.ID]store.Record{}}}
}

func (d *durable) do(ev Event, want ...string) {
	d.Helper()
	d.table.do(ev, want...)
	d.disk.take(d.state.Ops())
}

func (d *durable) quiet(events ...Event) {
	d.Helper()
	for _, ev := range events {
		d.table.quiet(ev)
		d.disk.take(d.state.Ops())
	}
}

// stored lets everything be committed, and asserts what comes of it.
func (d *durable) stored(want ...string) {
	d.Helper()
	seq := d.state.seq
	d.disk.commit(seq, false)
	d.do(&Committed{Seq: seq}, want...)
}

// refused is stored for a disk that is full.
func (d *durable) refused(want ...string) {
	d.Helper()
	seq := d.state.seq
	d.do(&NotCommitted{First: d.disk.waiting[0].Seq, Last: seq, Full: true}, want...)
	d.disk.commit(seq, true)
}

// restart is a state made of what is on the disk. Peers join again.
func (d *durable) restart() {
	d.Helper()
	fresh := newTable(d.T, d.state.cfg)
	fresh.now = d.now
	for _, id := range slices.Sorted(maps.Keys(d.disk.records)) {
		require.NoError(d, fresh.state.Restore(d.now, d.disk.records[id]))
	}
	d.disk.waiting = nil
	d.disk.take(fresh.state.Ops())
	require.NoError(d, fresh.state.Check())
	d.table = fresh
}

func TestBackgroundJobIsPendingUntilStored(t *testing.T) {
	t.Parallel()
	d := newDurable(t, Config{})
	d.quiet(canDo(2, "f"))
	d.do(&PreSleep{Peer: 2})
	d.do(submit(1, "f", "k", "x").bg(), "1 JOB_CREATED H:1 after 1")
	d.do(submit(3, "f", "k", "x"), "3 JOB_CREATED H:1 after 1")
	d.do(submit(3, "f", "k", "x").bg(), "3 JOB_CREATED H:1 after 1")
	require.Len(t, d.disk.waiting, 1, "one record for one job")
	require.Equal(t, 1, d.state.Levels().Pending)
	d.do(&Grab{Peer: 2}, "2 NO_JOB")
	d.do(&PreSleep{Peer: 2})
	d.stored("2 NOOP")
	d.do(&Grab{Peer: 2}, "2 JOB_ASSIGN H:1|f|x")
	d.do(report(2, Complete, "H:1", "r"), "3 WORK_COMPLETE H:1|r after 2", "2 waits after 2")
	d.stored()
	require.Empty(t, d.disk.records)
}

func TestRefusedJobIsGone(t *testing.T) {
	t.Parallel()
	d := newDurable(t, Config{})
	d.quiet(canDo(2, "f"))
	d.do(submit(1, "f", "k", "x").bg(), "1 JOB_CREATED H:1 after 1")
	d.do(submit(3, "f", "k", "x"), "3 JOB_CREATED H:1 after 1")
	d.refused()
	require.Zero(t, d.state.jobs.n)
	require.Zero(t, d.state.seats.n)
	require.EqualValues(t, 1, d.state.Counters().Refused.Store)
	d.do(&Grab{Peer: 2}, "2 NO_JOB")
	d.do(submit(1, "f", "k", "x"), "1 JOB_CREATED H:2")
}

// What comes before the operations that failed is stored, and what is not refusable will be.
func TestOnlyWhatWasRefusedIsGone(t *testing.T) {
	t.Parallel()
	d := newDurable(t, Config{})
	d.quiet(submit(1, "f", "a", "").bg(), submit(1, "f", "b", "").bg(), submit(1, "f", "c", "").bg())
	d.do(&NotCommitted{First: 2, Last: 2})
	require.Equal(t, Levels{Functions: 1, Connections: 9, Queued: 1, Pending: 1, Bytes: d.state.Bytes()}, d.state.Levels())
	d.do(&Committed{Seq: 3})
	require.Equal(t, 2, d.state.Levels().Queued)
}

func TestForegroundJobsCostNoDisk(t *testing.T) {
	t.Parallel()
	d := newDurable(t, Config{})
	d.quiet(canDo(2, "f"))
	d.do(submit(1, "f", "k", "x"), "1 JOB_CREATED H:1")
	d.do(&Grab{Peer: 2}, "2 JOB_ASSIGN H:1|f|x")
	d.do(report(2, Complete, "H:1", "r"), "1 WORK_COMPLETE H:1|r")
	require.Empty(t, d.disk.waiting)
}

func TestBackgroundJoinsForeground(t *testing.T) {
	t.Parallel()
	d := newDurable(t, Config{})
	d.quiet(canDo(2, "f"))
	d.do(submit(1, "f", "k", "x"), "1 JOB_CREATED H:1")
	d.do(submit(3, "f", "k", "x").bg(), "3 JOB_CREATED H:1 after 1")
	d.do(submit(4, "f", "k", "x").bg(), "4 JOB_CREATED H:1 after 1")
	d.do(submit(4, "f", "k", "x"), "4 JOB_CREATED H:1")
	d.quiet(&Leave{Peer: 1}, &Leave{Peer: 4})
	require.Equal(t, 1, d.state.jobs.n, "it is wanted by the one whose answer is on its way")
	d.stored()
	d.restart()
	d.quiet(canDo(2, "f"))
	d.do(&Grab{Peer: 2}, "2 JOB_ASSIGN H:1|f|x")
	d.do(report(2, Fail, "H:1", ""), "2 waits after 1")
}

func TestBackgroundJoinIsRefused(t *testing.T) {
	t.Parallel()
	d := newDurable(t, Config{})
	d.quiet(canDo(2, "f"), submit(1, "f", "k", "x"), submit(3, "f", "k", "x").bg(), submit(1, "g", "k", "x"), submit(3, "g", "k", "x").bg(), &Leave{Peer: 1})
	d.quiet(&Join{Peer: 1}, submit(1, "f", "k", "x"))
	d.refused()
	require.Equal(t, 1, d.state.jobs.n, "the one that a foreground client waits for")
	d.do(&Grab{Peer: 2}, "2 JOB_ASSIGN H:1|f|x")
	d.do(report(2, Complete, "H:1", "r"), "1 WORK_COMPLETE H:1|r")
}

func TestEndBeforeTheRecordIsStored(t *testing.T) {
	t.Parallel()
	d := newDurable(t, Config{})
	d.quiet(canDo(2, "f"), submit(1, "f", "k", "x"), &Grab{Peer: 2})
	d.do(submit(3, "f", "k", "x").bg(), "3 JOB_CREATED H:1 after 1")
	d.do(report(2, Complete, "H:1", "r"), "1 WORK_COMPLETE H:1|r after 2", "2 waits after 2")
	d.stored()
	require.Empty(t, d.disk.records)
}

func TestRestart(t *testing.T) {
	t.Parallel()
	d := newDurable(t, Config{JobRetries: 3})
	d.quiet(canDo(2, "f"))
	d.quiet(submit(1, "f", "a", "1").bg().at(Low), submit(1, "f", "", "2").bg(), submit(1, "f", "-", "3").bg())
	d.quiet(submit(1, "f", "", strings.Repeat("4", 300)).bg(), submit(1, "f", "later", "5").bg().when(d.now.Add(time.Hour)), submit(1, "g", "fg", "6"))
	reduced := submit(1, "g", "r", "7").bg()
	reduced.Reducer = []byte("sum")
	d.quiet(reduced)
	d.stored()
	d.do(&Grab{Peer: 2}, "2 JOB_ASSIGN H:2|f|2")
	d.quiet(&Leave{Peer: 2}, &Join{Peer: 2})
	d.do(submit(1, "f", "a", "1").at(Normal), "1 JOB_CREATED H:1")
	d.do(submit(1, "f", "later", "5").bg().when(d.now.Add(time.Minute)), "1 JOB_CREATED H:5")
	d.stored()
	before := jobsOf(d.state)
	d.restart()
	want := map[string]string{}
	for handle, line := range before {
		if handle != "H:6" {
			want[handle] = line
		}
	}
	require.Equal(t, want, jobsOf(d.state))
	d.quiet(canDo(2, "f"))
	d.do(submit(1, "f", "-", "3").bg(), "1 JOB_CREATED H:3")
	for _, job := range []string{"1 JOB_CREATED H:8", "1 JOB_CREATED H:9"} {
		d.do(submit(1, "h", "", ""), job)
	}
	d.do(&Grab{Peer: 2}, "2 JOB_ASSIGN H:1|f|1")
	d.do(&Grab{Peer: 2}, "2 JOB_ASSIGN H:2|f|2")
	d.do(&Grab{Peer: 2}, "2 JOB_ASSIGN H:3|f|3")
	d.do(&Grab{Peer: 2}, "2 JOB_ASSIGN H:4|f + body 4")
	d.do(&Grab{Peer: 2}, "2 NO_JOB")
	d.pass(time.Minute)
	d.do(&Grab{Peer: 2}, "2 JOB_ASSIGN H:5|f|5")
	d.quiet(canDo(3, "g"))
	d.do(&Grab{Peer: 3, Detail: WithAll}, "3 JOB_ASSIGN_ALL H:7|g|r|sum|7")
	d.quiet(report(3, Complete, "H:7", ""), report(2, Complete, "H:5", ""), report(2, Complete, "H:4", ""))
	d.stored()
	d.restart()
	require.Len(t, jobsOf(d.state), 3, "running jobs are queued again")
}

func jobsOf(s *State) map[string]string {
	all := map[string]string{}
	for j := range s.Jobs() {
		all[j.Handle] = fmt.Sprint(j.Function, " ", j.Unique, " ", j.Priority, j.State, j.Background, j.Attempts, j.Size, j.RunAt.UnixNano())
	}
	return all
}

func TestFirstSerial(t *testing.T) {
	t.Parallel()
	d := newDurable(t, Config{FirstSerial: 1000})
	d.do(submit(1, "f", "", "").bg(), "1 JOB_CREATED H:1000 after 1")
	d.stored()
	d.state.cfg.FirstSerial = 10
	d.restart()
	d.do(submit(1, "f", "", ""), "1 JOB_CREATED H:1001")
	d.state.cfg.FirstSerial = 2000
	d.restart()
	d.do(submit(1, "f", "", ""), "1 JOB_CREATED H:2000")
}

func TestLargePayloadsAreOnDiskOnly(t *testing.T) {
	t.Parallel()
	d := newDurable(t, Config{Policies: []Policy{{Pattern: "f", Conflict: Reject}}})
	rest := d.state.Bytes()
	for _, n := range []int{257, 1024, 1025, 1 << 20} {
		payload := strings.Repeat("p", n)
		d.quiet(canDo(2, "f"), submit(1, "f", "k", payload).bg())
		require.Greater(t, d.state.Bytes(), rest+int64(n))
		d.stored()
		require.Less(t, d.state.Bytes(), rest+2000)
		d.do(submit(3, "f", "k", payload), fmt.Sprintf("3 JOB_CREATED H:%d", d.state.serial))
		d.do(submit(3, "f", "k", payload[1:]+"x"), "3 ERROR KEY_CONFLICT|Key belongs to a job with another payload")
		d.do(&Grab{Peer: 2, Detail: WithUnique}, fmt.Sprintf("2 JOB_ASSIGN_UNIQ H:%d|f|k + body %d", d.state.serial, d.state.serial))
		d.quiet(report(2, Complete, fmt.Sprintf("H:%d", d.state.serial), ""))
		d.stored()
	}
}

func TestBodyLost(t *testing.T) {
	t.Parallel()
	d := newDurable(t, Config{})
	payload := strings.Repeat("p", 1000)
	d.quiet(canDo(2, "f"), submit(1, "f", "k", payload).bg(), submit(3, "f", "k", payload))
	d.stored()
	d.do(&Grab{Peer: 2}, "2 JOB_ASSIGN H:1|f + body 1")
	d.do(&BodyLost{Peer: 2, ID: 1}, "2 NO_JOB", "3 WORK_FAIL H:1 after 2")
	d.do(&BodyLost{Peer: 2, ID: 1}, "2 NO_JOB")
	d.stored()
	d.restart()
	dead, ok := d.state.DeadLetter("H:1")
	require.True(t, ok)
	require.Equal(t, []any{0, store.ID(0), "payload lost"}, []any{dead.Size, dead.Body, dead.History[0].Reason})
	require.EqualValues(t, 1, len(d.disk.records))
}

func TestDeadLettersAreDurable(t *testing.T) {
	t.Parallel()
	d := newDurable(t, Config{JobRetries: 1, DeadLetters: 3})
	large := strings.Repeat("p", 300)
	d.quiet(&Join{Peer: 20})
	for i, payload := range []string{"a", large, "c", "d"} {
		worker := Peer(20 + i)
		d.quiet(&Join{Peer: worker}, canDo(worker, "f"), submit(1, "f", fmt.Sprint("k", i), payload).bg())
		d.stored()
		d.quiet(&Grab{Peer: worker}, &Leave{Peer: worker})
	}
	d.stored()
	require.Len(t, d.disk.records, 3, "the oldest made room")
	d.restart()
	require.EqualValues(t, 3, d.state.Levels().DeadLetters)
	dead, _ := d.state.DeadLetter("H:2")
	require.Equal(t, store.ID(2), dead.Body)
	require.Equal(t, large, string(d.disk.records[2].Body))
	require.Equal(t, "worker lost", dead.History[0].Reason)

	d.do(&RetryDead{Handle: []byte("H:2"), Payload: []byte("another")})
	require.Zero(t, d.state.jobs.n)
	retry := &RetryDead{Handle: []byte("H:2"), Payload: []byte(large)}
	d.do(retry)
	_, there := d.state.DeadLetter("H:2")
	require.False(t, there)
	d.refused()
	_, there = d.state.DeadLetter("H:2")
	require.True(t, there, "it could not be stored as a job, so it stays")
	d.quiet(canDo(2, "f"))
	d.do(retry)
	d.stored()
	d.stored()
	d.do(&Grab{Peer: 2, Detail: WithUnique}, "2 JOB_ASSIGN_UNIQ H:6|f|k1 + body 6")
	d.do(&DropDead{Handle: []byte("H:3")})
	d.stored()
	require.Equal(t, []store.ID{4, 6}, slices.Sorted(maps.Keys(d.disk.records)))
}

func TestCancelIsDurable(t *testing.T) {
	t.Parallel()
	d := newDurable(t, Config{})
	d.quiet(submit(1, "f", "k", "x").bg(), submit(3, "f", "k", "x"))
	d.stored()
	d.do(&CancelJob{Handle: []byte("H:1")}, "3 WORK_FAIL H:1 after 2")
	d.stored()
	require.Empty(t, d.disk.records)
	d.do(submit(1, "f", "k", "x").bg(), "1 JOB_CREATED H:2 after 3")
	d.do(&DropFunction{Function: []byte("f")})
	require.Zero(t, d.state.jobs.n)
	d.stored()
	require.Empty(t, d.disk.records)
}

// Who joined a job that is cancelled before it is stored hears one thing: ERROR if it is refused, or
// JOB_CREATED and then its end.
func TestCancelledBeforeItIsStored(t *testing.T) {
	t.Parallel()
	for _, refused := range []bool{true, false} {
		d := newDurable(t, Config{})
		d.quiet(canDo(2, "f"))
		d.do(submit(1, "f", "k", "x").bg(), "1 JOB_CREATED H:1 after 1")
		d.do(submit(3, "f", "k", "x"), "3 JOB_CREATED H:1 after 1")
		d.do(&CancelKey{Peer: 4, Function: []byte("f"), Key: []byte("k")}, "4 CANCEL_RES k|queued after 2")
		d.do(&CancelKey{Peer: 4, Function: []byte("f"), Key: []byte("k")}, "4 CANCEL_RES k|none")
		d.do(&CancelJob{Peer: 4, Handle: []byte("H:1")}, "4 CANCEL_RES H:1|none")
		d.do(submit(1, "f", "k", "x").bg(), "1 JOB_CREATED H:2 after 3")
		d.do(&Grab{Peer: 2}, "2 NO_JOB")
		if refused {
			d.refused()
			require.Zero(t, d.state.jobs.n)
		} else {
			d.stored("3 WORK_FAIL H:1 after 2")
			require.Equal(t, 1, d.state.jobs.n)
		}
		require.EqualValues(t, 1, d.state.Counters().Cancelled)
		d.stored()
		require.NotContains(t, d.disk.records, store.ID(1))
	}
}

// Attempts have numbers that go on over a restart, whether or not there is a limit.
func TestAttemptsGoOnAfterRestart(t *testing.T) {
	t.Parallel()
	d := newDurable(t, Config{})
	d.quiet(option(2, "geartrain-attempts"), canDo(2, "f"), submit(1, "f", "k", "x").bg())
	d.stored()
	d.do(&Grab{Peer: 2}, "2 JOB_ASSIGN H:1/1|f|x")
	d.quiet(&Leave{Peer: 2})
	d.stored()
	d.restart()
	d.quiet(option(3, "geartrain-attempts"), canDo(3, "f"))
	d.do(&Grab{Peer: 3}, "3 JOB_ASSIGN H:1/2|f|x")
	d.do(report(3, Complete, "H:1/1", "late"))
	d.do(report(3, Complete, "H:1/2", "r"), "3 waits after 1")
}
