package expression

import (
	"fmt"
	"regexp"
	"slices"
	"sort"
	"strings"

	"github.com/expr-lang/expr/ast"

	"github.com/geartrain/geartrain/flow/wording"
)

// maxPredicates is how deep predicates may be nested: filter(a, any(b, ...)) is two.
const maxPredicates = 2

// check walks an expression before it is compiled: names must be known, calls must have
// the right number of arguments, and stages must be named so that it can be seen which are used.
type check struct {
	source    string
	allowed   []string
	functions map[string]function
	uses      []Use
	err       *Error
}

func newCheck(source string, allowed []string, functions map[string]function) *check {
	return &check{source: source, allowed: allowed, functions: functions}
}

func (c *check) check(n ast.Node) error {
	c.walk(n, 0)
	if c.err != nil {
		return c.err
	}
	return nil
}

// walk visits a node; predicates is how many it stands in.
func (c *check) walk(n ast.Node, predicates int) {
	if c.err != nil || n == nil {
		return
	}
	switch n := n.(type) {
	case *ast.IdentifierNode:
		c.identifier(n, "", nil)
		return
	case *ast.MemberNode:
		c.member(n, predicates)
		return
	case *ast.CallNode:
		c.call(n, predicates)
		return
	case *ast.BuiltinNode:
		c.builtin(n, predicates)
		return
	case *ast.BinaryNode:
		c.pattern(n)
	case *ast.BytesNode:
		c.fail(n, "bytes are not a JSON value; write text")
	case *ast.VariableDeclaratorNode, *ast.SequenceNode:
		c.fail(n, `"let" and ";" are not allowed: an expression is one value`)
	}
	for _, child := range children(n) {
		c.walk(child, predicates)
	}
}

func children(n ast.Node) []ast.Node {
	switch n := n.(type) {
	case *ast.UnaryNode:
		return []ast.Node{n.Node}
	case *ast.BinaryNode:
		return []ast.Node{n.Left, n.Right}
	case *ast.ChainNode:
		return []ast.Node{n.Node}
	case *ast.SliceNode:
		return []ast.Node{n.Node, n.From, n.To}
	case *ast.PredicateNode:
		return []ast.Node{n.Node}
	case *ast.ConditionalNode:
		return []ast.Node{n.Cond, n.Exp1, n.Exp2}
	case *ast.ArrayNode:
		return n.Nodes
	case *ast.MapNode:
		return n.Pairs
	case *ast.PairNode:
		return []ast.Node{n.Key, n.Value}
	}
	return nil
}

// identifier takes a context, with the names that follow it as far as they are fixed.
func (c *check) identifier(n *ast.IdentifierNode, name string, field *string) {
	context := n.Value
	if !slices.Contains(c.allowed, context) {
		c.unknown(n)
		return
	}
	u := Use{Context: context, Name: showDash(name), Offset: n.Location().From}
	switch {
	case context == ContextStages && (name == "" || field == nil):
		c.fail(n, `write stages.NAME.results, or result, failures, count, status: which stage is used must be plain to see`)
		return
	case context == ContextStages:
		if !slices.Contains([]string{"results", "result", "failures", "count", "status"}, *field) {
			c.failHint(n, fmt.Sprintf("a stage has no %q", *field), "it has results, result, failures, count and status")
			return
		}
		u.Field = *field
	case context == ContextError && name != "" && !slices.Contains(errorFields(), name):
		c.failHint(n, fmt.Sprintf("error has no %q", name), "it has "+strings.Join(errorFields(), ", "))
		return
	case context == ContextRun && name != "" && !slices.Contains(runFields(), name):
		c.failHint(n, fmt.Sprintf("run has no %q", name), "it has "+strings.Join(runFields(), ", "))
		return
	}
	c.uses = append(c.uses, u)
}

func errorFields() []string { return []string{"message", "status"} }

func runFields() []string { return []string{"id", "name", "scheduled_at", "attempt"} }

func (c *check) unknown(n *ast.IdentifierNode) {
	name := n.Value
	if _, ok := c.functions[name]; ok {
		c.fail(n, fmt.Sprintf("%s is a function: write %s(...)", name, name))
		return
	}
	if slices.Contains(contextNames(), name) {
		c.fail(n, fmt.Sprintf("%q cannot be used here", name))
		return
	}
	if name == "secrets" {
		c.failHint(n, "a secret in an expression would be in keys, jobs and logs", "a command finds it in its environment, as $NAME")
		c.err.Rule = "secret-leak"
		return
	}
	if name == "null" || name == "None" {
		c.failHint(n, fmt.Sprintf("unknown name %q", name), `did you mean "nil"?`)
		return
	}
	known := slices.Clone(c.allowed)
	sort.Strings(known)
	hint := wording.DidYouMean(name, known)
	if hint == "" && len(known) > 0 {
		hint = "known here: " + strings.Join(known, ", ")
	}
	c.failHint(n, fmt.Sprintf("unknown name %q", showDash(name)), hint)
}

func contextNames() []string {
	return []string{ContextParams, ContextEnv, ContextItem, ContextIndex, ContextResult, ContextStages, ContextRun, ContextError}
}

// member follows a.b.c and a["b"] down to the name it begins with.
func (c *check) member(n *ast.MemberNode, predicates int) {
	if root, names, ok := fixedPath(n); ok {
		var field *string
		if len(names) > 1 {
			field = &names[1]
		}
		c.identifier(root, names[0], field)
		return
	}
	c.walk(n.Node, predicates)
	if _, ok := n.Property.(*ast.StringNode); !ok {
		c.walk(n.Property, predicates)
	}
}

// fixedPath is the name a chain of members begins with and the fixed names after it, outermost last.
func fixedPath(n *ast.MemberNode) (root *ast.IdentifierNode, names []string, ok bool) {
	for {
		property, ok := n.Property.(*ast.StringNode)
		if !ok {
			return nil, nil, false
		}
		names = append(names, property.Value)
		inner := n.Node
		if chain, ok := inner.(*ast.ChainNode); ok {
			inner = chain.Node
		}
		switch inner := inner.(type) {
		case *ast.IdentifierNode:
			slices.Reverse(names)
			return inner, names, true
		case *ast.MemberNode:
			n = inner
		default:
			return nil, nil, false
		}
	}
}

func (c *check) call(n *ast.CallNode, predicates int) {
	callee, ok := n.Callee.(*ast.IdentifierNode)
	if !ok {
		c.fail(n, "only functions can be called")
		return
	}
	f, ok := c.functions[callee.Value]
	if !ok {
		c.unknownFunction(n, callee.Value)
		return
	}
	name := respelledMessage(callee.Value)
	if len(n.Arguments) < f.min || f.max >= 0 && len(n.Arguments) > f.max {
		c.failHint(n, fmt.Sprintf("%s has %s", name, plural(len(n.Arguments), "argument")), "write "+f.usage)
		return
	}
	for _, argument := range n.Arguments {
		c.walk(argument, predicates)
	}
}

func (c *check) unknownFunction(n ast.Node, name string) {
	if slices.Contains([]string{"now", "random", "uuid", "today", "env", "getenv", "rand"}, name) {
		c.err = &Error{
			Offset: n.Location().From, Rule: "impure",
			Message: fmt.Sprintf("there is no %s(): an expression sees no clock, no chance and no environment, since keys would change with each run", name),
			Hint:    "use run.scheduled_at, params or a declared env",
		}
		return
	}
	known := predicates()
	for f := range c.functions {
		known = append(known, respelledMessage(f))
	}
	sort.Strings(known)
	hint := wording.DidYouMean(name, known)
	if hint == "" {
		hint = "the functions are " + strings.Join(known, " ")
	}
	c.failHint(n, fmt.Sprintf("unknown function %q", showDash(name)), hint)
}

// builtin is a predicate: a function over each element, in which # is the element.
func (c *check) builtin(n *ast.BuiltinNode, depth int) {
	if !slices.Contains(predicates(), n.Name) {
		c.unknownFunction(n, n.Name)
		return
	}
	if depth == maxPredicates {
		c.fail(n, fmt.Sprintf("%s is nested more than %d deep in others of its kind", n.Name, maxPredicates))
		return
	}
	for _, argument := range n.Arguments {
		c.walk(argument, depth+1)
	}
}

// pattern finds regular expressions that are none.
func (c *check) pattern(n *ast.BinaryNode) {
	right, ok := n.Right.(*ast.StringNode)
	if n.Operator != "matches" || !ok {
		return
	}
	if _, err := regexp.Compile(right.Value); err != nil {
		c.fail(right, err.Error())
	}
}

func (c *check) fail(n ast.Node, message string) { c.failHint(n, message, "") }

func (c *check) failHint(n ast.Node, message, hint string) {
	if c.err == nil {
		c.err = &Error{Offset: n.Location().From, Message: message, Hint: hint}
	}
}

func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
