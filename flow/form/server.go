package form

import (
	"fmt"
	"slices"

	"github.com/geartrain/geartrain/flow/form/document"
	"github.com/geartrain/geartrain/flow/wording"
)

// ServerFacts are what is known of the job servers that a pipeline is to run on.
type ServerFacts struct {
	Functions []string // that some connected worker offers
	Retention bool     // results are kept as answers for their keys
	Cancel    bool     // running jobs can be ended
	Late      bool     // a result that comes after its timeout can be taken
}

// needs are what a file asks of servers, with where it does.
type needs struct {
	document.Problems
	list []serverNeed
}

type serverNeed struct {
	what  serverFeature
	name  string // of the function
	title string // of the stage
	at    document.Span
}

type serverFeature uint8

const (
	needsWorker serverFeature = iota
	needsRetention
	needsCancel
	needsLate
)

// needsServer keeps what a stage, or with nil a hook of the run, asks of servers.
func (l *loader) needsServer(what serverFeature, name string, s *stageSource, n *document.Node) {
	if n == nil {
		return
	}
	title := "the pipeline"
	if s != nil {
		title = s.title()
	}
	l.needs = append(l.needs, serverNeed{what, name, title, n.Span})
}

// CheckServer finds what a file and its parts ask of servers that do not have
// it: functions that nobody works on, as problems; and what will be otherwise than the file says, as
// warnings.
func (f *File) CheckServer(facts ServerFacts) []document.Problem {
	var declared []string
	for _, part := range f.Plan.Plans() {
		for _, function := range part.Functions {
			declared = append(declared, function.Name)
		}
	}
	var found []document.Problem
	for _, part := range f.Plan.Plans() {
		asked := f.asked[part]
		if asked == nil {
			continue
		}
		ps := document.Problems{File: asked.File, Lines: asked.Lines}
		for _, need := range asked.list {
			need.check(&ps, facts, declared)
		}
		found = append(found, ps.Sorted()...)
	}
	return found
}

func (need serverNeed) check(ps *document.Problems, facts ServerFacts, declared []string) {
	switch {
	case need.what == needsWorker && !slices.Contains(declared, need.name) && !slices.Contains(facts.Functions, need.name):
		hint := wording.DidYouMean(need.name, facts.Functions)
		if hint == "" {
			hint = "start a worker for it, or declare its command under functions:"
		}
		ps.Add(need.at, "function", fmt.Sprintf("no connected worker offers the function %q of %s", need.name, need.title), hint)
	case need.what == needsRetention && !facts.Retention:
		ps.Warn(need.at, "capability", fmt.Sprintf("the server keeps no results for %s: an earlier one is found only in the state folder of this machine", need.title), "")
	case need.what == needsCancel && !facts.Cancel:
		ps.Warn(need.at, "capability", fmt.Sprintf("the server cannot end jobs that run: when %s has ended early, they go on at their workers and their results are dropped", need.title), "")
	case need.what == needsLate && !facts.Late:
		ps.Warn(need.at, "capability", fmt.Sprintf("the server takes no late results: those of %s are dropped", need.title), "")
	}
}
