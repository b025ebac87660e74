package flow

import (
	"time"

	"github.com/geartrain/geartrain/flow/expression"
)

// Report is what became of a run.
type Report struct {
	Pipeline    string        `json:"pipeline"`
	Run         string        `json:"run"`
	Status      Status        `json:"status"`
	ScheduledAt time.Time     `json:"scheduled_at"`
	StartedAt   time.Time     `json:"started_at"`
	EndedAt     time.Time     `json:"ended_at"`
	Stages      []StageReport `json:"stages"`
	Hooks       []HookReport  `json:"hooks,omitempty"` // those of the run itself
}

// StageReport is what became of a stage.
type StageReport struct {
	StageProgress
	Error    string       `json:"error,omitempty"`
	Failures []JobFailure `json:"failures,omitempty"` // the first few
	Reasons  []Reason     `json:"reasons,omitempty"`  // of all of them, most frequent first
	Hooks    []HookReport `json:"hooks,omitempty"`
}

// HookReport is what became of a hook.
type HookReport struct {
	On        string    `json:"on"`   // on_success, on_failure, on_cancel or on_exit
	Hook      string    `json:"hook"` // its function, or the first line of its command
	StartedAt time.Time `json:"started_at"`
	EndedAt   time.Time `json:"ended_at"`
	Error     string    `json:"error,omitempty"`
}

func (r *Run) makeReport(status Status) *Report {
	report := &Report{
		Pipeline: r.plan.Name, Run: r.id, Status: status,
		ScheduledAt: r.values.ScheduledAt, StartedAt: r.startedAt, EndedAt: time.Now(),
	}
	for _, s := range r.stages {
		report.Stages = append(report.Stages, s.stageReport())
	}
	return report
}

func (s *stageRun) stageReport() StageReport {
	report := StageReport{StageProgress: s.snapshot()}
	report.Failures, report.Reasons = s.failureReport()
	s.mu.Lock()
	report.Hooks = s.hooks
	s.mu.Unlock()
	if err := s.endError(); err != nil {
		report.Error = err.Error()
	}
	return report
}

func (s *stageRun) stageError() *StageError {
	p := s.snapshot()
	e := &StageError{
		Pipeline: s.run.plan.Name, Stage: s.spec.Name,
		Status: p.Status, Jobs: p.Added, Failed: p.Failed, Err: s.endError(),
	}
	e.First, e.Reasons = s.failureReport()
	return e
}

func (s *stageRun) failureReport() ([]JobFailure, []Reason) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.failures.first, s.failures.groups()
}

func (s *stageRun) endError() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}

// values is the ended stage as expressions see it.
func (s *stageRun) values() expression.StageValues {
	p := s.snapshot()
	return expression.StageValues{Results: s.list, Failures: s.failList, Count: p.Added, Status: string(p.Status)}
}

// close gives the stage's files back.
func (s *stageRun) close() {
	// What is lost with these errors is only what nobody will read.
	_ = s.results.close()
	_ = s.failures.records.close()
	if s.order != nil {
		s.order.close()
	}
	if s.frontier != nil {
		_ = s.frontier.records.close()
	}
}
