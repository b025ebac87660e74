package gearman

import (
	"context"
	"strconv"
	"strings"
	"time"
)

// RetainedResult is a result that is kept as the answer for its key.
type RetainedResult struct {
	Function, Key string
	Size          int           // bytes
	Age, Left     time.Duration // since its job ended, and until it is forgotten; whole seconds
}

// ScheduledJob waits for its time, or for its next attempt.
type ScheduledJob struct {
	Handle, Function, Key string
	At                    time.Time
}

// Retained lists the results that are kept. Only this project's server keeps any.
func (a *Admin) Retained(ctx context.Context) ([]RetainedResult, error) {
	var all []RetainedResult
	err := a.lines(ctx, "show retained", nil, func(line string) bool {
		names, n, ok := columns(line, 3)
		function, key, two := strings.Cut(names, "\t")
		if ok && two {
			all = append(all, RetainedResult{function, key, n[0], time.Duration(n[1]) * time.Second, time.Duration(n[2]) * time.Second})
		}
		return ok && two
	})
	return all, err
}

// Scheduled lists the jobs that wait for their time. Only this project's server lists them.
func (a *Admin) Scheduled(ctx context.Context) ([]ScheduledJob, error) {
	var all []ScheduledJob
	err := a.lines(ctx, "show scheduled", nil, func(line string) bool {
		part := strings.Split(line, "\t")
		if len(part) < 4 {
			return false
		}
		at, err := strconv.ParseInt(part[3], 10, 64)
		if err != nil {
			return false
		}
		all = append(all, ScheduledJob{part[0], part[1], part[2], time.Unix(at, 0)})
		return true
	})
	return all, err
}

// CancelKey ends the job of a key, whoever waits for it.
func (a *Admin) CancelKey(ctx context.Context, function, key string) error {
	_, err := a.word(ctx, "cancel key", function, key)
	return err
}

// Pause has the server hand out no more jobs of a function; running ones go on, and new ones wait.
func (a *Admin) Pause(ctx context.Context, function string) error {
	_, err := a.word(ctx, "pause", function)
	return err
}

// Resume ends [Admin.Pause].
func (a *Admin) Resume(ctx context.Context, function string) error {
	_, err := a.word(ctx, "resume", function)
	return err
}

// Backup has the server write a copy of its data into a new folder on its own machine, while it runs.
// dir lies in the folder that the server was given for that, and may be relative to it.
func (a *Admin) Backup(ctx context.Context, dir string) error {
	_, err := a.word(ctx, "backup", dir)
	return err
}
