package queue

import (
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/geartrain/geartrain/gearman/protocol"
)

// TestRandomEvents plays random events to the state and to the naive model, then heals the world and
// demands that everything ends.
func TestRandomEvents(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		cfg := Config{
			HandlePrefix: "H:",
			JobRetries:   rapid.SampledFrom([]int{0, 0, 1, 3}).Draw(t, "retries"),
			WakeUp:       rapid.SampledFrom([]int{0, 1, 2}).Draw(t, "wakeup"),
			Durable:      rapid.Bool().Draw(t, "durable"),
			KeepBody:     rapid.SampledFrom([]int{-1, 100}).Draw(t, "keep"),
		}
		w := &world{T: t, now: time.Unix(1_700_000_000, 0)}
		w.system, w.twin, w.model = newSystem(cfg), newSystem(cfg), newModel(cfg)
		if rapid.Bool().Draw(t, "sleepers") {
			w.addSleepers()
		}
		for range rapid.IntRange(1, 120).Draw(t, "events") {
			if cfg.Durable && rapid.IntRange(0, 20).Draw(t, "restart") == 0 {
				w.restart()
			} else {
				w.apply(w.draw())
			}
		}
		w.drain()
	})
}

type world struct {
	*rapid.T
	*system
	twin    *system // gets the same events
	model   *model
	now     time.Time
	out     []Effect
	peers   []Peer
	joined  Peer
	handles []string
}

// addSleepers is a beginning in which wake-ups matter.
func (w *world) addSleepers() {
	for range 4 {
		w.joined++
		w.peers = append(w.peers, w.joined)
		w.apply(&Join{Peer: w.joined})
		for _, f := range rapid.SampledFrom([][]string{{"a"}, {"a", "b"}, {"b"}, {}}).Draw(w.T, "functions") {
			w.apply(&CanDo{Peer: w.joined, Function: []byte(f), Timeout: rapid.SampledFrom([]time.Duration{0, 50 * time.Millisecond}).Draw(w.T, "timeout")})
		}
		w.apply(&PreSleep{Peer: w.joined})
	}
}

func (w *world) apply(ev Event) {
	w.out = w.system.apply(w.now, ev)
	require.Equal(w, render(w.out), render(w.twin.apply(w.now, ev)), "the same events give the same effects")
	for i := range w.out {
		if e := &w.out[i]; e.Type == protocol.JobAssign || e.Type == protocol.JobAssignUniq || e.Type == protocol.JobAssignAll || e.Type == protocol.JobCreated {
			w.handles = append(w.handles, string(e.Args[0]))
		}
	}
	w.Logf("%+v -> %q", ev, render(w.out))
	require.NoError(w, w.model.apply(w.now, ev, w.out))
	require.NoError(w, w.state.Check())
	require.NoError(w, w.model.agrees(w.state))
}

func (w *world) draw() Event {
	if len(w.peers) == 0 || len(w.peers) < 6 && rapid.IntRange(0, 9).Draw(w.T, "join") == 0 {
		w.joined++
		w.peers = append(w.peers, w.joined)
		return &Join{Peer: w.joined}
	}
	p := rapid.SampledFrom(w.peers).Draw(w.T, "peer")
	f := []byte(rapid.SampledFrom([]string{"a", "b", "c"}).Draw(w.T, "function"))
	switch rapid.IntRange(0, 24).Draw(w.T, "kind") {
	case 0, 1, 2, 3, 4:
		return w.drawSubmit(p, f)
	case 5:
		return &CanDo{Peer: p, Function: f, Timeout: rapid.SampledFrom([]time.Duration{0, 50 * time.Millisecond, time.Second}).Draw(w.T, "timeout")}
	case 6, 7, 8:
		return &Grab{Peer: p, Detail: Detail(rapid.IntRange(0, 2).Draw(w.T, "detail")), Later: rapid.Bool().Draw(w.T, "later")}
	case 9, 10, 20, 21, 22:
		return &PreSleep{Peer: p}
	case 11, 12, 13:
		return w.drawReport(p)
	case 14:
		w.now = w.now.Add(rapid.SampledFrom([]time.Duration{0, time.Millisecond, 60 * time.Millisecond, 2 * time.Second}).Draw(w.T, "pass"))
		return &Tick{}
	case 15:
		i := slices.Index(w.peers, p)
		w.peers = slices.Delete(w.peers, i, i+1)
		return &Leave{Peer: p}
	case 16:
		return &CantDo{Peer: p, Function: f}
	case 17:
		if rapid.Bool().Draw(w.T, "reset") {
			return &ResetAbilities{Peer: p}
		}
		return &CancelJob{Handle: []byte(w.drawHandle())}
	case 23, 24:
		return &LeaveJob{Peer: p, Handle: []byte(w.drawHandle())}
	case 18:
		return &SetOption{Peer: p, Option: []byte(rapid.SampledFrom([]string{
			protocol.OptionExceptions, protocol.OptionCancel, protocol.OptionAttempts}).Draw(w.T, "option"))}
	}
	return &GetStatus{Peer: p, Handle: []byte(w.drawHandle())}
}

func (w *world) drawSubmit(p Peer, f []byte) Event {
	ev := &Submit{
		Peer:       p,
		Function:   f,
		Unique:     []byte(rapid.SampledFrom([]string{"", "", "k", "l", "-"}).Draw(w.T, "unique")),
		Payload:    []byte(rapid.SampledFrom([]string{"", "x", "y"}).Draw(w.T, "payload")),
		Priority:   Priority(rapid.IntRange(0, 2).Draw(w.T, "priority")),
		Background: rapid.Bool().Draw(w.T, "background"),
	}
	switch rapid.IntRange(0, 5).Draw(w.T, "more") {
	case 0:
		ev.RunAt = w.now.Add(time.Duration(rapid.IntRange(-1, 3).Draw(w.T, "delay")) * time.Second)
	case 1:
		ev.Reducer = []byte("r")
	}
	return ev
}

func (w *world) drawReport(p Peer) Event {
	ev := &Report{Peer: p, Kind: ReportKind(rapid.IntRange(0, 5).Draw(w.T, "report")), Handle: []byte(w.drawHandle()), Data: []byte("1"), Second: []byte("2")}
	return ev
}

func (w *world) drawHandle() string {
	if len(w.handles) == 0 {
		return "H:1"
	}
	return w.handles[max(0, len(w.handles)-1-rapid.IntRange(0, 8).Draw(w.T, "handle"))]
}

// restart ends the queue and begins another one with what is stored.
func (w *world) restart() {
	w.Logf("restart")
	w.peers = nil
	for _, s := range []*system{w.system, w.twin} {
		require.NoError(w, s.restart(w.now, uint64(w.model.serial)+1))
	}
	w.model.restart(w.now)
	require.NoError(w, w.state.Check())
	require.NoError(w, w.model.agrees(w.state))
}

// drain brings in one good worker, which grabs only when it was woken, and lets time pass until
// nothing is left.
func (w *world) drain() {
	for _, p := range slices.Clone(w.peers) {
		if len(w.state.peers[p].late) > 0 || w.state.peers[p].running > 0 {
			w.apply(&Leave{Peer: p})
		}
	}
	w.joined++
	good := w.joined
	w.apply(&Join{Peer: good})
	for _, f := range []string{"a", "b", "c"} {
		w.apply(&CanDo{Peer: good, Function: []byte(f)})
	}
	w.sleep(good)
	for _, p := range slices.Sorted(maps.Keys(w.state.peers)) {
		if p != good {
			w.apply(&ResetAbilities{Peer: p})
			w.workIfWoken(good)
		}
	}
	for range 5 { // no job is scheduled further ahead
		w.now = w.now.Add(time.Second)
		w.apply(&Tick{})
		w.workIfWoken(good)
	}
	require.Zero(w, w.state.jobs.n, "jobs left: %v", slices.Collect(w.state.Jobs()))
	for _, p := range slices.Sorted(maps.Keys(w.state.peers)) {
		w.apply(&Leave{Peer: p})
	}
	require.Equal(w, Levels{DeadLetters: len(w.state.dead), Bytes: w.state.deadBytes}, w.state.Levels())
}

func (w *world) sleep(p Peer) {
	w.apply(&PreSleep{Peer: p})
	w.workIfWoken(p)
}

// workIfWoken lets p work until nothing is left, if the last effects wake it.
func (w *world) workIfWoken(p Peer) {
	if !slices.Contains(render(w.out), fmt.Sprint(p, " NOOP")) {
		return
	}
	for {
		w.apply(&Grab{Peer: p})
		e := w.out[0]
		if e.Type == protocol.NoJob {
			break
		}
		w.apply(&Report{Peer: p, Kind: Complete, Handle: slices.Clone(e.Args[0])})
	}
	w.sleep(p)
}
