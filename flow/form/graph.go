package form

import (
	"fmt"
	"slices"
	"strings"

	"github.com/geartrain/geartrain/flow"
	"github.com/geartrain/geartrain/flow/expression"
	"github.com/geartrain/geartrain/flow/form/document"
)

// before is the stages that a stage waits for or streams from, directly.
func (l *loader) before(s *stageSource) []*stageSource {
	var out []*stageSource
	for _, name := range slices.Concat(s.Needs, s.reads()) {
		if other := l.stage(name); other != nil && !slices.Contains(out, other) {
			out = append(out, other)
		}
	}
	return out
}

// checkCycles reports each circle of stages once, as a path, and whether there was none.
func (l *loader) checkCycles() bool {
	const walking, finished = 1, 2
	state := map[*stageSource]int{}
	ok := true
	var path []*stageSource
	var walk func(s *stageSource)
	walk = func(s *stageSource) {
		state[s] = walking
		path = append(path, s)
		for _, other := range l.before(s) {
			switch state[other] {
			case walking:
				ok = false
				l.reportCycle(path[slices.Index(path, other):])
			case 0:
				walk(other)
			}
		}
		path = path[:len(path)-1]
		state[s] = finished
	}
	for _, s := range l.stages {
		if state[s] == 0 {
			walk(s)
		}
	}
	return ok
}

func (l *loader) reportCycle(circle []*stageSource) {
	var b strings.Builder
	for i, s := range circle {
		next := circle[(i+1)%len(circle)]
		at := s.edge(next.Name)
		fmt.Fprintf(&b, "%q (line %d, column %d) waits for ", s.Name, at.Line, at.Column)
	}
	fmt.Fprintf(&b, "%q", circle[0].Name)
	if len(circle) == 1 {
		l.Add(circle[0].edge(circle[0].Name), "cycle", fmt.Sprintf("stage %q waits for itself", circle[0].Name), "")
		return
	}
	l.Add(circle[0].edge(circle[1].Name), "cycle", "the stages wait for each other: "+b.String(), "")
}

// edge is where a stage says that it comes after another.
func (s *stageSource) edge(name string) document.Span {
	for _, n := range s.needs {
		if n.Text == name {
			return n.Span
		}
	}
	for _, key := range []string{"stream", "for_each", "args"} {
		if n := s.fields[key]; n != nil && slices.Contains(s.Input.From, name) {
			return n.Span
		}
	}
	for _, t := range s.tasks {
		if slices.Contains(t.Input.From, name) {
			return t.edge(name)
		}
	}
	return s.at
}

// ancestors is every stage that has ended when s begins. A stage that s streams from need not have.
func (l *loader) ancestors(s *stageSource) map[string]bool {
	ended := map[string]bool{}
	var walk func(names []string)
	walk = func(names []string) {
		for _, name := range names {
			other := l.stage(name)
			if other == nil || ended[name] {
				continue
			}
			ended[name] = true
			walk(slices.Concat(other.Needs, other.reads()))
		}
	}
	walk(s.Needs)
	return ended
}

// checkOrder finds uses of a stage that need not have ended. After it, the stages of an input that
// is not streamed are among the needs.
func (l *loader) checkOrder() {
	ended := map[*stageSource]map[string]bool{}
	for _, s := range l.stages {
		ended[s] = l.ancestors(s)
	}
	for _, t := range l.templates {
		for _, u := range t.AllUses() {
			if u.Context != expression.ContextStages || t.stage == nil || l.stage(u.Name) == nil || ended[t.stage.stageOf()][u.Name] {
				continue
			}
			if s := t.stage.stageOf(); t.atEnd && (u.Name == s.Name || slices.Contains(s.Input.From, u.Name)) {
				continue // they have ended too
			}
			l.Add(l.within(t.node.At(u.Path), u.Offset), "unordered-use",
				fmt.Sprintf("stage %q uses stages.%s but does not wait for it", t.stage.stageOf().Name, u.Name), t.stage.stageOf().orderHint(u.Name))
		}
	}
	for _, s := range l.stages {
		if s.Input.Stream {
			continue
		}
		for _, name := range s.reads() {
			if !slices.Contains(s.Needs, name) {
				s.Needs = append(s.Needs, name)
			}
		}
	}
}

func (s *stageSource) orderHint(name string) string {
	if s.Name == name {
		return "a stage has no results before it ends"
	}
	if s.waits {
		return fmt.Sprintf("add %q to its needs", name)
	}
	return fmt.Sprintf("put it after %q", name)
}

// ordered is the stages, each after all it comes after, otherwise as they stand in the file.
func (l *loader) ordered() []flow.Stage {
	var out []flow.Stage
	placed := map[*stageSource]bool{}
	var place func(s *stageSource)
	place = func(s *stageSource) {
		if placed[s] {
			return
		}
		placed[s] = true
		for _, other := range l.before(s) {
			place(other)
		}
		for _, t := range s.tasks {
			s.Tasks = append(s.Tasks, t.Stage)
		}
		out = append(out, s.Stage)
	}
	for _, s := range l.stages {
		place(s)
	}
	return out
}
