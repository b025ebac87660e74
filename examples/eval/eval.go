package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/expr-lang/expr"
	"github.com/expr-lang/expr/ast"
	"github.com/expr-lang/expr/vm"
)

// Limits of one expression. Within them an evaluation ends in milliseconds: there are no loops, and no
// way to make a text longer than what was sent.
const (
	maxSource = 4 << 10 // bytes
	maxNodes  = 500     // of the syntax tree
	maxMemory = 10_000  // elements of lists and ranges, all together
)

// functions are what an expression may call, beside the operators.
const functions = "abs ceil floor round max min int float string len upper lower trim trimPrefix trimSuffix hasPrefix hasSuffix indexOf"

// eval computes an expression such as 1 + 1, 2 ** 10 > 1000 or upper("gear"). The word return before it
// and a semicolon behind it are allowed, as in the languages where such workers come from. The answer
// is text: the value itself if it is a text or a number, else JSON.
func eval(source string) (answer string, err error) {
	if len(source) > maxSource {
		return "", fmt.Errorf("the expression has %d bytes, more than %d", len(source), maxSource)
	}
	source = strings.TrimSuffix(strings.TrimSpace(source), ";")
	if rest, ok := strings.CutPrefix(source, "return "); ok {
		source = rest
	}
	var limits limiter
	program, err := expr.Compile(source, append(allowed(), expr.Patch(&limits))...)
	if err != nil {
		return "", oneLine(err)
	}
	if limits.err != nil {
		return "", limits.err
	}
	machine := vm.VM{MemoryBudget: maxMemory}
	value, err := machine.Run(program, nil)
	if err != nil {
		return "", oneLine(err)
	}
	return text(value)
}

func allowed() []expr.Option {
	options := []expr.Option{expr.Env(map[string]any{}), expr.MaxNodes(maxNodes), expr.DisableAllBuiltins()}
	for name := range strings.FieldsSeq(functions) {
		options = append(options, expr.EnableBuiltin(name))
	}
	return options
}

// limiter finds what would make a short expression expensive: predicates are loops, and with variables
// a text could be doubled over and over.
type limiter struct{ err error }

func (l *limiter) Visit(node *ast.Node) {
	switch (*node).(type) {
	case *ast.PredicateNode:
		l.err = errors.New("functions with a predicate, such as map and filter, are not allowed here")
	case *ast.VariableDeclaratorNode:
		l.err = errors.New("variables are not allowed here")
	}
}

func text(value any) (string, error) {
	switch value := value.(type) {
	case string:
		return value, nil
	case int:
		return strconv.Itoa(value), nil
	case float64:
		if math.IsInf(value, 0) || math.IsNaN(value) {
			return "", errors.New("the value is no number: a division by zero, or too large")
		}
		return strconv.FormatFloat(value, 'g', -1, 64), nil
	}
	encoded, err := json.Marshal(value)
	if err != nil {
		return "", fmt.Errorf("the value has no text: %w", err)
	}
	return string(encoded), nil
}

// oneLine is the first line of an error; the others draw where in the source it is.
func oneLine(err error) error {
	line, _, _ := strings.Cut(err.Error(), "\n")
	return errors.New(line)
}
