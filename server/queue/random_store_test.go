package queue

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/geartrain/geartrain/gearman/protocol"
	"github.com/geartrain/geartrain/server/store"
)

// TestRandomStore plays random events to a durable queue whose store is slow, refuses and dies, with
// results, retries and cancels, and judges it by its promises: what is in the state is what the store will
// hold, what was refused never runs, what was acknowledged is never lost, what is over stays so.
func TestRandomStore(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		w := newKeeper(t)
		for range rapid.IntRange(1, 150).Draw(t, "events") {
			w.step()
		}
		w.end()
	})
}

// keeper is a durable queue, its store, and what was promised.
type keeper struct {
	*rapid.T
	cfg         Config
	state, twin *State
	disk        disk
	now         time.Time
	peers       []Peer
	joined      Peer
	handles     []string
	reports     int

	promised map[uint64]uint64 // JOB_CREATED of new background jobs by serial: the operation it waits for
	acked    map[uint64]bool   // and those that were sent
	refused  map[uint64]bool
	over     map[uint64]bool   // jobs that are results, dead letters or nothing on stable storage
	results  map[uint64]string // what workers said, by serial
	created  map[told]uint64   // JOB_CREATED on their way: the operation they wait for
	ended    map[told]bool     // ends that clients were told
}

// told is a job and a client that is told of it.
type told struct {
	peer   Peer
	serial uint64
}

func newKeeper(t *rapid.T) *keeper {
	cfg := Config{
		HandlePrefix: "H:", Durable: true,
		KeepBody:   rapid.SampledFrom([]int{-1, 0}).Draw(t, "keep"),
		JobRetries: rapid.SampledFrom([]int{0, 2}).Draw(t, "retries"),
		Policies: []Policy{
			{Pattern: "a", Retain: time.Minute, Fresh: time.Second, Stale: 5 * time.Second},
			{Pattern: "b", Retain: time.Minute, Conflict: Reject},
			{Pattern: "[bc]", Retry: Retry{Attempts: 3, Delay: time.Second, Jitter: 0.5}},
		},
		Limits: Limits{MaxResults: 3, MaxResult: 400},
	}
	w := &keeper{
		T: t, cfg: cfg, state: New(cfg), twin: New(cfg), disk: disk{records: map[store.ID]store.Record{}}, now: time.Unix(1_700_000_000, 0),
		created: map[told]uint64{}, ended: map[told]bool{},
		promised: map[uint64]uint64{}, acked: map[uint64]bool{}, refused: map[uint64]bool{}, over: map[uint64]bool{}, results: map[uint64]string{},
	}
	for range 3 {
		w.join()
	}
	return w
}

func (w *keeper) join() {
	w.joined++
	w.peers = append(w.peers, w.joined)
	w.apply(&Join{Peer: w.joined})
	for _, f := range []string{"a", "b", "c"} {
		w.apply(&CanDo{Peer: w.joined, Function: []byte(f), Timeout: 2 * time.Second})
	}
	for _, o := range rapid.SampledFrom([][]string{{}, {protocol.OptionAttempts}, {protocol.OptionCancel}}).Draw(w.T, "options") {
		w.apply(option(w.joined, o))
	}
}

// apply gives both states an event and judges what they do.
func (w *keeper) apply(ev Event) []Effect {
	out := w.state.Apply(w.now, ev, nil)
	ops := slices.Clone(w.state.Ops())
	lines := render(out)
	w.Logf("%T%+v -> %q, %d operations", ev, ev, lines, len(ops))
	require.Equal(w, lines, render(w.twin.Apply(w.now, ev, nil)))
	require.Equal(w, ops, w.twin.Ops())
	w.disk.take(ops)
	for i := range out {
		w.judge(ev, &out[i])
	}
	require.NoError(w, w.state.Check())
	w.compare()
	return out
}

func (w *keeper) judge(ev Event, e *Effect) {
	if e.Type == 0 {
		return
	}
	serial, _, _ := w.state.parseHandle(e.Args[0])
	switch e.Type {
	case protocol.WorkFail, protocol.WorkException:
		w.ended[told{e.To, serial}] = true
	case protocol.JobCreated:
		if e.After != 0 {
			w.created[told{e.To, serial}] = e.After
		}
		w.handles = append(w.handles, string(e.Args[0]))
		if s, ok := ev.(*Submit); ok && s.Background && e.After != 0 && !w.acked[serial] {
			w.promised[serial] = e.After
		}
	case protocol.JobAssign:
		w.handles = append(w.handles, string(e.Args[0]))
		require.False(w, w.refused[serial], "job %d was refused, and runs", serial)
		require.False(w, w.over[serial], "job %d is over, and runs", serial)
		j, _ := w.state.Job(fmt.Sprint("H:", serial))
		if f := w.state.functions[j.Function]; j.Background && f.policy.Retry.Attempts > 0 {
			require.LessOrEqual(w, j.Attempts, 5, "the most that a task asks for")
		}
		if e.Body != 0 {
			require.Len(w, w.disk.records[e.Body].Body, j.Size)
		}
	case protocol.WorkComplete:
		data := string(e.Args[1])
		if e.Body != 0 {
			data = string(w.disk.records[e.Body].Body)
		}
		if _, ok := ev.(*Report); !ok {
			require.Equal(w, w.results[serial], data, "the result of job %d", serial)
		}
	}
}

// compare: the store, with all operations on their way, holds what the state thinks it does.
func (w *keeper) compare() {
	later := disk{records: maps.Clone(w.disk.records), waiting: slices.Clone(w.disk.waiting)}
	later.commit(w.state.seq, false)
	want := map[store.ID]recordKind{}
	for slot := range w.state.jobs.all() {
		if j := w.state.jobs.at(slot); j.record != 0 {
			want[store.ID(j.serial)] = jobRecord
		}
	}
	for at := range w.state.results.all() {
		want[store.ID(w.state.results.at(at).serial)] = resultRecord
	}
	for _, d := range w.state.dead {
		want[store.ID(d.serial)] = deadRecord
	}
	got := map[store.ID]recordKind{}
	for id, r := range later.records {
		h, err := parseHead(r.Head)
		require.NoError(w, err)
		got[id] = h.kind
		require.Len(w, r.Body, int(h.bodySize()))
		if h.kind == jobRecord {
			w.compareJob(uint64(id), &h)
		}
	}
	require.Equal(w, want, got)
}

func (w *keeper) compareJob(serial uint64, h *head) {
	slot := w.state.find(serial)
	require.NotZero(w, slot)
	j := w.state.jobs.at(slot)
	if w.state.uncommitted(j) != 0 {
		return // what has changed since is written when it is stored
	}
	require.Equal(w, j.priority, h.priority)
	require.Equal(w, string(w.state.unique(j)), string(h.unique))
	require.Equal(w, w.state.options(j), h.options)
	if j.state == Scheduled {
		require.Equal(w, w.state.dueAt(j), h.runAt)
		require.Equal(w, j.attempts, h.attempts)
		require.Equal(w, j.retrying, h.retrying)
	}
}

func (w *keeper) step() {
	switch rapid.IntRange(0, 19).Draw(w.T, "kind") {
	case 0, 1, 2:
		w.commit(rapid.IntRange(1, 4).Draw(w.T, "ops"))
	case 3:
		w.refuse()
	case 4:
		if rapid.IntRange(0, 3).Draw(w.T, "crash") == 0 {
			w.crash()
		}
	default:
		if len(w.peers) == 0 {
			w.join()
		}
		w.apply(w.draw())
	}
}

// commit stores some of what is on its way.
func (w *keeper) commit(n int) {
	if n = min(n, len(w.disk.waiting)); n == 0 {
		return
	}
	seq := w.disk.waiting[n-1].Seq
	w.onDisk(seq, false)
	for serial, after := range w.promised {
		if after <= seq {
			w.acked[serial] = true
			delete(w.promised, serial)
		}
	}
	maps.DeleteFunc(w.created, func(_ told, after uint64) bool { return after <= seq })
	w.apply(&Committed{Seq: seq})
}

// refuse is a full disk: some operations are done, then some of the others are not.
func (w *keeper) refuse() {
	if len(w.disk.waiting) == 0 {
		return
	}
	first := rapid.IntRange(0, len(w.disk.waiting)-1).Draw(w.T, "first")
	last := rapid.IntRange(first, len(w.disk.waiting)-1).Draw(w.T, "last")
	ev := &NotCommitted{First: w.disk.waiting[first].Seq, Last: w.disk.waiting[last].Seq, Full: true}
	for serial, after := range w.promised {
		if after < ev.First {
			w.acked[serial] = true
			delete(w.promised, serial)
		} else if after <= ev.Last {
			slot := w.state.find(serial)
			w.refused[serial] = slot == 0 || !w.state.jobs.at(slot).joining
			delete(w.promised, serial)
		}
	}
	for to, after := range w.created {
		if ev.First <= after && after <= ev.Last {
			require.False(w, w.ended[to], "client %d hears ERROR instead of JOB_CREATED, and then the end of job %d", to.peer, to.serial)
		}
	}
	maps.DeleteFunc(w.created, func(_ told, after uint64) bool { return after <= ev.Last })
	w.onDisk(ev.First-1, false)
	w.disk.waiting = slices.DeleteFunc(w.disk.waiting, func(op Op) bool { return op.Seq <= ev.Last && op.Refusable })
	w.apply(ev)
}

// onDisk does operations, and notes which jobs are over.
func (w *keeper) onDisk(seq uint64, refuse bool) {
	for _, op := range w.disk.waiting {
		if op.Seq > seq {
			break
		}
		over := op.Kind == store.Delete
		if !over {
			h, err := parseHead(op.Head)
			require.NoError(w, err)
			over = h.kind != jobRecord
		}
		if over {
			w.over[uint64(op.ID)] = true
		}
	}
	w.disk.commit(seq, refuse)
}

// crash is the end of the process, at which some of what was on its way has got to the disk. Nobody was
// told.
func (w *keeper) crash() {
	if n := rapid.IntRange(0, len(w.disk.waiting)).Draw(w.T, "survive"); n > 0 {
		w.onDisk(w.disk.waiting[n-1].Seq, false)
	}
	w.Logf("crash")
	for serial := range w.acked {
		_, stored := w.disk.records[store.ID(serial)]
		require.True(w, stored || w.over[serial], "job %d was acknowledged and is lost", serial)
	}
	w.cfg.FirstSerial = w.state.serial + 1
	w.disk.waiting = nil
	w.state, w.twin = New(w.cfg), New(w.cfg)
	for _, id := range slices.Sorted(maps.Keys(w.disk.records)) {
		require.NoError(w, w.state.Restore(w.now, w.disk.records[id]))
		require.NoError(w, w.twin.Restore(w.now, w.disk.records[id]))
	}
	w.disk.take(w.state.Ops())
	require.NoError(w, w.state.Check())
	w.compare()
	w.peers, w.promised, w.created = nil, map[uint64]uint64{}, map[told]uint64{}
}

// drawLeave takes one of the last jobs, if there were any.
func (w *keeper) drawLeave(p Peer) Event {
	handle := "H:1"
	if len(w.handles) > 0 {
		handle = w.handles[max(0, len(w.handles)-1-rapid.IntRange(0, 4).Draw(w.T, "left"))]
	}
	return &LeaveJob{Peer: p, Handle: []byte(handle)}
}

func (w *keeper) draw() Event {
	p := rapid.SampledFrom(w.peers).Draw(w.T, "peer")
	f := []byte(rapid.SampledFrom([]string{"a", "b", "c"}).Draw(w.T, "function"))
	key := []byte(rapid.SampledFrom([]string{"k", "l"}).Draw(w.T, "key"))
	switch rapid.IntRange(0, 23).Draw(w.T, "event") {
	case 0, 1, 2, 3, 4, 5:
		return w.drawSubmit(p, f)
	case 6, 7, 8, 9:
		return &Grab{Peer: p}
	case 10, 11, 12, 13:
		return w.drawReport(p)
	case 14:
		w.now = w.now.Add(rapid.SampledFrom([]time.Duration{time.Millisecond, time.Second, 3 * time.Second, time.Minute}).Draw(w.T, "pass"))
		return &Tick{}
	case 15:
		i := slices.Index(w.peers, p)
		w.peers = slices.Delete(w.peers, i, i+1)
		return &Leave{Peer: p}
	case 16:
		return &CancelKey{Peer: p, Function: f, Key: key}
	case 23:
		return w.drawLeave(p)
	case 17:
		return &AttachJob{Peer: p, Function: f, Key: key}
	case 18:
		return &FindJob{Peer: p, Function: f, Key: key}
	case 19:
		return w.drawDead()
	case 20:
		if rapid.Bool().Draw(w.T, "pause") {
			return &PauseFunction{Function: f}
		}
		return &ResumeFunction{Function: f}
	}
	return &PreSleep{Peer: p}
}

func (w *keeper) drawSubmit(p Peer, f []byte) Event {
	ev := &Submit{
		Peer: p, Function: f,
		Unique:     []byte(rapid.SampledFrom([]string{"", "k", "k", "l", "-"}).Draw(w.T, "unique")),
		Payload:    []byte(rapid.SampledFrom([]string{"", "x", strings.Repeat("y", 300)}).Draw(w.T, "payload")),
		Priority:   Priority(rapid.IntRange(0, 2).Draw(w.T, "priority")),
		Background: rapid.Bool().Draw(w.T, "background"),
	}
	if rapid.IntRange(0, 3).Draw(w.T, "later") == 0 {
		ev.RunAt = w.now.Add(time.Duration(rapid.IntRange(-1, 3).Draw(w.T, "delay")) * time.Second)
	}
	if rapid.IntRange(0, 2).Draw(w.T, "task") == 0 {
		ev.Options = &protocol.TaskOptions{
			Retain:     rapid.SampledFrom([]time.Duration{0, -1, time.Minute}).Draw(w.T, "retain"),
			Fresh:      rapid.SampledFrom([]time.Duration{0, -1, time.Second}).Draw(w.T, "fresh"),
			Attempts:   rapid.SampledFrom([]int{0, 2, 5}).Draw(w.T, "attempts"),
			Delay:      rapid.SampledFrom([]time.Duration{0, time.Second}).Draw(w.T, "wait"),
			AcceptLate: rapid.Bool().Draw(w.T, "late"),
			Run:        rapid.SampledFrom([]string{"", "run"}).Draw(w.T, "run"),
		}
	}
	return ev
}

func (w *keeper) drawReport(p Peer) Event {
	handle := "H:1"
	if len(w.handles) > 0 {
		handle = w.handles[max(0, len(w.handles)-1-rapid.IntRange(0, 4).Draw(w.T, "handle"))]
	}
	w.reports++
	ev := report(p, ReportKind(rapid.SampledFrom([]ReportKind{Data, Complete, Complete, Complete, Fail, Exception}).Draw(w.T, "report")), handle, fmt.Sprint("result ", w.reports))
	if rapid.IntRange(0, 3).Draw(w.T, "long") == 0 {
		ev.Data = append(ev.Data, strings.Repeat("r", 300)...)
	}
	if serial, number, ok := w.state.parseHandle(ev.Handle); ok && ev.Kind == Complete {
		slot := w.state.find(serial)
		owner := w.state.peer(p)
		if slot != 0 && (w.state.owns(owner, w.state.jobs.at(slot), number) || slices.Contains(owner.welcome, lateRun{serial, number})) {
			w.results[serial] = string(ev.Data)
		}
	}
	return ev
}

func (w *keeper) drawDead() Event {
	handle, payload := "H:1", []byte(nil)
	for d := range w.state.DeadLetters() {
		handle = d.Handle
		payload = w.disk.records[d.Body].Body
	}
	if rapid.Bool().Draw(w.T, "retry") {
		return &RetryDead{Handle: []byte(handle), Payload: payload}
	}
	return &DropDead{Handle: []byte(handle)}
}

// end heals the world and demands that everything ends, and that nothing is left in the store.
func (w *keeper) end() {
	for _, p := range slices.Clone(w.peers) {
		w.apply(&Leave{Peer: p})
	}
	w.peers = nil
	w.join()
	good := w.joined
	for _, f := range []string{"a", "b", "c"} {
		w.apply(&ResumeFunction{Function: []byte(f)})
	}
	w.commit(len(w.disk.waiting))
	for range 70 {
		for {
			out := w.apply(&Grab{Peer: good})
			if out[0].Type == protocol.NoJob {
				break
			}
			w.apply(report(good, Complete, string(slices.Clone(out[0].Args[0])), "end"))
		}
		w.now = w.now.Add(time.Second)
		w.apply(&Tick{})
		w.commit(len(w.disk.waiting))
	}
	require.Zero(w, w.state.jobs.n, "jobs left: %v", slices.Collect(w.state.Jobs()))
	require.Zero(w, w.state.results.n)
	for len(w.state.dead) > 0 {
		w.apply(&DropDead{Handle: []byte(w.state.dead[0].Handle)})
	}
	w.commit(len(w.disk.waiting))
	require.Empty(w, w.disk.records)
	require.Empty(w, w.state.awaited)
}
