package flow

import (
	"errors"

	"github.com/expr-lang/expr/ast"
)

// work bounds what one evaluation may do: every call of a function and every step of a nested
// predicate draws from it, as much as it reads and writes. An expression that would run for
// minutes over its own products is stopped instead; one over a million results is not.
type work struct{ left int }

// maxWork is about a second or two of a processor: a byte or element looked at counts one, a call of
// a function or a step of a nested predicate as many as take the same time.
const (
	maxWork  = 256 << 20
	callWork = 64
)

// workName is the variable that carries the work to the functions. No author can write it.
const workName = "$work"

func newWork() *work { return &work{left: maxWork} }

func (w *work) draw(n int) error {
	if n < 0 || n > w.left {
		return errors.New("the expression does too much work; let a job do it")
	}
	w.left -= n
	return nil
}

// workPatch hands the work to each function as its first argument.
type workPatch struct {
	functions map[string]expressionFunction
}

// Visit is called by expr for each node of an expression, inner ones first.
func (p *workPatch) Visit(n *ast.Node) {
	switch node := (*n).(type) {
	case *ast.CallNode:
		p.patchCall(n, node)
	case *ast.PredicateNode:
		p.patchPredicate(node)
	}
}

func (p *workPatch) patchCall(n *ast.Node, call *ast.CallNode) {
	callee, ok := call.Callee.(*ast.IdentifierNode)
	if !ok || isPatched(call) {
		return
	}
	if _, ok := p.functions[callee.Value]; !ok {
		return
	}
	arguments := append([]ast.Node{&ast.IdentifierNode{Value: workName}}, call.Arguments...)
	ast.Patch(n, &ast.CallNode{Callee: callee, Arguments: arguments})
}

// patchPredicate makes each step of the predicates inside this one count: their bodies become
// calls that draw one step and give the body's value.
func (p *workPatch) patchPredicate(n *ast.PredicateNode) {
	inner := innerPredicates{}
	ast.Walk(&n.Node, &inner)
	for _, body := range inner {
		if call, ok := body.Node.(*ast.CallNode); ok && isPatched(call) {
			continue
		}
		body.Node = &ast.CallNode{
			Callee:    &ast.IdentifierNode{Value: stepFunction},
			Arguments: []ast.Node{&ast.IdentifierNode{Value: workName}, body.Node},
		}
	}
}

func isPatched(call *ast.CallNode) bool {
	if len(call.Arguments) == 0 {
		return false
	}
	first, ok := call.Arguments[0].(*ast.IdentifierNode)
	return ok && first.Value == workName
}

// innerPredicates collects the predicates inside a node.
type innerPredicates []*ast.PredicateNode

// Visit is called for each node.
func (p *innerPredicates) Visit(n *ast.Node) {
	if predicate, ok := (*n).(*ast.PredicateNode); ok {
		*p = append(*p, predicate)
	}
}
