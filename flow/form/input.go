package form

import (
	"github.com/geartrain/geartrain/flow"
	"github.com/geartrain/geartrain/flow/expression"
)

// stagesInput is the input that a template is, if it is one. Such a template is not evaluated, which would
// need memory for all the results.
func stagesInput(t expression.Template) (flow.Input, bool) {
	from, flat, ok := t.StageResults()
	if !ok {
		return flow.Input{}, false
	}
	return flow.Input{Kind: flow.FromStages, From: from, Flatten: flat}, true
}
