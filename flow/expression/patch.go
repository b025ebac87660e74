package expression

import (
	"fmt"

	"github.com/expr-lang/expr/ast"

	"github.com/geartrain/geartrain/flow/value"
)

// The functions that a patch puts into an expression. No author can write their names.
const (
	workName      = "$work"    // the variable that carries the work to the functions
	stepFunction  = "$step"    // one step of a nested predicate
	weighFunction = "$weigh"   // an operand that is looked at as a whole
	sumFunction   = "$sum"     // the value of a +, which may be a text
	matchFunction = "$matches" // the operator matches
)

// patchFunctions are called by expr with the work first.
func patchFunctions() map[string]func(...any) (any, error) {
	return map[string]func(...any) (any, error){
		stepFunction: counted(func(w *work, args []any) (any, error) { return args[0], w.draw(callWork) }),
		weighFunction: counted(func(w *work, args []any) (any, error) {
			return args[0], w.weigh(args[0], someBytes)
		}),
		sumFunction: counted(func(w *work, args []any) (any, error) {
			text, _ := args[0].(string)
			return args[0], w.draw(1 + 4*len(text))
		}),
		matchFunction: counted(func(w *work, args []any) (any, error) {
			if args[0] == nil || args[1] == nil {
				return false, nil
			}
			text, isText := args[0].(string)
			pattern, isText2 := args[1].(string)
			if !isText || !isText2 {
				return nil, fmt.Errorf("matches wants two texts, not %s and %s", value.Describe(args[0]), value.Describe(args[1]))
			}
			return w.matches(text, pattern)
		}),
	}
}

// counted takes the work off the arguments that expr gives.
func counted(do func(w *work, args []any) (any, error)) func(...any) (any, error) {
	return func(args ...any) (any, error) {
		if len(args) > 1 {
			if w, ok := args[0].(*work); ok {
				return do(w, args[1:])
			}
		}
		return nil, fmt.Errorf("a function without its work or arguments")
	}
}

// patch changes a parsed expression before it is compiled: what can cost much draws from
// the work, and names get their dashes back.
type patch struct {
	functions map[string]function
}

// Visit is called by expr for each node, inner ones first.
func (p *patch) Visit(n *ast.Node) {
	switch node := (*n).(type) {
	case *ast.CallNode:
		p.call(n, node)
	case *ast.PredicateNode:
		p.predicate(node)
	case *ast.BinaryNode:
		p.operator(n, node)
	case *ast.MemberNode:
		p.member(node)
	}
}

// call hands the work to a function as its first argument.
func (p *patch) call(n *ast.Node, call *ast.CallNode) {
	callee, ok := call.Callee.(*ast.IdentifierNode)
	if !ok || isPatched(call) {
		return
	}
	if _, ok := p.functions[callee.Value]; ok {
		ast.Patch(n, callOf(callee.Value, call.Arguments...))
	}
}

func callOf(function string, args ...ast.Node) *ast.CallNode {
	return &ast.CallNode{
		Callee:    &ast.IdentifierNode{Value: function},
		Arguments: append([]ast.Node{&ast.IdentifierNode{Value: workName}}, args...),
	}
}

// predicate makes each step of the predicates inside this one count.
func (p *patch) predicate(n *ast.PredicateNode) {
	inner := innerPredicates{}
	ast.Walk(&n.Node, &inner)
	for _, body := range inner {
		if call, ok := body.Node.(*ast.CallNode); ok && isPatched(call) && call.Callee.(*ast.IdentifierNode).Value == stepFunction {
			continue
		}
		body.Node = callOf(stepFunction, body.Node)
	}
}

func (p *patch) operator(n *ast.Node, b *ast.BinaryNode) {
	switch b.Operator {
	case "+":
		if !isNumberNode(b.Left) && !isNumberNode(b.Right) {
			ast.Patch(n, callOf(sumFunction, b))
		}
	case "matches":
		ast.Patch(n, callOf(matchFunction, b.Left, b.Right))
	case "==", "!=":
		if !isScalarNode(b.Left) && !isScalarNode(b.Right) {
			b.Left = callOf(weighFunction, b.Left)
		}
	case "contains":
		b.Left = callOf(weighFunction, b.Left)
	case "in":
		b.Right = callOf(weighFunction, b.Right)
	}
}

// member gives the name of a stage or parameter its dashes back.
func (p *patch) member(n *ast.MemberNode) {
	root, ok := n.Node.(*ast.IdentifierNode)
	property, ok2 := n.Property.(*ast.StringNode)
	if ok && ok2 && (root.Value == ContextStages || root.Value == ContextParams) {
		property.Value = showDash(property.Value)
	}
}

func isNumberNode(n ast.Node) bool {
	switch n.(type) {
	case *ast.IntegerNode, *ast.FloatNode:
		return true
	}
	return false
}

func isScalarNode(n ast.Node) bool {
	switch n.(type) {
	case *ast.StringNode, *ast.BoolNode, *ast.NilNode:
		return true
	}
	return isNumberNode(n)
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
