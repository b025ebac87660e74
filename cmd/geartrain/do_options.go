package main

import (
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/geartrain/geartrain/gearman"
)

// taskFlags are what `do` can say of a job beyond the letters of the gearman command.
type taskFlags struct {
	retain, fresh  time.Duration
	again          bool
	at             string
	attempts       int
	delay          time.Duration
	attemptTimeout time.Duration
	reject         bool
}

func (f *taskFlags) register(flags *pflag.FlagSet) {
	flags.DurationVar(&f.retain, "retain", 0, "keep the result so long as the answer for the key")
	flags.DurationVar(&f.fresh, "fresh", 0, "take a kept result that is no older than this, 0 for any")
	flags.BoolVar(&f.again, "again", false, "take no kept result, run again")
	flags.StringVar(&f.at, "at", "", "not before this time: 18:30, 2026-11-30T18:30:00Z, or +10m from now")
	flags.IntVar(&f.attempts, "attempts", 0, "runs in all, if they fail; the server tries again by itself")
	flags.DurationVar(&f.delay, "delay", 0, "before the second attempt; each further one is twice as long")
	flags.DurationVar(&f.attemptTimeout, "attempt-timeout", 0, "how long a worker may have the job in one attempt")
	flags.BoolVar(&f.reject, "reject-conflict", false, "refuse (8) if the key is in use with another payload")
}

// set puts them into a task.
func (f *taskFlags) set(t *gearman.Task, now time.Time) error {
	at, err := f.moment(now)
	switch {
	case err != nil:
		return err
	case f.again && f.fresh != 0:
		return usageError("--again and --fresh: either no kept result is taken, or one that is fresh")
	case (f.retain != 0 || f.fresh != 0 || f.again) && t.Key == "":
		return usageError("--retain, --fresh and --again are about a key: give one with -u")
	case f.attempts < 0:
		return usageError("--attempts %d: a job runs once at least", f.attempts)
	}
	t.RunAt, t.Retain, t.Fresh = at, f.retain, f.fresh
	if f.again {
		t.Fresh = -1
	}
	t.Timeout, t.RejectConflict = f.attemptTimeout, f.reject
	t.ServerRetry = gearman.Retry{Attempts: f.attempts, Delay: f.delay}
	return nil
}

// moment reads --at. A time of day is the next one, in local time.
func (f *taskFlags) moment(now time.Time) (time.Time, error) {
	if f.at == "" {
		return time.Time{}, nil
	}
	if after, relative := strings.CutPrefix(f.at, "+"); relative {
		if d, err := time.ParseDuration(after); err == nil && d >= 0 {
			return now.Add(d), nil
		}
	}
	if t, err := time.Parse(time.RFC3339, f.at); err == nil {
		return t, nil
	}
	if t, err := time.ParseInLocation("15:04", f.at, now.Location()); err == nil {
		at := time.Date(now.Year(), now.Month(), now.Day(), t.Hour(), t.Minute(), 0, 0, now.Location())
		if at.Before(now) {
			at = at.AddDate(0, 0, 1)
		}
		return at, nil
	}
	return time.Time{}, usageError("--at %.40q: want 18:30, 2026-11-30T18:30:00Z or +10m", f.at)
}
