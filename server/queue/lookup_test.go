package queue

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/geartrain/geartrain/gearman/protocol"
)

func attach(p Peer, function, key string) *AttachJob {
	return &AttachJob{Peer: p, Function: []byte(function), Key: []byte(key)}
}

func find(p Peer, function, key string) *FindJob {
	return &FindJob{Peer: p, Function: []byte(function), Key: []byte(key)}
}

func TestAttach(t *testing.T) {
	t.Parallel()
	cfg := retaining(Policy{})
	cfg.MaxClients, cfg.MaxHandles = 2, 2
	tb := newTable(t, cfg)
	tb.quiet(canDo(2, "f"))
	const none = "ERROR JOB_NOT_FOUND|There is no job with that key"
	tb.do(attach(3, "f", "k"), "3 "+none)
	tb.do(attach(3, "f", ""), "3 "+none)
	tb.do(attach(3, "nothing", "k"), "3 "+none)
	tb.quiet(submit(1, "f", "k", "x").bg())
	tb.do(attach(3, "f", "k"), "3 JOB_CREATED H:1")
	tb.quiet(&Grab{Peer: 2})
	status := report(2, Status, "H:1", "1")
	status.Second = []byte("3")
	tb.do(status, "3 WORK_STATUS H:1|1|3")
	tb.do(attach(4, "f", "k"), "4 JOB_CREATED H:1", "4 WORK_STATUS H:1|1|3")
	tb.do(attach(5, "f", "k"), "5 ERROR LIMIT_EXCEEDED|Too many clients for one job")
	tb.do(report(2, Complete, "H:1", "r"), "3 WORK_COMPLETE H:1|r", "4 WORK_COMPLETE H:1|r")
	tb.do(attach(3, "f", "k"), "3 JOB_CREATED H:1", "3 WORK_COMPLETE H:1|r")
	tb.pass(time.Hour)
	tb.do(attach(3, "f", "k"), "3 "+none)
	require.Zero(t, tb.state.jobs.n)
	require.EqualValues(t, 4, tb.state.Counters().Refused.NotFound)
}

func TestFind(t *testing.T) {
	t.Parallel()
	d := newDurable(t, Config{JobRetries: 1})
	d.do(find(3, "f", "k"), "3 FIND_RES f|k|none|0")
	d.quiet(submit(1, "f", "k", "x").bg().when(d.now.Add(time.Minute)))
	d.pass(time.Second)
	d.do(find(3, "f", "k"), "3 FIND_RES f|k|queued|1000")
	d.stored()
	d.do(find(3, "f", "k"), "3 FIND_RES f|k|scheduled|0")
	d.pass(59 * time.Second)
	d.pass(5 * time.Millisecond)
	d.do(find(3, "f", "k"), "3 FIND_RES f|k|queued|5")
	d.quiet(canDo(2, "f"), &Grab{Peer: 2})
	d.pass(time.Millisecond)
	d.do(find(3, "f", "k"), "3 FIND_RES f|k|running|1")
	d.quiet(&Leave{Peer: 2})
	d.pass(time.Minute)
	d.do(find(3, "f", "k"), "3 FIND_RES f|k|dead|60000")
	d.do(find(3, "f", ""), "3 FIND_RES f||none|0")
}

func TestCancelIsAnswered(t *testing.T) {
	t.Parallel()
	d := newDurable(t, Config{})
	d.quiet(canDo(2, "f"), option(2, protocol.OptionCancel), submit(1, "f", "running", "").bg())
	d.stored()
	d.quiet(&Grab{Peer: 2}, submit(1, "f", "queued", ""), submit(1, "f", "later", "").bg().when(d.now.Add(time.Hour)))
	d.stored()
	cancel := func(key string) *CancelKey { return &CancelKey{Peer: 3, Function: []byte("f"), Key: []byte(key)} }
	d.do(cancel("running"), "2 JOB_CANCEL H:1|cancelled", "3 CANCEL_RES running|running after 3")
	d.do(&CancelJob{Peer: 3, Handle: []byte("H:2")}, "1 WORK_FAIL H:2", "3 CANCEL_RES H:2|queued")
	d.do(cancel("later"), "3 CANCEL_RES later|scheduled after 4")
	d.do(cancel("later"), "3 CANCEL_RES later|none")
	d.do(cancel(""), "3 CANCEL_RES |none")
	d.do(&CancelJob{Peer: 3, Handle: []byte("H:1")}, "3 CANCEL_RES H:1|none")
	d.do(&CancelJob{Peer: 3, Handle: []byte("nonsense")}, "3 CANCEL_RES nonsense|none")
	d.stored()
	require.Empty(t, d.disk.records, "what was cancelled does not run after a restart")
	d.do(report(2, Complete, "H:1", "late"))
	d.do(submit(1, "f", "p", "").bg(), "1 JOB_CREATED H:4 after 5")
	d.do(cancel("p"), "3 CANCEL_RES p|queued after 6")
	d.stored()
	require.Empty(t, d.disk.records)
	require.Zero(t, d.state.jobs.n)
}

// Who leaves a job takes back one submission. What nobody wants any more ends, what others want goes on.
func TestLeaveJob(t *testing.T) {
	t.Parallel()
	tb := newTable(t, Config{})
	tb.quiet(canDo(4, "f"), option(4, protocol.OptionCancel))
	leave := func(p Peer, handle string) *LeaveJob { return &LeaveJob{Peer: p, Handle: []byte(handle)} }
	tb.quiet(submit(1, "f", "k", ""), submit(1, "f", "k", ""), submit(2, "f", "k", ""), &Grab{Peer: 4})
	tb.do(leave(3, "H:1"))
	tb.do(leave(1, "H:1"))
	tb.do(report(4, Warning, "H:1", "w"), "1 WORK_WARNING H:1|w", "2 WORK_WARNING H:1|w")
	tb.do(leave(1, "H:1"))
	tb.do(leave(1, "H:1"))
	tb.do(report(4, Warning, "H:1", "w"), "2 WORK_WARNING H:1|w")
	tb.do(leave(2, "H:1"), "4 JOB_CANCEL H:1|cancelled")
	tb.do(report(4, Fail, "H:1", ""))

	tb.quiet(submit(1, "f", "queued", ""), leave(1, "H:2"))
	require.Zero(t, tb.state.Levels().Queued)
	tb.quiet(submit(1, "f", "both", ""), submit(2, "f", "both", "").bg(), leave(1, "H:3"))
	require.Equal(t, 1, tb.state.Levels().Queued, "a background job needs nobody who waits")
	tb.do(leave(1, "H:3"))
	tb.do(leave(1, "H:99"))
	tb.do(leave(9, "H:3"))
}
