package expression

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/expr-lang/expr"
	"github.com/expr-lang/expr/ast"
	"github.com/expr-lang/expr/checker"
	"github.com/expr-lang/expr/compiler"
	"github.com/expr-lang/expr/conf"
	"github.com/expr-lang/expr/file"
	"github.com/expr-lang/expr/parser"
	"github.com/expr-lang/expr/vm"

	"github.com/geartrain/geartrain/flow/value"
)

// The bounds of one expression. Its length and nodes are those of the source; list elements are all
// that an evaluation makes.
const (
	maxExpression         = 8 << 10 // bytes
	maxExpressionNodes    = 1000
	maxExpressionElements = 4 << 20
)

// expression is one compiled ${{ }}. It is pure: it sees its contexts and nothing else, and the
// same values give the same result.
type expression struct {
	program *vm.Program
	tree    ast.Node
	uses    []Use // paths empty, offsets from the start of the expression
}

// Language is what expressions are written in: the functions, and the settings of expr. It is for one
// goroutine at a time; making one takes longer than compiling an expression.
type Language struct {
	functions map[string]function
	config    *conf.Config
}

// NewLanguage makes one.
func NewLanguage() *Language {
	functions := functionTable()
	config := conf.CreateNew()
	for _, option := range languageOptions(functions) {
		option(config)
	}
	for name := range config.Disabled {
		delete(config.Builtins, name)
	}
	return &Language{functions: functions, config: config}
}

func languageOptions(functions map[string]function) []expr.Option {
	options := []expr.Option{
		expr.DisableAllBuiltins(),
		expr.MaxNodes(maxExpressionNodes),
		// The optimizer would build constant ranges while compiling, where no budget counts.
		expr.Optimize(false),
		expr.Patch(&patch{functions: functions}),
	}
	for _, name := range predicates() {
		options = append(options, expr.EnableBuiltin(name))
	}
	for name, f := range functions {
		options = append(options, expr.Function(name, f.call))
	}
	for name, call := range patchFunctions() {
		options = append(options, expr.Function(name, call))
	}
	return options
}

// Knows reports whether a name means something in expressions already: a context or a function.
func (l *Language) Knows(name string) bool {
	_, isFunction := l.functions[name]
	return isFunction || slices.Contains(predicates(), name) || slices.Contains(contextNames(), name)
}

// compile makes a program of an expression that begins with the contexts that are allowed.
func (l *Language) compile(source string, allowed []string) (*expression, error) {
	if len(source) > maxExpression {
		return nil, &Error{Message: fmt.Sprintf("the expression is over %d bytes", maxExpression)}
	}
	if strings.TrimSpace(source) == "" {
		return nil, &Error{Message: "the expression is empty"}
	}
	source = respell(source)
	tree, err := parser.ParseWithConfig(source, l.config)
	if err != nil {
		return nil, asError(err, source)
	}
	c := newCheck(source, allowed, l.functions)
	if err := c.check(tree.Node); err != nil {
		return nil, err
	}
	patched, err := checker.ParseCheck(source, l.config)
	if err != nil {
		return nil, asError(err, source)
	}
	program, err := compiler.Compile(patched, l.config)
	if err != nil {
		return nil, asError(err, source)
	}
	return &expression{program: program, tree: tree.Node, uses: c.uses}, nil
}

func (x *expression) eval(values map[string]any) (any, error) {
	machine := vm.VM{MemoryBudget: maxExpressionElements}
	v, err := machine.Run(x.program, values)
	if err != nil {
		return nil, asError(err, x.program.Source().String())
	}
	if w, ok := values[workName].(*work); ok {
		if err := w.weigh(v, allBytes); err != nil {
			return nil, err
		}
	}
	v, err = value.Normalize(v)
	if err != nil {
		return nil, &Error{Message: err.Error()}
	}
	return v, nil
}

// predicates are expr's own functions that look at each element of a list: filter(list, .n > 1).
func predicates() []string {
	return []string{"all", "any", "count", "filter", "find", "map", "none", "one"}
}

// asError takes over message and place from expr's errors, without its drawing.
func asError(err error, source string) error {
	var own *Error
	if errors.As(err, &own) {
		return own
	}
	x := &Error{Message: err.Error()}
	var place *file.Error
	if errors.As(err, &place) {
		x.Message = respelledMessage(place.Message)
		x.Offset = min(place.From, utf8.RuneCountInString(source))
	}
	return x
}

func respelledMessage(message string) string {
	message = showDash(message)
	for _, word := range operatorFunctions() {
		message = strings.ReplaceAll(message, functionSpelling(word), word)
	}
	switch {
	case strings.HasPrefix(message, "unexpected token EOF"):
		return "the expression ends too early"
	case strings.HasPrefix(message, "interface conversion: ") && strings.HasSuffix(message, ", not bool"):
		return "not, and, or and ? want true or false"
	case strings.HasPrefix(message, "memory budget exceeded"):
		return fmt.Sprintf("the expression makes lists of more than %d elements; let a job do it", maxExpressionElements)
	case strings.HasPrefix(message, `unexpected token Operator(":")`):
		return `a ":" where none can be; a map inside of map(...) or filter(...) is written ({name: value})`
	}
	return message
}
