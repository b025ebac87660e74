package runs

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/geartrain/geartrain/flow"
)

func at(t *testing.T, text string) time.Time {
	t.Helper()
	v, err := time.Parse(time.RFC3339, text)
	require.NoError(t, err)
	return v
}

func TestDueTimes(t *testing.T) {
	t.Parallel()
	nightly := func(catchUp time.Duration) *flow.Schedule {
		return &flow.Schedule{Cron: []string{"30 2 * * *"}, Timezone: "Europe/Berlin", CatchUp: catchUp}
	}
	for name, c := range map[string]struct {
		schedule  *flow.Schedule
		seen, now string
		want      []string
	}{
		"not yet":                {nightly(0), "2026-01-10T00:00:00Z", "2026-01-10T01:29:59Z", nil},
		"on time":                {nightly(0), "2026-01-10T01:29:59Z", "2026-01-10T01:30:00Z", []string{"2026-01-10T01:30:00Z"}},
		"seen is not due again":  {nightly(0), "2026-01-10T01:30:00Z", "2026-01-10T01:30:30Z", nil},
		"late without catch_up":  {nightly(0), "2026-01-05T00:00:00Z", "2026-01-10T03:00:00Z", nil},
		"late within catch_up":   {nightly(48 * time.Hour), "2026-01-05T00:00:00Z", "2026-01-10T03:00:00Z", []string{"2026-01-09T01:30:00Z", "2026-01-10T01:30:00Z"}},
		"what is seen is not so": {nightly(48 * time.Hour), "2026-01-09T12:00:00Z", "2026-01-10T03:00:00Z", []string{"2026-01-10T01:30:00Z"}},
		"summer":                 {nightly(48 * time.Hour), "2026-07-09T12:00:00Z", "2026-07-10T03:00:00Z", []string{"2026-07-10T00:30:00Z"}},
		// 02:30 comes twice on 25 October 2026: one day is one run.
		"clocks go back": {nightly(72 * time.Hour), "2026-10-24T12:00:00Z", "2026-10-26T12:00:00Z",
			[]string{"2026-10-25T00:30:00Z", "2026-10-26T01:30:00Z"}},
		// 02:30 does not come on 29 March 2026: the day has its run all the same.
		"clocks go forward": {nightly(72 * time.Hour), "2026-03-28T12:00:00Z", "2026-03-30T12:00:00Z",
			[]string{"2026-03-29T01:30:00Z", "2026-03-30T00:30:00Z"}},
		"hours pass": {&flow.Schedule{Cron: []string{"30 * * * *"}, Timezone: "Europe/Berlin", CatchUp: 72 * time.Hour},
			"2026-10-25T00:00:00Z", "2026-10-25T02:00:00Z", []string{"2026-10-25T00:30:00Z", "2026-10-25T01:30:00Z"}},
	} {
		due, err := DueTimes(c.schedule, at(t, c.seen), at(t, c.now))
		require.NoError(t, err, name)
		var got []string
		for _, d := range due {
			got = append(got, d.Format(time.RFC3339))
		}
		require.Equal(t, c.want, got, name)
	}
}

func TestSchedules(t *testing.T) {
	t.Parallel()
	s := openState(t)
	require.Error(t, s.AddSchedule(Schedule{Name: "../x"}))
	require.NoError(t, s.AddSchedule(Schedule{Name: "b", File: "/b.yaml"}))
	require.NoError(t, s.AddSchedule(Schedule{Name: "a", File: "/a.yaml"}))
	all, err := s.Schedules()
	require.NoError(t, err)
	require.Len(t, all, 2)
	require.Equal(t, "a", all[0].Name)
	require.NoError(t, s.RemoveSchedule("a"))
	require.ErrorIs(t, s.RemoveSchedule("a"), ErrNoSchedule)
	require.ErrorIs(t, s.RemoveSchedule("../runs"), ErrNoSchedule)
}
