package flow

import (
	"encoding/json"
	"time"
	"unicode/utf8"

	"github.com/geartrain/geartrain/flow/value"
	"github.com/geartrain/geartrain/gearman"
)

// DefaultRetain is how long a server that can is asked to keep the results of a run's jobs.
const DefaultRetain = 24 * time.Hour

// alwaysRetain is how long it is asked to keep those of a stage that is always fresh.
const alwaysRetain = 365 * 24 * time.Hour

// Journal keeps what becomes of a run beyond the process that drives it, so that a run that is started
// again repeats nothing that it has an answer for. Package runs keeps one in files.
//
//	job ──► Answer? ──► yes: that is its result; no worker hears of it
//	           │
//	           └─ no ──► submitted ──► ended ──► Job ──► the result goes on its way
//
// Its methods may be called from any goroutine. What the records refer to is the run's again when they
// return. An error of Job stops the stage: the run is not to go on.
type Journal interface {
	// Answer is the result of an earlier job with this key, as the worker sent it. Which answers are not
	// too old is for stage.Fresh to say; those of the run itself never are.
	Answer(stage *Stage, key string) (Answer, bool)
	// Job records what happened to a job.
	Job(stage *Stage, r *JobRecord) error
	// Stage records that a stage has begun or ended.
	Stage(r *StageRecord) error
	// Hook is the last record of a hook after such an end.
	Hook(id HookID) (HookRecord, bool)
	// HookDone records that a hook was done.
	HookDone(r *HookRecord) error
	// Flush returns when all that was recorded is safe.
	Flush() error
}

// Answer is an earlier result.
type Answer struct {
	Result  []byte // the run may keep it
	Attempt int
	EndedAt time.Time
}

// Outcome is what happened to a job.
type Outcome string

// The outcomes.
const (
	OutcomeDone     Outcome = "done"     // a worker gave the result, or a server that had kept it
	OutcomeAnswered Outcome = "answered" // the journal had it, so the record has none
	OutcomeJoined   Outcome = "joined"   // the item is equal to another one of the stage, and shares its end
	OutcomeFailed   Outcome = "failed"   // after the last attempt
	OutcomeRetried  Outcome = "retried"  // an attempt failed, and there will be another
	OutcomeWarned   Outcome = "warned"   // nothing yet: the worker sent a warning
)

// JobRecord is what happened to the job of one item. It is all that [KeyParts] are made of, with the
// stage's [StageRecord].
type JobRecord struct {
	Stage     string
	Place     int // of the item in its stage, from 0
	Key       string
	Outcome   Outcome
	Item      Datum
	Arguments Datum     // what the key is made of
	Result    []byte    // of OutcomeDone: as the worker sent it
	Attempt   int       // the last one, from 1; 0: none was made
	Reason    string    // of failures: as in JobFailure
	Message   string    // of failures and warnings
	AddedAt   time.Time // when it was submitted
	EndedAt   time.Time
}

// StageRecord is a stage in one start of a run.
type StageRecord struct {
	Stage    string        `json:"stage"`
	Function string        `json:"function"`
	Version  string        `json:"version"`
	Scope    string        `json:"scope"` // of its keys: the run, or empty
	Progress StageProgress `json:"progress"`
	Error    string        `json:"error,omitempty"`
}

// Datum is an item or arguments, as they are.
type Datum struct {
	Kind KeyKind
	Raw  []byte
}

// JSON is the datum as a JSON value; bytes that are no text as a text with replacements.
func (d Datum) JSON() json.RawMessage {
	switch d.Kind {
	case KeyJSON:
		return d.Raw
	case KeyText, KeyBytes:
		if text, err := value.EncodeJSON(string(d.Raw)); err == nil {
			return text
		}
	}
	return json.RawMessage("null")
}

func (it item) datum() Datum {
	switch {
	case it.form == noItem:
		return Datum{KeyNone, nil}
	case it.form == jsonItem:
		return Datum{KeyJSON, it.raw}
	case utf8.Valid(it.raw):
		return Datum{KeyText, it.raw}
	}
	return Datum{KeyBytes, it.raw}
}

// HookID says which hook, after which end.
type HookID struct {
	Stage  string `json:"stage,omitempty"` // empty: of the run
	On     string `json:"on"`              // on_success, ...
	Index  int    `json:"index"`
	Status Status `json:"status"` // how the stage or the run ended
}

// HookRecord is a hook that was done.
type HookRecord struct {
	ID      HookID     `json:"id"`
	Attempt int        `json:"attempt"` // of the run
	Report  HookReport `json:"report"`
}

// answer gives the job a result that the journal has, if it has one.
func (j *job) answer() bool {
	s := j.stage
	if s.run.journal == nil || s.force {
		return false
	}
	found, ok := s.run.journal.Answer(j.maker.spec, j.key)
	if !ok {
		return false
	}
	j.outcome = OutcomeAnswered
	j.completed(gearman.Result{Payload: found.Result, Attempt: found.Attempt})
	return true
}

// record keeps what happened to the item at a place. What cannot be kept ends the stage.
func (j *job) record(place int, outcome Outcome, fill func(*JobRecord)) {
	s := j.stage
	if s.run.journal == nil && s.run.runner.Tape == nil {
		return
	}
	r := j.newRecord(place, outcome)
	fill(&r)
	err := j.recordOnTape(&r)
	if s.run.journal != nil && err == nil {
		err = s.run.journal.Job(j.maker.spec, &r)
	}
	if err != nil {
		s.abort(err)
	}
}

func (j *job) newRecord(place int, outcome Outcome) JobRecord {
	return JobRecord{
		Stage: j.stage.spec.Name, Place: place, Key: j.key, Outcome: outcome,
		Item: j.item.datum(), Arguments: j.arguments.datum(),
		AddedAt: j.addedAt, EndedAt: time.Now(),
	}
}

// recordResult keeps the job's result, or that there was one.
func (j *job) recordResult() {
	if j.outcome == OutcomeAnswered {
		j.record(j.place, OutcomeAnswered, func(to *JobRecord) { to.Attempt = j.attempt })
		return
	}
	j.record(j.place, OutcomeDone, func(to *JobRecord) { to.Result, to.Attempt = j.result, j.attempt })
}

// recordStage keeps how far the stage is. An ended stage is safe when it returns.
func (s *stageRun) recordStage() error {
	if s.run.journal == nil {
		return nil
	}
	r := StageRecord{
		Stage: s.spec.Name, Function: s.spec.Function, Version: s.spec.Version,
		Scope: s.run.scopeOf(s.spec), Progress: s.snapshot(),
	}
	if err := s.endError(); err != nil {
		r.Error = err.Error()
	}
	err := s.run.journal.Stage(&r)
	if err == nil && r.Progress.Status.Ended() {
		err = s.run.journal.Flush()
	}
	return err
}

// scopeOf is the scope of a stage's keys.
func (r *Run) scopeOf(s *Stage) string {
	if s.Fresh == (Fresh{}) {
		return r.id
	}
	return ""
}

// ages are how long the result of a job is to be kept, and how old an earlier one may be, as
// [gearman.Task] has them.
func (s *stageRun) ages(spec *Stage) (retain, fresh time.Duration) {
	if s.force {
		return s.run.retain(spec), -1
	}
	return s.run.retain(spec), spec.Fresh.For
}

// retain is how long a server that can is to keep the results of a stage.
func (r *Run) retain(s *Stage) time.Duration {
	switch {
	case s.Fresh.Always:
		return max(r.retention, alwaysRetain)
	case s.Fresh.For > 0:
		return max(r.retention, s.Fresh.For)
	}
	return r.retention
}
