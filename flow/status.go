package flow

import "time"

// Status is how far a run or a stage is, or how it ended. The words of endings are those of
// OpenTelemetry's pipeline conventions.
//
//	waiting ──► running ──► success       all jobs done
//	   │           ├──────► partial       some failed, within the budget
//	   │           ├──────► failure       more failed than the budget allows, or the stage could not go on
//	   │           ├──────► timeout       the run's time was over
//	   │           └──────► cancellation  cancelled or drained before all was done
//	   ├──────────────────► skip          its condition was false; that counts as done
//	   └──────────────────► blocked       a stage that it needs did not end well
//
// A stage that streams from one that failed has begun, and becomes blocked too.
type Status string

// The statuses.
const (
	Waiting   Status = "waiting"
	Running   Status = "running"
	Success   Status = "success"
	Partial   Status = "partial"
	Failure   Status = "failure"
	Skipped   Status = "skip"
	Blocked   Status = "blocked"
	Cancelled Status = "cancellation"
	TimedOut  Status = "timeout"
)

// Ended reports whether nothing more happens.
func (s Status) Ended() bool { return s != Waiting && s != Running }

// Good reports whether what comes after may begin.
func (s Status) Good() bool { return s == Success || s == Partial || s == Skipped }

// StageProgress is how far a stage is.
type StageProgress struct {
	Stage  string `json:"stage"`
	Status Status `json:"status"`

	Added    int `json:"added"`    // items that became jobs, or are waiting to become one
	Waiting  int `json:"waiting"`  // of them: not submitted yet, because of the rate or the window
	Open     int `json:"open"`     // submitted and not answered
	Done     int `json:"done"`     // with a result
	Failed   int `json:"failed"`   // without one, after the last attempt
	Joined   int `json:"joined"`   // of Done and Failed: answered by an equal job of this stage
	Answered int `json:"answered"` // of Done: by an earlier result, so that no worker was asked
	Dropped  int `json:"dropped"`  // added and never submitted, or ended by a cancel
	Retries  int `json:"retries"`  // further attempts
	Refused  int `json:"refused"`  // items over max_items that were not added

	LeftOut int `json:"left_out,omitempty"` // items that are not in the sample

	InputClosed bool      `json:"input_closed"` // no more items come from outside: Added is final, but for discovery
	StartedAt   time.Time `json:"started_at,omitzero"`
	EndedAt     time.Time `json:"ended_at,omitzero"`
}

// Ended is how many of the stage's items need nothing more.
func (p StageProgress) Ended() int { return p.Done + p.Failed + p.Dropped }

// Rate is how many jobs ended in a second, over the whole time of the stage until now.
func (p StageProgress) Rate(now time.Time) float64 {
	if !p.EndedAt.IsZero() {
		now = p.EndedAt
	}
	if took := now.Sub(p.StartedAt).Seconds(); !p.StartedAt.IsZero() && took > 0 {
		return float64(p.Done+p.Failed) / took
	}
	return 0
}
