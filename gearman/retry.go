package gearman

import (
	"slices"
	"time"

	"github.com/cenkalti/backoff/v5"
)

// Retry says when and how often a task is tried again. The zero value is one attempt and no more.
//
// A further attempt is a new submission with the same key. If the job of the attempt before is still
// known to the server, queued or running, the new one joins it and no second run begins. While a
// retry waits for its time it holds no place in the set's limit. A worker's NoRetry is obeyed.
type Retry struct {
	Attempts int           // attempts in all, the first one included. Default: 1
	Delay    time.Duration // before the second attempt. Default: none, all attempts follow at once
	Backoff  float64       // each further delay is this many times the one before. Default: 2; 1: constant
	MaxDelay time.Duration // no delay is longer, jitter aside. Default: one minute, or Delay if that is longer
	Jitter   float64       // a delay d becomes a random one of d±Jitter*d, between 0 and 1. Default: 0
	On       []Reason      // what is tried again. Default: everything
}

// Reason is why an attempt ended without a result.
type Reason uint8

const (
	Failed    Reason = iota + 1 // the worker sent WORK_FAIL
	Exception                   // the worker sent WORK_EXCEPTION
	TimedOut                    // Task.Timeout was over
	Refused                     // the server answered the submission with ERROR, for instance since its queue is full
	Lost                        // the server no longer knows the job
)

// String is the reason as one lower-case word.
func (r Reason) String() string {
	switch r {
	case Failed:
		return "fail"
	case Exception:
		return "exception"
	case TimedOut:
		return "timeout"
	case Refused:
		return "refused"
	case Lost:
		return "lost"
	}
	return "unknown"
}

// again reports whether there is another attempt after the given number of them.
func (r *Retry) again(attempts int, why Reason) bool {
	return attempts < r.Attempts && (len(r.On) == 0 || slices.Contains(r.On, why))
}

// Wait is how long to wait after so many attempts that failed. With Jitter it is another time each time.
func (r Retry) Wait(attempts int) time.Duration {
	delays, d := r.delays(), time.Duration(0)
	for range attempts {
		d = delays.NextBackOff()
	}
	return d
}

// delays gives one delay after the other.
func (r *Retry) delays() backoff.BackOff {
	if r.Delay <= 0 {
		return &backoff.ZeroBackOff{}
	}
	b := &backoff.ExponentialBackOff{
		InitialInterval:     r.Delay,
		RandomizationFactor: min(max(r.Jitter, 0), 1),
		Multiplier:          r.Backoff,
		MaxInterval:         r.MaxDelay,
	}
	if b.Multiplier < 1 {
		b.Multiplier = 2
	}
	if b.MaxInterval <= 0 {
		b.MaxInterval = max(time.Minute, r.Delay)
	}
	b.InitialInterval = min(b.InitialInterval, b.MaxInterval)
	b.Reset()
	return b
}

// redials are the delays between attempts to reach a server that is down.
func redials() *backoff.ExponentialBackOff {
	return &backoff.ExponentialBackOff{
		InitialInterval:     50 * time.Millisecond,
		RandomizationFactor: 0.5,
		Multiplier:          2,
		MaxInterval:         2 * time.Second,
	}
}

// roomDelays are those between submissions to a queue that is full.
func roomDelays() *backoff.ExponentialBackOff {
	return &backoff.ExponentialBackOff{
		InitialInterval:     20 * time.Millisecond,
		RandomizationFactor: 0.5,
		Multiplier:          2,
		MaxInterval:         650 * time.Millisecond, // a second at most, with the factor
	}
}
