package queue

import (
	"bytes"
	"encoding/hex"
	"flag"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/geartrain/geartrain/gearman/protocol"
	"github.com/geartrain/geartrain/server/store"
)

var update = flag.Bool("update", false, "write the golden files again")

// heads are one of each kind, with every field in use.
func heads() map[string]head {
	at := time.Unix(1_700_000_000, 5).UnixNano()
	job := head{
		kind: jobRecord, function: []byte("resize"), unique: []byte("key\x00\xff"), reducer: []byte("sum"),
		priority: Low, attempts: 300, created: at, runAt: at + int64(time.Hour),
		digest: digestOf([]byte("payload")), size: 7, retrying: true,
		options: &protocol.TaskOptions{Retain: time.Hour, Attempts: 3, Run: "nightly", Stage: "resize"},
		history: []LostAttempt{{1, "10.0.0.1:7", time.Unix(1, 2), time.Unix(3, 4), reasonException, "what it said"}},
	}
	dead := job
	dead.kind, dead.died, dead.runAt = deadRecord, at, 0
	result := head{
		kind: resultRecord, function: []byte("resize"), unique: []byte("key"), digest: job.digest, size: 7,
		ended: at, expires: at + int64(time.Hour), length: 42,
	}
	return map[string]head{
		"job":    job,
		"result": result,
		"dead":   dead,
		"least":  {kind: jobRecord, function: []byte("f")},
	}
}

// The records of today must be readable by every later version.
func TestGoldenRecords(t *testing.T) {
	t.Parallel()
	if *update {
		var b strings.Builder
		all := heads()
		for _, name := range slices.Sorted(maps.Keys(all)) {
			h := all[name]
			b.WriteString(name + " " + hex.EncodeToString(h.append(nil)) + "\n")
		}
		require.NoError(t, os.WriteFile("testdata/heads-1.txt", []byte(b.String()), 0o644))
	}
	golden, err := os.ReadFile("testdata/heads-1.txt")
	require.NoError(t, err)
	want := heads()
	for line := range strings.Lines(string(golden)) {
		name, text, _ := strings.Cut(strings.TrimSpace(line), " ")
		b, err := hex.DecodeString(text)
		require.NoError(t, err)
		got, err := parseHead(b)
		require.NoError(t, err, name)
		w := want[name]
		require.Equal(t, w.append(nil), got.append(nil), name)
		require.Equal(t, string(w.function)+string(w.unique)+string(w.reducer), string(got.function)+string(got.unique)+string(got.reducer))
		delete(want, name)
	}
	require.Empty(t, want)
}

func TestRecordsOfNoUse(t *testing.T) {
	t.Parallel()
	h := heads()["job"]
	whole := h.append(nil)
	for n := range whole {
		_, err := parseHead(whole[:n])
		require.ErrorIs(t, err, ErrRecord)
	}
	_, err := parseHead(append(whole, 0))
	require.ErrorIs(t, err, ErrRecord)
	whole[0] = headVersion + 1
	_, err = parseHead(whole)
	require.ErrorIs(t, err, ErrNewer)

	s := New(Config{Durable: true})
	now := time.Unix(1_700_000_000, 0)
	least := head{kind: jobRecord, function: []byte("f"), unique: []byte("k"), size: 1}
	require.NoError(t, s.Restore(now, store.Record{ID: 7, Head: least.append(nil), Body: []byte("x")}))
	for _, r := range []store.Record{
		{ID: 7, Head: least.append(nil), Body: []byte("x")},
		{ID: 8, Head: least.append(nil), Body: []byte("x")},
		{ID: 9, Head: whole, Body: []byte("x")},
		{ID: 10, Head: h.append(nil), Body: []byte("x")},
	} {
		require.ErrorContains(t, s.Restore(now, r), "record ")
		require.NoError(t, s.Check())
	}
	require.Equal(t, 1, s.jobs.n)
}

func FuzzParseHead(f *testing.F) {
	for _, h := range heads() {
		f.Add(h.append(nil))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		h, err := parseHead(b)
		if err != nil {
			return
		}
		again, err := parseHead(h.append(nil))
		require.NoError(t, err)
		require.True(t, bytes.Equal(h.append(nil), again.append(nil)))
		s := New(Config{Durable: true})
		now := time.Unix(1_700_000_000, 0)
		if s.Restore(now, store.Record{ID: 3, Head: b}) == nil {
			s.Apply(now, &Tick{}, nil)
		}
		require.NoError(t, s.Check())
	})
}
