package gearman

import (
	"context"
	"slices"
	"strconv"
	"strings"
	"time"
)

// FunctionStatus is one line of the admin command "status".
type FunctionStatus struct {
	Function                 string
	Jobs, Running, Available int // jobs in all, those with a worker, connections that can do it
}

// FunctionQueue is one line of "prioritystatus": jobs that wait, by priority.
type FunctionQueue struct {
	Function          string
	High, Normal, Low int
	Available         int // connections that can do it
}

// WorkerStatus is one line of "workers", which lists every connection.
type WorkerStatus struct {
	Connection int
	Address    string
	ID         string // empty if the peer has not named itself
	Functions  []string
}

// JobStatus is one line of "show jobs".
type JobStatus struct {
	Handle     string
	Retries    int
	Background bool
}

// DeadLetter is a background job that used up its attempts.
type DeadLetter struct {
	Handle, Function, Key string
	Attempts              int
	Size                  int // bytes of payload
	Died                  time.Time

	// Only from [Admin.DeadLetter]:

	Priority string        // "high", "normal" or "low"
	Payload  string        // its beginning, with control bytes as \xNN
	History  []DeadAttempt // the last ones, oldest first
}

// DeadAttempt is one attempt of a dead letter.
type DeadAttempt struct {
	Number         int
	Worker         string // its id or, without one, its address
	Started, Ended time.Time
	Reason         string // "timeout", "worker lost", "failed", "exception" or "payload lost"
	Detail         string // the beginning of what the worker said of it, with control bytes as \xNN; often none
}

// Functions lists all functions with their jobs and workers.
func (a *Admin) Functions(ctx context.Context) ([]FunctionStatus, error) {
	var all []FunctionStatus
	err := a.lines(ctx, "status", nil, func(line string) bool {
		name, n, ok := columns(line, 3)
		if ok {
			all = append(all, FunctionStatus{Function: name, Jobs: n[0], Running: n[1], Available: n[2]})
		}
		return ok
	})
	return all, err
}

// Queues lists all functions with the jobs that wait, by priority.
func (a *Admin) Queues(ctx context.Context) ([]FunctionQueue, error) {
	var all []FunctionQueue
	err := a.lines(ctx, "prioritystatus", nil, func(line string) bool {
		name, n, ok := columns(line, 4)
		if ok {
			all = append(all, FunctionQueue{name, n[0], n[1], n[2], n[3]})
		}
		return ok
	})
	return all, err
}

// Workers lists all connections.
func (a *Admin) Workers(ctx context.Context) ([]WorkerStatus, error) {
	var all []WorkerStatus
	err := a.lines(ctx, "workers", nil, func(line string) bool {
		before, functions, found := strings.Cut(line+" ", " : ")
		part := strings.SplitN(before, " ", 3)
		if !found || len(part) < 3 {
			return false
		}
		number, err := strconv.Atoi(part[0])
		if err != nil {
			return false
		}
		if part[2] == "-" {
			part[2] = ""
		}
		all = append(all, WorkerStatus{number, part[1], part[2], strings.Fields(functions)})
		return true
	})
	return all, err
}

// Jobs lists all jobs.
func (a *Admin) Jobs(ctx context.Context) ([]JobStatus, error) {
	var all []JobStatus
	err := a.lines(ctx, "show jobs", nil, func(line string) bool {
		handle, n, ok := columns(line, 3)
		if ok {
			all = append(all, JobStatus{Handle: handle, Retries: n[0], Background: n[2] != 0})
		}
		return ok
	})
	return all, err
}

// Keys lists the keys of all jobs; those without one are empty.
func (a *Admin) Keys(ctx context.Context) ([]string, error) {
	var all []string
	err := a.lines(ctx, "show unique jobs", nil, func(line string) bool {
		all = append(all, line)
		return true
	})
	return all, err
}

// DeadLetters lists the dead letters, the oldest first.
func (a *Admin) DeadLetters(ctx context.Context) ([]DeadLetter, error) {
	var all []DeadLetter
	err := a.lines(ctx, "dead letters", nil, func(line string) bool {
		part := strings.Split(line, "\t")
		if len(part) < 6 {
			return false
		}
		d := DeadLetter{Handle: part[0], Function: part[1], Key: part[2]}
		d.Attempts, d.Size, d.Died = countOf(part[3]), countOf(part[4]), moment(part[5])
		all = append(all, d)
		return true
	})
	return all, err
}

// DeadLetter tells everything about one dead letter.
func (a *Admin) DeadLetter(ctx context.Context, handle string) (DeadLetter, error) {
	var d DeadLetter
	err := a.lines(ctx, "show dead", []string{handle}, func(line string) bool {
		name, value, found := strings.Cut(line, "\t")
		if found {
			d.set(name, value)
		}
		return found
	})
	return d, err
}

// set takes in one line of "show dead". What a newer server adds is left out.
func (d *DeadLetter) set(name, value string) {
	switch name {
	case "handle":
		d.Handle = value
	case "function":
		d.Function = value
	case "unique":
		d.Key = value
	case "priority":
		d.Priority = value
	case "died":
		d.Died = moment(value)
	case "attempts":
		d.Attempts = countOf(value)
	case "size":
		d.Size = countOf(value)
	case "payload":
		d.Payload = value
	case "attempt":
		if part := strings.Split(value, "\t"); len(part) >= 5 {
			at := DeadAttempt{Number: countOf(part[0]), Worker: part[1], Started: moment(part[2]), Ended: moment(part[3]), Reason: part[4]}
			if len(part) > 5 {
				at.Detail = part[5]
			}
			d.History = append(d.History, at)
		}
	}
}

// columns splits a line into a name, which may contain tabs, and n numbers.
func columns(line string, n int) (name string, numbers []int, ok bool) {
	for range n {
		i := strings.LastIndexByte(line, '\t')
		if i < 0 {
			return "", nil, false
		}
		value, err := strconv.Atoi(line[i+1:])
		if err != nil {
			return "", nil, false
		}
		numbers, line = append(numbers, value), line[:i]
	}
	slices.Reverse(numbers)
	return line, numbers, true
}

// countOf is 0 for what is none.
func countOf(text string) int {
	n, err := strconv.Atoi(text)
	if err != nil {
		return 0
	}
	return n
}

// moment is the zero time for what is none.
func moment(text string) time.Time {
	t, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return time.Time{}
	}
	return t
}
