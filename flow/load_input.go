package flow

import (
	"slices"

	"github.com/expr-lang/expr/ast"
)

// Three expressions are not evaluated but become an input of the plan, which needs no memory for
// the results:
//
//	${{ stages.a.results }}                                 the results of a
//	${{ flatten(stages.a.results) }}                        the elements of its results
//	${{ flatten([stages.a.results, stages.b.results]) }}    the results of a, then those of b
//
// The last may stand in a further flatten.

// stagesInput is the input that a template is, if it is one.
func stagesInput(t Template) (Input, bool) {
	if !t.isExpression() {
		return Input{}, false
	}
	n := t.root.parts[0].expression.tree
	if from, ok := resultsOf(n); ok {
		return Input{Kind: FromStages, From: from}, true
	}
	if from, ok := resultsOf(flattened(n)); ok {
		return Input{Kind: FromStages, From: from, Flatten: true}, true
	}
	return Input{}, false
}

// isExpression reports whether the template is one expression and nothing else.
func (t Template) isExpression() bool {
	return t.root != nil && len(t.root.parts) == 1 && t.root.parts[0].expression != nil
}

// resultsOf is the stages whose results the node is, one after another.
func resultsOf(n ast.Node) ([]string, bool) {
	if member, ok := n.(*ast.MemberNode); ok {
		root, names, ok := fixedPath(member)
		if !ok || root.Value != ContextStages || len(names) != 2 || names[1] != "results" {
			return nil, false
		}
		return []string{showDash(names[0])}, true
	}
	list, ok := flattened(n).(*ast.ArrayNode)
	if !ok || len(list.Nodes) == 0 {
		return nil, false
	}
	var from []string
	for _, element := range list.Nodes {
		one, ok := element.(*ast.MemberNode)
		if !ok {
			return nil, false
		}
		names, ok := resultsOf(one)
		if !ok || slices.Contains(from, names[0]) {
			return nil, false
		}
		from = append(from, names...)
	}
	return from, true
}

// flattened is what flatten is called with, or nil.
func flattened(n ast.Node) ast.Node {
	call, ok := n.(*ast.CallNode)
	if !ok || len(call.Arguments) != 1 {
		return nil
	}
	if name, ok := call.Callee.(*ast.IdentifierNode); !ok || name.Value != "flatten" {
		return nil
	}
	return call.Arguments[0]
}
