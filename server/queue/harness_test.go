package queue

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// table is a state under test with a clock of its own. Peers 1 to 9 have joined. Every event is
// followed by Check.
type table struct {
	*testing.T
	state *State
	now   time.Time
}

func newTable(t *testing.T, cfg Config) *table {
	if cfg.HandlePrefix == "" {
		cfg.HandlePrefix = "H:"
	}
	tb := &table{T: t, state: New(cfg), now: time.Unix(1_700_000_000, 0)}
	for id := Peer(1); id <= 9; id++ {
		tb.do(&Join{Peer: id, Address: fmt.Sprintf("10.0.0.%d", id)})
	}
	return tb
}

// do applies events and asserts the effects of the last one, written as "peer TYPE arg|arg".
func (tb *table) do(ev Event, want ...string) {
	tb.Helper()
	got := render(tb.state.Apply(tb.now, ev, nil))
	require.NoError(tb, tb.state.Check())
	if len(want) == 0 {
		require.Empty(tb, got, "%T", ev)
		return
	}
	require.Equal(tb, want, got, "%T", ev)
}

// quiet applies an event whose effects are another test's matter.
func (tb *table) quiet(events ...Event) {
	tb.Helper()
	for _, ev := range events {
		tb.state.Apply(tb.now, ev, nil)
		require.NoError(tb, tb.state.Check())
	}
}

// pass lets time pass and ticks.
func (tb *table) pass(d time.Duration, want ...string) {
	tb.Helper()
	tb.now = tb.now.Add(d)
	tb.do(&Tick{}, want...)
}

func render(effects []Effect) []string {
	var lines []string
	for i := range effects {
		e := &effects[i]
		var args []string
		for _, a := range e.Arguments() {
			args = append(args, string(a))
		}
		line := strings.TrimSpace(fmt.Sprintf("%d %s %s", e.To, e.Type, strings.Join(args, "|")))
		if e.Type == 0 {
			line = fmt.Sprintf("%d waits", e.To)
		}
		if e.Body != 0 {
			line += fmt.Sprintf(" + body %d", e.Body)
		}
		if e.After != 0 {
			line += fmt.Sprintf(" after %d", e.After)
		}
		lines = append(lines, line)
	}
	return lines
}

// The events, short.

func submit(p Peer, function, unique, payload string) *Submit {
	return &Submit{Peer: p, Function: []byte(function), Unique: []byte(unique), Payload: []byte(payload), Priority: Normal}
}

func (ev *Submit) at(prio Priority) *Submit { ev.Priority = prio; return ev }
func (ev *Submit) bg() *Submit              { ev.Background = true; return ev }
func (ev *Submit) noMemory() *Submit        { ev.NoMemory = true; return ev }
func (ev *Submit) when(t time.Time) *Submit { ev.RunAt = t; return ev }

func canDo(p Peer, function string) *CanDo { return &CanDo{Peer: p, Function: []byte(function)} }

func canDoWithin(p Peer, function string, d time.Duration) *CanDo {
	return &CanDo{Peer: p, Function: []byte(function), Timeout: d}
}

func report(p Peer, kind ReportKind, handle, data string) *Report {
	return &Report{Peer: p, Kind: kind, Handle: []byte(handle), Data: []byte(data)}
}

func option(p Peer, name string) *SetOption { return &SetOption{Peer: p, Option: []byte(name)} }
