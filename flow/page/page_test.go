package page

import (
	"bytes"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/net/html"

	"github.com/geartrain/geartrain/flow"
	"github.com/geartrain/geartrain/flow/runs"
	"github.com/geartrain/geartrain/flow/value"
)

// canary is what a browser must never take for anything but text.
const canary = `<img src=x onerror=alert(1)>"'</script></title></pre><script>alert(2)</script>{{.}}` + "\x1b[31m\u202e"

const runID = "r1.abcdefgh"

func openState(t testing.TB) *runs.State {
	t.Helper()
	state, err := runs.Open(filepath.Join(t.TempDir(), "state"))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, state.Close()) })
	return state
}

func drive(t testing.TB, state *runs.State, text string) *runs.Driver {
	t.Helper()
	d, err := state.Drive(runs.Record{
		ID: runID, Pipeline: text, File: text, ScheduledAt: time.Unix(0, 0), Params: map[string]any{text: text},
	}, []byte("name: p"))
	require.NoError(t, err)
	require.NoError(t, d.Begin(nil))
	return d
}

func jobEnd(stage, text string, place int, outcome flow.Outcome) *flow.JobRecord {
	now := time.Now()
	return &flow.JobRecord{
		Stage: stage, Place: place, Key: "f1." + fmt.Sprint(place), Outcome: outcome, Attempt: 2, Message: text, Reason: "fail",
		Item: flow.Datum{Kind: flow.KeyText, Raw: []byte(text)}, AddedAt: now.Add(-time.Duration(place) * time.Millisecond), EndedAt: now,
	}
}

func reportOf(stage, text string) *flow.Report {
	item, err := value.EncodeJSON(text)
	if err != nil {
		panic(err) // every text is JSON
	}
	failure := flow.JobFailure{Item: item, Key: text, Message: text}
	s := flow.StageReport{
		StageProgress: flow.StageProgress{Stage: stage, Status: flow.Failure, Added: 3, Done: 2, Failed: 1, StartedAt: time.Now().Add(-time.Second), EndedAt: time.Now()},
		Error:         text, Reasons: []flow.Reason{{Reason: text, Message: text, Count: 1, Example: failure}},
		Hooks: []flow.HookReport{{On: "on_failure", Hook: text, Error: text, StartedAt: time.Now()}},
	}
	return &flow.Report{Status: flow.Failure, Stages: []flow.StageReport{s}, Hooks: s.Hooks}
}

func written(t testing.TB, state *runs.State) string {
	t.Helper()
	r, err := state.Find(runID)
	require.NoError(t, err)
	p, err := Read(r)
	require.NoError(t, err)
	var b bytes.Buffer
	require.NoError(t, p.Write(&b))
	return b.String()
}

// TestNothingInItIsMarkup puts a canary wherever a run can hold text, and reads the page as a browser does.
func TestNothingInItIsMarkup(t *testing.T) {
	t.Parallel()
	state := openState(t)
	d := drive(t, state, canary)
	for i, outcome := range []flow.Outcome{flow.OutcomeDone, flow.OutcomeFailed, flow.OutcomeRetried, flow.OutcomeAnswered} {
		require.NoError(t, d.Job(&flow.Stage{Name: canary}, jobEnd(canary, canary, i, outcome)))
	}
	_, err := d.Log(canary, "f1.1", nil).Write([]byte(canary + "\n"))
	require.NoError(t, err)
	require.NoError(t, d.Finish(reportOf(canary, canary), fmt.Errorf("%s", canary), false))
	require.NoError(t, d.Close())

	text := written(t, state)
	require.GreaterOrEqual(t, strings.Count(text, "onerror=alert(1)"), 12, "all of it is there")
	require.NotContains(t, text, "\x1b")
	require.NotContains(t, text, "\u202e")
	root, err := html.Parse(strings.NewReader(text))
	require.NoError(t, err)
	allowed := map[string]bool{}
	for _, name := range strings.Fields("html head meta title style body header h1 h2 span div code ul li b p main table thead tbody tr th td svg rect path details summary dl dt dd pre") {
		allowed[name] = true
	}
	for n := range root.Descendants() {
		if n.Type != html.ElementNode {
			continue
		}
		require.True(t, allowed[n.Data], "<%s>", n.Data)
		for _, a := range n.Attr {
			require.False(t, strings.HasPrefix(a.Key, "on") || a.Key == "src" || a.Key == "href" || a.Key == "srcset", a.Key)
			require.NotContains(t, a.Val, "onerror")
			require.NotContains(t, a.Val, "url(")
		}
	}
	require.Contains(t, text, `content="default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"`)
}

func TestSizeDoesNotGrowWithTheRun(t *testing.T) {
	t.Parallel()
	state := openState(t)
	d := drive(t, state, "p")
	for i := range 30_000 {
		require.NoError(t, d.Job(&flow.Stage{Name: "s"}, jobEnd("s", fmt.Sprint("item ", i), i, flow.OutcomeDone)))
	}
	for i := range 1000 {
		_, err := d.Log("s", "f1.1", nil).Write(fmt.Appendf(nil, "line %d\n", i))
		require.NoError(t, err)
	}
	require.NoError(t, d.Finish(reportOf("s", "it broke"), nil, false))
	require.NoError(t, d.Close())
	text := written(t, state)
	require.Less(t, len(text), 64<<10)
	require.Contains(t, text, "item 29999", "the slowest one")
	require.Equal(t, 2*(maxSlow+maxTries), strings.Count(text, "item 29"), "each with its message")
	require.Contains(t, text, "line 999")
	require.NotContains(t, text, "line 799\n")
}

func TestRunThatHasNotEnded(t *testing.T) {
	t.Parallel()
	state := openState(t)
	d := drive(t, state, "p")
	require.Contains(t, written(t, state), "No stage has begun.")
	require.NoError(t, d.SetProgress([]flow.StageProgress{{Stage: "s", Status: flow.Running, Added: 10, Done: 4, StartedAt: time.Now()}}))
	require.NoError(t, d.Job(&flow.Stage{Name: "s"}, jobEnd("s", "a", 0, flow.OutcomeDone)))
	require.NoError(t, d.Flush())
	text := written(t, state)
	require.Contains(t, text, "▶ running")
	require.Contains(t, text, "until now")
	require.NoError(t, d.Close())
	require.Contains(t, written(t, state), "unfinished")
}

func TestDurations(t *testing.T) {
	t.Parallel()
	var d durations
	for i := range 100_000 {
		d.add(time.Duration(i))
	}
	require.Less(t, len(d.kept), maxDurations)
	require.InDelta(t, 50_000, int(d.part(0.5)), 1000)
	require.InDelta(t, 95_000, int(d.part(0.95)), 1000)
	require.Equal(t, time.Duration(99_999), d.longest)
	require.Zero(t, (&durations{}).part(0.5))
}

func TestTicks(t *testing.T) {
	t.Parallel()
	for _, whole := range []time.Duration{time.Millisecond, 17 * time.Millisecond, time.Second, 90 * time.Second, 5 * time.Hour, 40 * 24 * time.Hour, 5000 * 24 * time.Hour} {
		all := ticks(time.Time{}, time.Time{}.Add(whole))
		require.NotEmpty(t, all, whole)
		require.Less(t, len(all), 9, whole)
		require.LessOrEqual(t, all[len(all)-1].Percent, 90.0)
	}
}
