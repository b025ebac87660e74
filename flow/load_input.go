package flow

import "github.com/geartrain/geartrain/flow/expression"

// stagesInput is the input that a template is, if it is one. Such a template is not evaluated, which would
// need memory for all the results.
func stagesInput(t expression.Template) (Input, bool) {
	from, flat, ok := t.StageResults()
	if !ok {
		return Input{}, false
	}
	return Input{Kind: FromStages, From: from, Flatten: flat}, true
}
