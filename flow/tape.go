package flow

import (
	"context"
	"errors"

	"github.com/geartrain/geartrain/gearman"
)

// Tape stands between runs and their workers: it plays what became of a job before, or hears what becomes
// of it now. Package cassette keeps one in a folder.
//
//	job ──► Play ──► true: that is its end
//	          │
//	          └─ false ──► submitted ──► ended ──► Record
//
// A run with a tape is a test. It does no hooks, and leaves nothing to chance: there are barriers in place of
// streams, and a stage that feeds itself goes level by level. Without a client nothing is submitted, and no
// rate holds.
// The methods may be called from any goroutine.
type Tape interface {
	// Play says what becomes of a job by setting Outcome, to OutcomeDone with Result, or to OutcomeFailed
	// with Reason and Message.
	Play(stage *Stage, job *JobRecord) bool
	// Record is told what became of a job, other than by Play. An error stops the stage.
	Record(stage *Stage, job *JobRecord) error
}

// play ends a job as the tape says, if it says anything.
func (j *job) play() bool {
	tape := j.stage.run.runner.Tape
	if tape == nil {
		return false
	}
	r := j.newRecord(j.place, "")
	if !tape.Play(j.maker.spec, &r) {
		return false
	}
	j.played = true
	if r.Outcome == OutcomeFailed {
		j.fail(&jobError{r.Reason, errors.New(r.Message)})
		return true
	}
	j.completed(gearman.Result{Payload: r.Result, Attempt: r.Attempt})
	return true
}

// recordOnTape keeps what became of a submitted job.
func (j *job) recordOnTape(r *JobRecord) error {
	tape := j.stage.run.runner.Tape
	if tape == nil || j.played || !j.submitted || j.stage.run.atEnd != nil { // what a part is made of is not on it
		return nil
	}
	return tape.Record(j.maker.spec, r)
}

// recordCut keeps on a tape that a job was cut off. When it is played it fails: it comes before the job
// that made the stage end, and counts as little there.
func (j *job) recordCut() {
	r := j.newRecord(j.place, OutcomeFailed)
	r.Reason, r.Message = "cancellation", "cut off by the end of its stage"
	if err := j.recordOnTape(&r); err != nil {
		j.stage.abort(err)
	}
}

// replays reports whether there is a tape and nobody else.
func (r *Runner) replays() bool { return r.Tape != nil && r.Client == nil && r.submitter == nil }

// noServer is a submitter for runs that have a tape alone.
type noServer struct{}

func (noServer) open(context.Context, int) taskSet { return noServer{} }

func (noServer) add(t gearman.Task) {
	t.OnFail(&gearman.TaskError{Function: t.Function, Key: t.Key, Err: gearman.ErrNoServers})
}

func (noServer) wait() {}
