package runs

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/geartrain/geartrain/flow"
)

func openState(t *testing.T) *State {
	t.Helper()
	s, err := Open(filepath.Join(t.TempDir(), "state"))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	return s
}

// idOf is the id of the nth run of a pipeline called p.
func idOf(t testing.TB, n int) string {
	t.Helper()
	id, err := flow.RunID("p", nil, time.Unix(int64(n), 0))
	require.NoError(t, err)
	return id
}

func drive(t *testing.T, s *State, n int) *Driver {
	t.Helper()
	d, err := s.Drive(Record{ID: idOf(t, n), Pipeline: "p", File: "/p.yaml", ScheduledAt: time.Unix(int64(n), 0)}, []byte("name: p\n"))
	require.NoError(t, err)
	require.NoError(t, d.Begin(nil))
	t.Cleanup(func() { _ = d.Close() }) // most tests have closed it
	return d
}

func done(place int, key, result string) *flow.JobRecord {
	return &flow.JobRecord{
		Stage: "s", Place: place, Key: key, Outcome: flow.OutcomeDone, Attempt: 1, Result: []byte(result),
		Item:      flow.Datum{Kind: flow.KeyText, Raw: fmt.Appendf(nil, "item %d", place)},
		Arguments: flow.Datum{Kind: flow.KeyJSON, Raw: []byte(`{"a":1}`)},
		AddedAt:   time.Now(), EndedAt: time.Now(),
	}
}

var runScope = &flow.Stage{Name: "s", Function: "f"}

func TestNextDriverHasTheResultsOfTheOneBefore(t *testing.T) {
	t.Parallel()
	s := openState(t)
	d := drive(t, s, 1)
	require.False(t, d.Resumed())
	require.NoError(t, d.Job(runScope, done(0, "f1.a", "A")))
	require.NoError(t, d.Job(runScope, done(1, "f1.b", "old")))
	require.NoError(t, d.Job(runScope, done(1, "f1.b", strings.Repeat("B", 10_000))))
	_, ok := d.Answer(runScope, "f1.c")
	require.False(t, ok)
	require.NoError(t, d.Close())

	d = drive(t, s, 1)
	require.True(t, d.Resumed())
	require.Equal(t, 1, d.Record().Attempt, "carrying on is the same attempt")
	require.Equal(t, 2, d.Record().Starts)
	a, ok := d.Answer(runScope, "f1.b")
	require.True(t, ok)
	require.Equal(t, strings.Repeat("B", 10_000), string(a.Result), "the latest of a key")
	_, ok = d.Answer(runScope, "f1.c")
	require.False(t, ok)

	require.NoError(t, d.Finish(&flow.Report{Status: flow.Success}, nil, false))
	require.NoError(t, d.Close())
	require.Equal(t, 2, drive(t, s, 1).Record().Attempt, "what is started after its end is another attempt")
}

func TestOnlyOneDrives(t *testing.T) {
	t.Parallel()
	s := openState(t)
	d := drive(t, s, 1)
	_, err := s.Drive(Record{ID: idOf(t, 1)}, nil)
	require.ErrorIs(t, err, ErrDriven)
	require.ErrorContains(t, err, fmt.Sprintf("process %d", os.Getpid()))
	run, err := s.Find("last")
	require.NoError(t, err)
	require.Equal(t, StateRunning, run.State())
	require.NoError(t, d.Close())
	require.Equal(t, StateUnfinished, run.State(), "it is nowhere stored that a run runs")
}

// A lock that is lost, as on some network file systems, lets a second driver in. The first stops at its
// next write, and what it wrote does no harm.
func TestStaleDriverStopsAtItsNextWrite(t *testing.T) {
	t.Parallel()
	s := openState(t)
	stale := drive(t, s, 1)
	require.NoError(t, stale.Job(runScope, done(0, "f1.a", "A")))
	require.NoError(t, stale.Flush())
	require.NoError(t, os.Rename(filepath.Join(s.Dir(), "runs", idOf(t, 1), "lease"), filepath.Join(s.Dir(), "lost")))

	d := drive(t, s, 1)
	_, ok := d.Answer(runScope, "f1.a")
	require.True(t, ok)
	_ = stale.Job(runScope, done(1, "f1.b", "late")) // it may be too early to know
	require.ErrorIs(t, stale.Flush(), ErrFenced)
	require.ErrorIs(t, stale.Job(runScope, done(2, "f1.c", "late")), ErrFenced)
	require.ErrorIs(t, stale.SetProgress(nil), ErrFenced)
	require.ErrorIs(t, stale.Finish(&flow.Report{Status: flow.Success}, nil, false), ErrFenced)
	require.NoError(t, d.Job(runScope, done(1, "f1.b", "B")))
	require.NoError(t, d.Flush())
	require.NoError(t, d.Close())
}

// Whatever a kill leaves of the last write, and whatever a disk does to a byte, costs that record at most.
func TestTornAndDamagedJournals(t *testing.T) {
	t.Parallel()
	s := openState(t)
	d := drive(t, s, 1)
	for i := range 20 {
		require.NoError(t, d.Job(runScope, done(i, fmt.Sprintf("f1.%d", i), fmt.Sprint("result ", i))))
	}
	require.NoError(t, d.Close())
	name := filepath.Join(s.Dir(), "runs", idOf(t, 1), segmentName(1))
	whole, err := os.ReadFile(name)
	require.NoError(t, err)

	known := func(text []byte) int {
		require.NoError(t, os.WriteFile(name, text, 0o600))
		root, err := s.make(idOf(t, 1))
		require.NoError(t, err)
		defer root.Close()
		x, err := indexRun(root, nil)
		require.NoError(t, err)
		defer x.close()
		found := 0
		for i := range 20 {
			if a, ok := x.find(fmt.Sprintf("f1.%d", i), time.Time{}); ok {
				require.Equal(t, fmt.Sprint("result ", i), string(a.Result))
				found++
			}
		}
		return found
	}
	require.Equal(t, 20, known(whole))
	before := 20
	for cut := len(whole) - 1; cut >= 0; cut -= 7 {
		n := known(whole[:cut])
		require.LessOrEqual(t, n, before)
		require.GreaterOrEqual(t, n, before-1, "a cut costs what it touches")
		before = n
	}
	for at := len(segmentHead); at < len(whole); at += 13 {
		damaged := append([]byte(nil), whole...)
		damaged[at] ^= 0x40
		known(damaged) // never a wrong result
	}
}

func TestResultsHoldAcrossRunsAsLongAsTheyAreFresh(t *testing.T) {
	t.Parallel()
	s := openState(t)
	always := &flow.Stage{Name: "s", Fresh: flow.Fresh{Always: true}}
	hour := &flow.Stage{Name: "s", Fresh: flow.Fresh{For: time.Hour}}
	d := drive(t, s, 1)
	old := done(0, "f1.old", "2 hours")
	old.EndedAt = time.Now().Add(-2 * time.Hour)
	require.NoError(t, d.Job(always, old))
	require.NoError(t, d.Job(hour, done(1, "f1.new", "now")))
	require.NoError(t, d.Job(runScope, done(2, "f1.own", "of the run")))
	require.NoError(t, d.Close())

	d = drive(t, s, 2)
	for _, c := range []struct {
		stage *flow.Stage
		key   string
		want  bool
	}{
		{always, "f1.old", true}, {hour, "f1.old", false}, {hour, "f1.new", true},
		{runScope, "f1.new", false}, {always, "f1.own", false},
	} {
		_, ok := d.Answer(c.stage, c.key)
		require.Equal(t, c.want, ok, "%v %s", c.stage.Fresh, c.key)
	}
}

func TestRunThatNeverBeganLeavesNothing(t *testing.T) {
	t.Parallel()
	s := openState(t)
	d, err := s.Drive(Record{ID: idOf(t, 1)}, nil)
	require.NoError(t, err)
	require.NoError(t, d.Close())
	ids, err := s.IDs()
	require.NoError(t, err)
	require.Empty(t, ids)
}

func TestFind(t *testing.T) {
	t.Parallel()
	s := openState(t)
	_, err := s.Find("last")
	require.ErrorIs(t, err, ErrNotFound)
	for n := range 40 {
		require.NoError(t, drive(t, s, n).Close())
	}
	id := idOf(t, 7)
	for _, text := range []string{id, id[:20], id[3:12]} {
		run, err := s.Find(text)
		require.NoError(t, err, text)
		require.Equal(t, id, run.Record.ID)
	}
	for _, text := range []string{"", "r1.", "../" + id, "..%2f" + id, "/etc/passwd", id + "/../" + id, "r1.a\x00b", strings.ToUpper(id)} {
		_, err := s.Find(text)
		require.ErrorIs(t, err, ErrNotFound, "%q", text)
		_, err = s.Drive(Record{ID: text}, nil)
		require.ErrorIs(t, err, ErrBadID, "%q", text)
	}
}

func TestSymlinkOutOfTheFolderIsNotFollowed(t *testing.T) {
	t.Parallel()
	s := openState(t)
	outside := t.TempDir()
	require.NoError(t, os.Symlink(outside, filepath.Join(s.Dir(), "runs", idOf(t, 1))))
	_, err := s.Drive(Record{ID: idOf(t, 1)}, nil)
	require.Error(t, err)
	entries, err := os.ReadDir(outside)
	require.NoError(t, err)
	require.Empty(t, entries)
}

func TestItemsAndResults(t *testing.T) {
	t.Parallel()
	s := openState(t)
	d := drive(t, s, 1)
	require.NoError(t, d.Job(runScope, done(1, "f1.b", "B")))
	require.NoError(t, d.Job(runScope, done(0, "f1.a", "A")))
	failed := done(2, "f1.c", "")
	failed.Outcome, failed.Reason, failed.Message = flow.OutcomeFailed, "fail", "exit 3"
	failed.Item.Raw = []byte(strings.Repeat("x", maxDatum+1))
	require.NoError(t, d.Job(runScope, failed))
	require.NoError(t, d.Close())

	d = drive(t, s, 1)
	answered := done(1, "f1.b", "")
	answered.Outcome = flow.OutcomeAnswered
	require.NoError(t, d.Job(runScope, answered))
	require.NoError(t, d.Flush())

	read := func() (lines []string) {
		run, err := s.Find("last")
		require.NoError(t, err)
		results, err := run.Results()
		require.NoError(t, err)
		defer results.Close()
		for it, err := range run.Items("s") {
			require.NoError(t, err)
			result, ok := results.Of(&it)
			lines = append(lines, fmt.Sprintf("%d %s %d:%s %s %q %v %s", it.Place, it.Outcome, it.Start, it.Item.JSON(), it.Arguments.JSON(), result, ok, it.Reason))
		}
		return lines
	}
	require.Equal(t, []string{
		`0 done 1:"item 0" {"a":1} "A" true `,
		`1 answered 2:"item 1" {"a":1} "B" true `,
		`2 failed 1:"" {"a":1} "" false fail`,
	}, read(), "while it is not ended, what was before counts")
	require.NoError(t, d.Finish(&flow.Report{Status: flow.Success}, nil, false))
	require.NoError(t, d.Close())
	require.Equal(t, []string{`1 answered 2:"item 1" {"a":1} "B" true `}, read())
}

func TestRequests(t *testing.T) {
	t.Parallel()
	s := openState(t)
	d := drive(t, s, 1)
	run, err := s.Find("last")
	require.NoError(t, err)
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() {
		ended <- d.Requests(ctx, func(q Request) Reply { return Reply{Jobs: len(q.Stage)} })
	}()
	reply, err := run.Ask(t.Context(), Request{Cancel: true, Stage: "fetch"})
	require.NoError(t, err)
	require.Equal(t, 5, reply.Jobs)
	stop()
	require.NoError(t, <-ended)
	short, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	_, err = run.Ask(short, Request{})
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.NoError(t, d.Close())
	_, err = run.Ask(t.Context(), Request{})
	require.ErrorIs(t, err, ErrNotDriven)
}

func TestLog(t *testing.T) {
	t.Parallel()
	s := openState(t)
	d := drive(t, s, 1)
	var also strings.Builder
	_, err := d.Log("s", "f1.a", &also).Write([]byte("one\n"))
	require.NoError(t, err)
	_, err = d.Log("", "", nil).Write([]byte("of a hook"))
	require.NoError(t, err)
	run, err := s.Find("last")
	require.NoError(t, err)
	var lines []string
	var mark LogMark
	for line, at := range run.Lines(mark) {
		lines, mark = append(lines, line.Stage+":"+line.Text), at
	}
	require.Equal(t, []string{"s:one", ":of a hook"}, lines)
	require.Equal(t, "one\n", also.String())
	_, err = d.Log("s", "", nil).Write([]byte("two"))
	require.NoError(t, err)
	for line := range run.Lines(mark) {
		require.Equal(t, "two", line.Text)
		lines = nil
	}
	require.Nil(t, lines, "it goes on from a mark")
}

func TestPruneKeepsRecords(t *testing.T) {
	t.Parallel()
	s := openState(t)
	d := drive(t, s, 1)
	require.NoError(t, d.Job(runScope, done(0, "f1.a", "A")))
	require.NoError(t, d.Finish(&flow.Report{Status: flow.Success}, nil, false))
	require.NoError(t, d.Close())
	driven := drive(t, s, 2)
	require.NoError(t, drive(t, s, 3).Close()) // unfinished

	pruned, err := s.Prune(time.Now().Add(KeepFor + time.Hour))
	require.NoError(t, err)
	require.Equal(t, 1, pruned)
	run, err := s.Find(idOf(t, 1))
	require.NoError(t, err)
	require.Equal(t, string(flow.Success), run.State())
	for range run.Items("s") {
		t.Fatal("the journal is gone")
	}
	again := drive(t, s, 1)
	require.Equal(t, 2, again.lease.holder.Number, "numbers go on")
	require.NoError(t, again.Close())

	_, err = s.Prune(time.Now().Add(KeepRecords + time.Hour))
	require.NoError(t, err)
	ids, err := s.IDs()
	require.NoError(t, err)
	require.Equal(t, []string{idOf(t, 2)}, ids, "but never one that is driven")
	require.NoError(t, driven.Close())
}

func TestUnfinished(t *testing.T) {
	t.Parallel()
	s := openState(t)
	params := map[string]any{"n": 3, "list": []any{"a"}}
	start := func(n int) *Driver {
		d, err := s.Drive(Record{ID: idOf(t, n), Pipeline: "p", File: "/p.yaml", Params: params}, nil)
		require.NoError(t, err)
		require.NoError(t, d.Begin(nil))
		return d
	}
	with := func(params map[string]any) func(*Record) bool {
		return func(r *Record) bool { return SameParams(r.Params, params) }
	}
	found := func() string {
		run, err := s.Unfinished("p", "/p.yaml", with(params))
		require.NoError(t, err)
		if run == nil {
			return ""
		}
		return run.Record.ID
	}
	require.Empty(t, found())
	d := start(1)
	require.Equal(t, idOf(t, 1), found(), "there is no other")
	other := start(2)
	require.NoError(t, other.Close())
	require.Equal(t, idOf(t, 2), found(), "nobody drives it")
	other = start(2)
	require.NoError(t, other.Finish(&flow.Report{Status: flow.Success}, nil, false))
	require.NoError(t, other.Close())
	require.NoError(t, d.Close())
	require.Equal(t, idOf(t, 1), found())
	none, err := s.Unfinished("p", "/p.yaml", with(map[string]any{"n": 4, "list": []any{"a"}}))
	require.NoError(t, err)
	require.Nil(t, none)
	d = start(1)
	require.NoError(t, d.Finish(&flow.Report{Status: flow.Failure}, errors.New("no"), false))
	require.NoError(t, d.Close())
	require.Empty(t, found())
}

// A length that is damaged takes no memory for what is not there.
func TestDamagedLengthTakesNoMemory(t *testing.T) { // not parallel: others allocate too
	text := segmentHead + "\x00\x00\x00\x3f" + "crc." + "a few bytes"
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	require.NoError(t, scan(strings.NewReader(text), func(int64, []byte) error { return errRecord }))
	runtime.ReadMemStats(&after)
	require.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(64<<20))
}

func FuzzSegment(f *testing.F) {
	record := frame([]byte(segmentHead), func(p []byte) []byte { return appendJob(p, done(1, "f1.a", "A"), time.Hour) })
	f.Add(record)
	f.Add(record[:len(record)-3])
	f.Fuzz(func(t *testing.T, text []byte) {
		err := scan(strings.NewReader(string(text)), func(_ int64, body []byte) error {
			it, err := parseJob(body)
			if err != nil {
				return nil
			}
			again, err := parseJob(appendJob(nil, &it.JobRecord, 0))
			if err == nil && (again.Key != it.Key || again.Stage != it.Stage || string(again.JobRecord.Result) != string(it.JobRecord.Result)) {
				t.Fatalf("%+v became %+v", it, again)
			}
			_, _, _ = parseAnswer(body)
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	})
}
