package main

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/geartrain/geartrain/gearman"
)

func TestAt(t *testing.T) {
	t.Parallel()
	zone := time.FixedZone("here", 3600)
	now := time.Date(2026, 11, 30, 12, 0, 0, 0, zone)
	for text, want := range map[string]time.Time{
		"":                     {},
		"+10m":                 now.Add(10 * time.Minute),
		"+0s":                  now,
		"18:30":                time.Date(2026, 11, 30, 18, 30, 0, 0, zone),
		"06:30":                time.Date(2026, 12, 1, 6, 30, 0, 0, zone), // the next one
		"2026-12-24T18:30:00Z": time.Date(2026, 12, 24, 18, 30, 0, 0, time.UTC),
	} {
		at, err := (&taskFlags{at: text}).moment(now)
		require.NoError(t, err, text)
		require.True(t, want.Equal(at), "%s: %s", text, at)
	}
	for _, text := range []string{"tomorrow", "+", "+-5m", "25:00", "10m"} {
		_, err := (&taskFlags{at: text}).moment(now)
		require.Equal(t, exitUsage, codeOf(err), text)
	}
}

func TestTaskFlags(t *testing.T) {
	t.Parallel()
	task := gearman.Task{Key: "k"}
	require.NoError(t, (&taskFlags{retain: time.Hour, again: true, attempts: 3, delay: time.Second, reject: true}).set(&task, time.Now()))
	require.Equal(t, gearman.Task{Key: "k", Retain: time.Hour, Fresh: -1, RejectConflict: true,
		ServerRetry: gearman.Retry{Attempts: 3, Delay: time.Second}}, task)
	for _, f := range []taskFlags{{again: true, fresh: time.Second}, {attempts: -1}} {
		require.Equal(t, exitUsage, codeOf(f.set(&gearman.Task{Key: "k"}, time.Now())))
	}
	require.Equal(t, exitUsage, codeOf((&taskFlags{retain: time.Hour}).set(&gearman.Task{}, time.Now())), "a result is kept for a key")
}
