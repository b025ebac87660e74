package form

import (
	"fmt"
	"slices"

	"github.com/geartrain/geartrain/flow"
	"github.com/geartrain/geartrain/flow/expression"
)

// givesText reports whether all results of the stage are surely text.
func (s *stageSource) givesText() bool {
	return !slices.ContainsFunc(s.works(), func(w *stageSource) bool { return w.Output != flow.TextOutput || w.fields["pipeline"] != nil })
}

// checkGivenItem finds a fan-out whose runs would all be given the same.
func (l *loader) checkGivenItem(s *stageSource) {
	if n := s.fields["params"]; n != nil && (l.broken[n] || s.usesItem(s.Pipeline.Params)) {
		return
	}
	at := s.fields["pipeline"]
	if n := s.fields["params"]; n != nil {
		at = n
	}
	l.Add(at.Span, "key-constant", fmt.Sprintf(`"params" of %s does not use item: all its items would be one run`, s.title()),
		"use item, or write key: ${{ index }} when each is to be a run of its own")
}

// checkKept finds uses of results that are not kept, or not for that use.
func (l *loader) checkKept(s *stageSource) {
	for _, w := range append([]*stageSource{s}, s.tasks...) {
		for _, name := range w.Input.From {
			if from := l.stage(name); from != nil && from.Results.Keep == flow.KeepNone {
				l.Add(w.edge(name), "value", fmt.Sprintf("%s takes the results of stage %q, which keeps none", w.title(), name), `leave out "results" there`)
			}
		}
	}
	if s.Results.Keep == flow.KeepInline {
		return
	}
	for _, t := range l.templates {
		if _, isInput := stagesInput(t.Template); isInput && (t.key == "for_each" || t.key == "args") {
			continue
		}
		for _, u := range t.AllUses() {
			if u.Context != expression.ContextStages || u.Name != s.Name || u.Field != "results" && u.Field != "result" {
				continue
			}
			at := l.within(t.node.At(u.Path), u.Offset)
			at.End = at.Column + len(u.Context)
			if s.Results.Keep == flow.KeepNone {
				l.Add(at, "value", fmt.Sprintf("stage %q keeps no results", s.Name), `leave out "results" there`)
				continue
			}
			l.Add(at, "value", fmt.Sprintf("the results of stage %q are kept for reading one by one, not as a list", s.Name),
				fmt.Sprintf("write for_each: ${{ stages.%s.results }}, or results: inline there", s.Name))
		}
	}
}
