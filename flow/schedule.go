package flow

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/robfig/cron/v3"

	"github.com/geartrain/geartrain/flow/expression"
	"github.com/geartrain/geartrain/flow/value"
	"github.com/geartrain/geartrain/flow/wording"
)

// Schedule says when runs of a pipeline are due. A run's logical time is the time that it was due at.
type Schedule struct {
	Cron     []string      // five fields each: minute hour day month weekday; or @hourly, @daily, @weekly, @monthly, @yearly
	Timezone string        // that the fields are in, an IANA name. Empty: UTC
	CatchUp  time.Duration // runs missed for no longer than this are made up. Zero: none
	Overlap  Conflict      // a run that is due while one before it is not over. Empty: QueueRun
}

// Conflict is what becomes of a run that another one is in the way of.
type Conflict string

// The conflicts of runs.
const (
	QueueRun   Conflict = "queue"   // it waits for the other
	JoinRun    Conflict = "join"    // it takes the other's report for its own
	ReplaceRun Conflict = "replace" // the other is cancelled
	SkipRun    Conflict = "skip"    // it is not made
)

// Concurrency puts runs into groups of which one run at a time is driven.
type Concurrency struct {
	Group      expression.Template // over params, env and run. Zero: the pipeline's name
	OnConflict Conflict            // empty: QueueRun
}

// Next is the first time after a moment at which a run is due, or the zero time when none ever is. A line with
// hours of its own is due once for each time that it names: when the clocks go forward over it, by as much
// later; when they go back over it, the first time. A line for all hours goes by the hours as they pass.
func (s *Schedule) Next(after time.Time) (time.Time, error) {
	zone, err := time.LoadLocation(s.Timezone)
	if err != nil {
		return time.Time{}, fmt.Errorf("schedule: %w", err)
	}
	var next time.Time
	for _, line := range s.Cron {
		times, err := parseCron(line)
		if err != nil {
			return time.Time{}, fmt.Errorf("schedule: %w", err)
		}
		if at := nextIn(zone, line, times, after); !at.IsZero() && (next.IsZero() || at.Before(next)) {
			next = at
		}
	}
	return next, nil
}

// nextIn is the next time of a line in a zone.
func nextIn(zone *time.Location, line string, times cron.Schedule, after time.Time) time.Time {
	fields := strings.Fields(line)
	if line == "@hourly" || len(fields) > 1 && strings.Contains(fields[1], "*") {
		return times.Next(after.In(zone))
	}
	local := after.In(zone)
	wall := time.Date(local.Year(), local.Month(), local.Day(), local.Hour(), local.Minute(), local.Second(), 0, time.UTC)
	for {
		if wall = times.Next(wall); wall.IsZero() {
			return wall
		}
		at := firstAt(wall, zone)
		if at.After(after) {
			return at
		}
	}
}

// firstAt is the first moment at which the clocks of a zone show a time; later by as much as they jump over it.
func firstAt(wall time.Time, zone *time.Location) time.Time {
	at := time.Date(wall.Year(), wall.Month(), wall.Day(), wall.Hour(), wall.Minute(), 0, 0, zone)
	for _, back := range []time.Duration{time.Hour, 30 * time.Minute} { // by how much clocks go back
		if before := at.Add(-back); before.Hour() == at.Hour() && before.Minute() == at.Minute() {
			return before
		}
	}
	return at
}

// CheckCron says why a text cannot be a line of [Schedule].Cron.
func CheckCron(line string) error {
	_, err := parseCron(line)
	return err
}

// parseCron reads the five fields. A zone has a key of its own, and @every counts from whenever the
// program was started, so neither is a part of it.
func parseCron(line string) (cron.Schedule, error) {
	wrong := func(why string) error {
		return fmt.Errorf("%q is not a cron line: %s", wording.Shorten(line, 60), why)
	}
	if strings.Contains(line, "TZ=") {
		return nil, wrong("the zone stands under timezone")
	}
	if strings.HasPrefix(line, "@every") {
		return nil, wrong("it has minute, hour, day, month and weekday; each quarter of an hour is */15 * * * *")
	}
	parser := cron.NewParser(cron.Minute | cron.Hour | cron.Dom | cron.Month | cron.Dow | cron.Descriptor)
	times, err := parser.Parse(line)
	if err != nil {
		return nil, wrong(err.Error())
	}
	if times.Next(time.Unix(0, 0).UTC()).IsZero() {
		return nil, wrong("there is no such day")
	}
	return times, nil
}

// CheckTimezone says why a name cannot be the zone of a [Schedule]: Local would be another zone on each machine.
func CheckTimezone(name string) error {
	if name == "Local" {
		return errors.New(`"Local" is another time zone on each machine; write its name, such as Europe/Berlin`)
	}
	if _, err := time.LoadLocation(name); err != nil {
		return fmt.Errorf("there is no time zone %q; write a name such as Europe/Berlin", wording.Shorten(name, 60))
	}
	return nil
}

// GroupOf is the group of a run, of which one at a time is driven; empty: any number of them.
func (p *Plan) GroupOf(params map[string]any, id string, scheduledAt time.Time) (string, error) {
	if p.Concurrency == nil {
		return "", nil
	}
	if p.Concurrency.Group.IsZero() {
		return p.Name, nil
	}
	r := &Run{plan: p, params: params, values: expression.RunValues{ID: id, Name: p.Name, ScheduledAt: scheduledAt.UTC(), Attempt: 1}}
	err := r.resolveEnv()
	var v any
	if err == nil {
		v, err = p.Concurrency.Group.Eval(&expression.Scope{Params: r.params, Env: r.env, Run: r.values})
	}
	var group string
	if err == nil {
		group, err = value.Text(v)
	}
	if err != nil {
		return "", fmt.Errorf("pipeline %q: group: %w", p.Name, err)
	}
	return group, nil
}
