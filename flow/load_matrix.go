package flow

import (
	"fmt"
	"slices"

	"github.com/geartrain/geartrain/flow/expression"
	"github.com/geartrain/geartrain/flow/wording"
)

// matrix reads the axes of a stage, and what is left out of and added to their combinations.
func (l *loader) matrix(n *node, s *stageSource) *Matrix {
	m := &Matrix{}
	for _, e := range n.entries {
		switch name := e.key.text; name {
		case "exclude":
			m.Exclude = l.combinations(e.value, name, s)
		case "include":
			m.Include = l.combinations(e.value, name, s)
		default:
			if l.name(e.key, "an axis") != "" {
				m.Axes = append(m.Axes, Axis{Name: name, Values: l.axis(e, s)})
			}
		}
	}
	if len(m.Axes) == 0 && m.Include.IsZero() {
		l.add(n.span, "missing", `"matrix" has no axes`, "write NAME: [value, ...] for each")
	}
	l.checkExclude(n.get("exclude"), m)
	return m
}

func (l *loader) axis(e entry, s *stageSource) expression.Template {
	t := l.template(e.value, "matrix", s, expression.RunContexts())
	if e.value.kind != listNode && !t.IsExpression() {
		l.add(e.value.span, "type", fmt.Sprintf("axis %q wants a list or one expression, not %s", e.key.text, e.value.describe()), "write [value, ...]")
	}
	return t
}

// combinations reads a list of maps.
func (l *loader) combinations(n *node, key string, s *stageSource) expression.Template {
	t := l.template(n, "matrix", s, expression.RunContexts())
	if n.kind != listNode {
		if !t.IsExpression() {
			l.add(n.span, "type", fmt.Sprintf("%q wants a list of maps or one expression, not %s", key, n.describe()), "write - {NAME: value}")
		}
		return t
	}
	for _, child := range n.list {
		if child.kind != mapNode && !hasExpression(child) {
			l.add(child.span, "type", fmt.Sprintf("%q is a list of maps, not of %s", key, child.describe()), "write - {NAME: value}")
		}
	}
	return t
}

// checkExclude finds members that no combination has, so that nothing is left out.
func (l *loader) checkExclude(n *node, m *Matrix) {
	if n == nil {
		return
	}
	var axes []string
	for _, axis := range m.Axes {
		axes = append(axes, axis.Name)
	}
	for _, child := range n.list {
		for _, e := range child.entries {
			if !slices.Contains(axes, e.key.text) {
				l.add(e.key.span, "value", fmt.Sprintf("%q is no axis of the matrix", wording.Shorten(e.key.text, 60)), wording.DidYouMean(e.key.text, axes))
			}
		}
	}
}
