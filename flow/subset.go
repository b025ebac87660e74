package flow

import (
	"slices"

	"github.com/geartrain/geartrain/flow/expression"
)

// After is the names of a stage and of all that need it, directly or through others, in the plan's order.
func (p *Plan) After(stage string) []string {
	names := []string{stage}
	for i := range p.Stages {
		s := &p.Stages[i]
		needs := slices.ContainsFunc(slices.Concat(s.Needs, s.Input.From), func(n string) bool { return slices.Contains(names, n) })
		if needs && s.Name != stage {
			names = append(names, s.Name)
		}
	}
	return names
}

// Before is the plan with a stage and what that needs, and nothing else: no output of its own, and no
// hooks, which tell the end of the whole.
func (p *Plan) Before(stage string) *Plan {
	part := *p
	part.Stages, part.Output, part.Hooks = nil, expression.Template{}, Hooks{}
	wanted := []string{stage}
	for i := len(p.Stages) - 1; i >= 0; i-- {
		if s := p.Stages[i]; slices.Contains(wanted, s.Name) {
			wanted = slices.Concat(wanted, s.Needs, s.Input.From)
			part.Stages = append(part.Stages, s)
		}
	}
	slices.Reverse(part.Stages)
	return &part
}
