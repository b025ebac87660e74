package expression

import (
	"errors"
	"fmt"
	"slices"
	"sort"
	"strings"

	"github.com/geartrain/geartrain/flow/value"
)

// Template is a JSON value in whose strings expressions may stand, written ${{ expression }}. A
// string that is one expression and nothing else becomes the expression's value with its type; in
// any other string the values stand as [value.Text]. Map keys are taken as they are.
//
// The zero Template is absent, which is not the same as the template of null. A Template does not
// change and may be evaluated by many goroutines at once.
type Template struct {
	root *templateNode
	uses []Use
}

// templateNode is one value of the tree. Nodes without any expression are kept as plain values.
type templateNode struct {
	source any // as it was written, with parts or list or members; else the value itself
	parts  []templatePart
	list   []*templateNode
	keys   []string // of a map, in order, with a member for each
	member []*templateNode
	fixed  bool // source is the value
}

// templatePart is a piece of a string: text, or an expression.
type templatePart struct {
	text       string
	expression *expression
}

// Use is one place where an expression looks at a context.
type Use struct {
	Context string // the word as written: params, item, page
	Name    string // of params, env, stages
	Field   string // of stages: results; of item: its first field
	Path    []any  // where the string stands in the template
	Offset  int    // where in the string, in characters
}

// Error is what is wrong with an expression.
type Error struct {
	Path    []any  // of the string in the template: map keys and list indexes
	Offset  int    // of the place in the string, in characters
	Rule    string // the validator's rule; empty: expression
	Message string
	Hint    string
}

func (e *Error) Error() string {
	text := e.Message
	if e.Hint != "" {
		text += "; " + e.Hint
	}
	return text
}

// Compile makes a template of a JSON value. Expressions may begin with the contexts that are
// allowed (see [ContextParams] and those after it); any other name among them is another name for
// item. The error joins an [Error] for each thing that is wrong.
func Compile(source any, allowed ...string) (Template, error) {
	t, errs := NewLanguage().Template(source, allowed)
	if len(errs) > 0 {
		return Template{}, errors.Join(errs...)
	}
	return t, nil
}

// maxExpressions is how many expressions one template may have.
const maxExpressions = 2000

// Template does what [Compile] does for one template among many, and gives what it could understand even when
// something is wrong, so that the rest of it can be checked too.
func (l *Language) Template(source any, allowed []string) (Template, []error) {
	v, err := value.Normalize(source)
	if err != nil {
		return Template{}, []error{err}
	}
	c := templateCompiler{language: l, allowed: allowed}
	root := c.compile(v, nil)
	return Template{root: root, uses: c.uses}, c.errs
}

// Value makes a template that is a plain value: ${{ in its strings means nothing.
func Value(v any) (Template, error) {
	v, err := value.Normalize(v)
	if err != nil {
		return Template{}, err
	}
	return Template{root: &templateNode{source: v, fixed: true}}, nil
}

// IsZero reports whether the template is absent.
func (t Template) IsZero() bool { return t.root == nil }

// IsConstant reports whether the template has no expressions: its value never changes.
func (t Template) IsConstant() bool { return t.root == nil || t.root.fixed }

// Source is the value that the template was made of; nil for the zero Template.
func (t Template) Source() any {
	if t.root == nil {
		return nil
	}
	return t.root.source
}

// Uses reports whether an expression uses the context; item also under its other name, when that
// is what is asked for.
func (t Template) Uses(context string) bool {
	return slices.ContainsFunc(t.uses, func(u Use) bool { return u.Context == context })
}

// AllUses is all the places where an expression looks at a context.
func (t Template) AllUses() []Use { return t.uses }

// Stages is the names of the stages whose values are used, in order, each once.
func (t Template) Stages() []string {
	var names []string
	for _, u := range t.uses {
		if u.Context == ContextStages && !slices.Contains(names, u.Name) {
			names = append(names, u.Name)
		}
	}
	sort.Strings(names)
	return names
}

// Eval is the template's value over a scope, a JSON value as [value.DecodeJSON] gives it. The zero
// Template gives nil. What the scope holds is not copied, so the value is not to be changed.
func (t Template) Eval(scope *Scope) (any, error) { return t.evalWithin(newWork(), scope) }

func (t Template) evalWithin(w *work, scope *Scope) (any, error) {
	if t.root == nil {
		return nil, nil
	}
	if t.root.fixed {
		return t.root.source, nil
	}
	values, err := scope.values(t.uses)
	if err != nil {
		return nil, err
	}
	e := evaluation{values: values, work: w}
	values[workName] = w
	return e.eval(t.root)
}

// String is the template as it was written: the string itself, else JSON.
func (t Template) String() string {
	if t.root == nil {
		return ""
	}
	text, err := value.Text(t.root.source)
	if err != nil {
		return fmt.Sprint(t.root.source)
	}
	return text
}

// MarshalJSON gives the template as it was written.
func (t Template) MarshalJSON() ([]byte, error) {
	if t.root == nil {
		return []byte("null"), nil
	}
	return value.EncodeJSON(t.root.source)
}

// templateCompiler collects what is wrong and what is used while it walks the value.
type templateCompiler struct {
	language *Language
	allowed  []string
	count    int // of expressions
	uses     []Use
	errs     []error
}

func (c *templateCompiler) compile(v any, path []any) *templateNode {
	switch v := v.(type) {
	case string:
		return c.compileText(v, path)
	case []any:
		n := &templateNode{source: v, fixed: true}
		for i, element := range v {
			child := c.compile(element, append(slices.Clip(path), i))
			n.list = append(n.list, child)
			n.fixed = n.fixed && child.fixed
		}
		return n
	case map[string]any:
		n := &templateNode{source: v, fixed: true}
		for key := range v {
			n.keys = append(n.keys, key)
		}
		sort.Strings(n.keys)
		for _, key := range n.keys {
			child := c.compile(v[key], append(slices.Clip(path), key))
			n.member = append(n.member, child)
			n.fixed = n.fixed && child.fixed
		}
		return n
	}
	return &templateNode{source: v, fixed: true}
}

func (c *templateCompiler) compileText(s string, path []any) *templateNode {
	n := &templateNode{source: s, fixed: true}
	if !strings.Contains(s, "${{") {
		return n
	}
	pieces, err := splitText(s)
	if err != nil {
		c.fail(err, path, 0)
		return n
	}
	n.fixed = false
	for _, p := range pieces {
		if !p.isExpression {
			n.parts = append(n.parts, templatePart{text: p.text})
			continue
		}
		if c.count++; c.count > maxExpressions {
			if c.count == maxExpressions+1 {
				c.fail(fmt.Errorf("more than %d expressions in one value", maxExpressions), path, p.offset)
			}
			continue
		}
		x, err := c.language.compile(p.text, c.allowed)
		if err != nil {
			c.fail(err, path, p.offset)
			continue
		}
		for _, u := range x.uses {
			u.Path, u.Offset = path, u.Offset+p.offset
			c.uses = append(c.uses, u)
		}
		n.parts = append(n.parts, templatePart{expression: x})
	}
	return n
}

func (c *templateCompiler) fail(err error, path []any, offset int) {
	var x *Error
	if !errors.As(err, &x) {
		x = &Error{Message: err.Error()}
	}
	x.Path = path
	x.Offset += offset
	c.errs = append(c.errs, x)
}

// maxText is how many bytes the strings that one evaluation puts together may have in all.
const maxText = 64 << 20

// evaluation is one Eval: the variables, and the bound on its work.
type evaluation struct {
	values map[string]any
	work   *work
	texts  int // bytes put together so far
}

func (e *evaluation) eval(n *templateNode) (any, error) {
	switch {
	case n.fixed:
		return n.source, nil
	case n.parts != nil:
		return e.evalText(n)
	case n.list != nil:
		list := make([]any, len(n.list))
		for i, child := range n.list {
			v, err := e.eval(child)
			if err != nil {
				return nil, err
			}
			list[i] = v
		}
		return list, nil
	}
	m := make(map[string]any, len(n.keys))
	for i, key := range n.keys {
		v, err := e.eval(n.member[i])
		if err != nil {
			return nil, err
		}
		m[key] = v
	}
	return m, nil
}

func (e *evaluation) evalText(n *templateNode) (any, error) {
	if len(n.parts) == 1 && n.parts[0].expression != nil {
		return n.parts[0].expression.eval(e.values)
	}
	var b strings.Builder
	for _, p := range n.parts {
		text := p.text
		if p.expression != nil {
			v, err := p.expression.eval(e.values)
			if err != nil {
				return nil, err
			}
			if text, err = value.Text(v); err != nil {
				return nil, err
			}
		}
		if e.texts += len(text); e.texts > maxText {
			return nil, fmt.Errorf("the text is over %d MiB", maxText>>20)
		}
		b.WriteString(text)
	}
	return b.String(), nil
}
