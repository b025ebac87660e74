package form

import (
	"fmt"
	"slices"

	"github.com/geartrain/geartrain/flow"
	"github.com/geartrain/geartrain/flow/expression"
	"github.com/geartrain/geartrain/flow/form/document"
	"github.com/geartrain/geartrain/flow/wording"
)

// matrix reads the axes of a stage, and what is left out of and added to their combinations.
func (l *loader) matrix(n *document.Node, s *stageSource) *flow.Matrix {
	m := &flow.Matrix{}
	for _, e := range n.Entries {
		switch name := e.Key.Text; name {
		case "exclude":
			m.Exclude = l.combinations(e.Value, name, s)
		case "include":
			m.Include = l.combinations(e.Value, name, s)
		default:
			if l.name(e.Key, "an axis") != "" {
				m.Axes = append(m.Axes, flow.Axis{Name: name, Values: l.axis(e, s)})
			}
		}
	}
	if len(m.Axes) == 0 && m.Include.IsZero() {
		l.Add(n.Span, "missing", `"matrix" has no axes`, "write NAME: [value, ...] for each")
	}
	l.checkExclude(n.Get("exclude"), m)
	return m
}

func (l *loader) axis(e document.Entry, s *stageSource) expression.Template {
	t := l.template(e.Value, "matrix", s, expression.RunContexts())
	if e.Value.Kind != document.List && !t.IsExpression() {
		l.Add(e.Value.Span, "type", fmt.Sprintf("axis %q wants a list or one expression, not %s", e.Key.Text, e.Value.Describe()), "write [value, ...]")
	}
	return t
}

// combinations reads a list of maps.
func (l *loader) combinations(n *document.Node, key string, s *stageSource) expression.Template {
	t := l.template(n, "matrix", s, expression.RunContexts())
	if n.Kind != document.List {
		if !t.IsExpression() {
			l.Add(n.Span, "type", fmt.Sprintf("%q wants a list of maps or one expression, not %s", key, n.Describe()), "write - {NAME: value}")
		}
		return t
	}
	for _, child := range n.List {
		if child.Kind != document.Map && !hasExpression(child) {
			l.Add(child.Span, "type", fmt.Sprintf("%q is a list of maps, not of %s", key, child.Describe()), "write - {NAME: value}")
		}
	}
	return t
}

// checkExclude finds members that no combination has, so that nothing is left out.
func (l *loader) checkExclude(n *document.Node, m *flow.Matrix) {
	if n == nil {
		return
	}
	var axes []string
	for _, axis := range m.Axes {
		axes = append(axes, axis.Name)
	}
	for _, child := range n.List {
		for _, e := range child.Entries {
			if !slices.Contains(axes, e.Key.Text) {
				l.Add(e.Key.Span, "value", fmt.Sprintf("%q is no axis of the matrix", wording.Shorten(e.Key.Text, 60)), wording.DidYouMean(e.Key.Text, axes))
			}
		}
	}
}
