package expression

import (
	"slices"

	"github.com/expr-lang/expr/ast"
)

// StageResults is the stages whose results, one after another, are all that the template is; flat: the
// elements of them. These are such templates:
//
//	${{ stages.a.results }}                                 the results of a
//	${{ flatten(stages.a.results) }}                        the elements of its results
//	${{ flatten([stages.a.results, stages.b.results]) }}    the results of a, then those of b
//
// The last may stand in a further flatten.
func (t Template) StageResults() (stages []string, flat, ok bool) {
	if !t.IsExpression() {
		return nil, false, false
	}
	n := t.root.parts[0].expression.tree
	if stages, ok = resultsOf(n); ok {
		return stages, false, true
	}
	stages, ok = resultsOf(flattened(n))
	return stages, ok, ok
}

// IsExpression reports whether the template is one expression and nothing else.
func (t Template) IsExpression() bool {
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
