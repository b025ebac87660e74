package flow

import (
	"fmt"
	"slices"

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
	problems
	list []serverNeed
}

type serverNeed struct {
	what  serverFeature
	name  string // of the function
	title string // of the stage
	at    span
}

type serverFeature uint8

const (
	needsWorker serverFeature = iota
	needsRetention
	needsCancel
	needsLate
)

// needsServer keeps what a stage, or with nil a hook of the run, asks of servers.
func (l *loader) needsServer(what serverFeature, name string, s *stageSource, n *node) {
	if n == nil {
		return
	}
	title := "the pipeline"
	if s != nil {
		title = s.title()
	}
	l.needs = append(l.needs, serverNeed{what, name, title, n.span})
}

// CheckServer finds what a plan that was read from a file, and its parts, ask of servers that do not have
// it: functions that nobody works on, as problems; and what will be otherwise than the file says, as
// warnings.
func (p *Plan) CheckServer(facts ServerFacts) []Problem {
	var declared []string
	for _, part := range p.Plans() {
		for _, f := range part.Functions {
			declared = append(declared, f.Name)
		}
	}
	var found []Problem
	for _, part := range p.Plans() {
		if part.needs == nil {
			continue
		}
		ps := problems{file: part.needs.file, lines: part.needs.lines}
		for _, need := range part.needs.list {
			need.check(&ps, facts, declared)
		}
		found = append(found, ps.sorted()...)
	}
	return found
}

func (need serverNeed) check(ps *problems, facts ServerFacts, declared []string) {
	switch {
	case need.what == needsWorker && !slices.Contains(declared, need.name) && !slices.Contains(facts.Functions, need.name):
		hint := wording.DidYouMean(need.name, facts.Functions)
		if hint == "" {
			hint = "start a worker for it, or declare its command under functions:"
		}
		ps.add(need.at, "function", fmt.Sprintf("no connected worker offers the function %q of %s", need.name, need.title), hint)
	case need.what == needsRetention && !facts.Retention:
		ps.warn(need.at, "capability", fmt.Sprintf("the server keeps no results for %s: an earlier one is found only in the state folder of this machine", need.title), "")
	case need.what == needsCancel && !facts.Cancel:
		ps.warn(need.at, "capability", fmt.Sprintf("the server cannot end jobs that run: when %s has ended early, they go on at their workers and their results are dropped", need.title), "")
	case need.what == needsLate && !facts.Late:
		ps.warn(need.at, "capability", fmt.Sprintf("the server takes no late results: those of %s are dropped", need.title), "")
	}
}
