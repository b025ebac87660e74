package queue

import (
	"path"
	"strings"
	"time"
)

// Policy is what holds for the functions whose names match Pattern. Of each of its parts, the first
// policy that matches and says something about it is taken.
type Policy struct {
	Pattern  string // as in [path.Match], but a slash is a character like any other
	Conflict Conflict

	// Retain is how long the result of a job with a key is the answer to submissions of that key.
	// Zero: nothing is said about results.
	Retain time.Duration

	// Fresh is how old such an answer may be. Zero: as old as Retain lets it be. After that, and for
	// Stale longer, it is given all the same while one background job makes a new one.
	Fresh, Stale time.Duration

	// Retry is for background jobs. Zero Attempts: nothing is said.
	Retry Retry

	// Late is about results of attempts that were taken from their workers.
	Late Late
}

// Late is what becomes of the result of an attempt that took too long, while its job has not ended.
type Late uint8

const (
	LateUnsaid  Late = iota // the next policy says it; none: it is dropped, unless the task asks for it
	LateDropped             // it is dropped, unless the task asks for it
	LateTaken               // it ends the job
)

// Conflict is what becomes of a submission whose key belongs to a job or result of another payload.
type Conflict uint8

const (
	Unsaid Conflict = iota // the next policy says it; none: Count
	Count                  // it joins the job; the difference is counted
	Reject                 // it is answered with ERROR KEY_CONFLICT
)

// Retry is how a job is tried again whose worker failed, got lost or took too long. It waits without
// being queued, and its clients hear nothing of it. After the last attempt a background job becomes a
// dead letter.
type Retry struct {
	Attempts int           // in all
	Delay    time.Duration // before the second one
	Backoff  float64       // each further delay is so many times the one before. Zero: 2
	MaxDelay time.Duration // no delay is longer. Zero: a minute
	Jitter   float64       // a delay d is a random one of d±Jitter*d
}

const (
	defaultBackoff  = 2
	defaultMaxDelay = time.Minute
)

// policyFor is what the policies together say of a function.
func (c *Config) policyFor(name string) Policy {
	var sum Policy
	for i := range c.Policies {
		p := &c.Policies[i]
		ok, err := path.Match(strings.ReplaceAll(p.Pattern, "/", "\x00"), strings.ReplaceAll(name, "/", "\x00"))
		if !ok || err != nil {
			continue
		}
		if sum.Conflict == Unsaid {
			sum.Conflict = p.Conflict
		}
		if sum.Retain == 0 {
			sum.Retain, sum.Fresh, sum.Stale = p.Retain, p.Fresh, p.Stale
		}
		if sum.Retry.Attempts == 0 {
			sum.Retry = p.Retry
		}
		if sum.Late == LateUnsaid {
			sum.Late = p.Late
		}
	}
	return sum
}
