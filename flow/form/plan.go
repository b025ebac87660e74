package form

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net"
	"regexp"
	"slices"
	"strconv"

	"github.com/geartrain/geartrain/flow"
	"github.com/geartrain/geartrain/flow/expression"
	"github.com/geartrain/geartrain/flow/form/document"
	"github.com/geartrain/geartrain/flow/value"
	"github.com/geartrain/geartrain/flow/wording"
)

// top reads the whole pipeline.
func (l *loader) top(root *document.Node) {
	f := l.read(root, topPlace, "")
	if v := f["version"]; v != nil && v.Text != "1" {
		l.Add(v.Span, "value", fmt.Sprintf("version %s of this form is not known", v.Text), "this program reads version 1")
	}
	if f["name"] == nil && root.Get("name") == nil {
		l.Add(root.Span, "missing", "the pipeline has no name", "write name: NAME")
	}
	l.plan.Name = l.name(f["name"], "a pipeline")
	l.plan.Description = f["description"].String()
	l.plan.Timeout = l.duration(f["timeout"])
	l.servers(f["servers"])
	l.params(f["params"])
	l.runs(f)
	l.plan.Env = l.environment(f["env"], nil, []string{expression.ContextParams, expression.ContextRun})
	if n := f["defaults"]; n != nil {
		l.defaults = l.read(n, defaultsPlace, "")
	}
	l.readFunctions(f["functions"])
	if f["stages"] == nil && root.Get("stages") == nil {
		hint := ""
		if _, ok := root.Value.(string); !ok {
			hint = "write stages: with a list"
		}
		l.Add(root.Span, "missing", "the pipeline has no stages", hint)
	}
	l.readStages(f["stages"])
	l.plan.Hooks = l.hooks(f, nil)
	l.plan.Output = l.template(f["output"], "output", nil, expression.RunContexts())
}

func (l *loader) servers(n *document.Node) {
	if n == nil {
		return
	}
	for _, child := range n.List {
		host, port, err := net.SplitHostPort(child.Text)
		number, portErr := strconv.Atoi(port)
		if child.Kind != document.Scalar || err != nil || host == "" || portErr != nil || number < 1 || number > 65535 {
			l.Add(child.Span, "value", fmt.Sprintf("%q is not a server", wording.Shorten(child.Text, 60)), "write host:4730")
			continue
		}
		l.plan.Servers = append(l.plan.Servers, child.Text)
	}
}

func (l *loader) params(n *document.Node) {
	if n == nil {
		return
	}
	for _, e := range n.Entries {
		name := l.name(e.Key, "a parameter")
		if name == "" {
			continue
		}
		p := flow.Param{Name: name}
		if e.Value.Kind == document.Map {
			l.longParam(&p, e.Value)
		} else {
			l.shortParam(&p, e.Value)
		}
		l.plan.Params = append(l.plan.Params, p)
	}
}

// shortParam reads NAME: VALUE, where the value is the default and gives the type.
func (l *loader) shortParam(p *flow.Param, n *document.Node) {
	if n.IsNull() {
		l.Add(n.Span, "missing", fmt.Sprintf("the parameter %q has neither a value nor a type", p.Name), "write {type: string, required: true}")
		return
	}
	p.Type = typeOf(n.Value)
	if n.Kind == document.List {
		p.Type = flow.List
	}
	p.Default = l.paramDefault(p, n)
}

func typeOf(v any) flow.ParamType {
	switch v.(type) {
	case bool:
		return flow.Boolean
	case int:
		return flow.Integer
	case string:
		return flow.String
	}
	return flow.Number
}

func (l *loader) longParam(p *flow.Param, n *document.Node) {
	if len(n.Entries) > 0 && !slices.ContainsFunc(keysOfPlace(paramPlace), func(spec keySpec) bool { return n.Get(spec.name) != nil }) {
		l.Add(n.Span, "type", fmt.Sprintf("the parameter %q says nothing about itself", p.Name), "a map as its value is written {type: map, default: {...}}")
		return
	}
	f := l.read(n, paramPlace, p.Name)
	p.Description = f["description"].String()
	p.Required = f["required"] != nil && f["required"].Value == true
	p.Type = flow.ParamType(f["type"].String())
	if p.Type == "" {
		p.Type = inferredType(f["default"])
	}
	if n := f["minimum"]; n != nil {
		v := l.number(n)
		p.Minimum = &v
	}
	if n := f["maximum"]; n != nil {
		v := l.number(n)
		p.Maximum = &v
	}
	if n := f["pattern"]; n != nil {
		if _, err := regexp.Compile(n.Text); err != nil {
			l.Add(n.Span, "value", fmt.Sprintf("%q is not a regular expression: %v", wording.Shorten(n.Text, 60), err), "")
		} else {
			p.Pattern = n.Text
		}
	}
	if n := f["enum"]; n != nil {
		var enum []any
		for _, child := range n.List {
			enum = append(enum, l.paramValue(p, child))
		}
		p.Enum = enum
	}
	l.paramSense(p, f)
	if n := f["default"]; n != nil && !n.IsNull() {
		p.Default = l.paramDefault(p, n)
	}
}

func inferredType(n *document.Node) flow.ParamType {
	switch {
	case n == nil || n.IsNull():
		return flow.String
	case n.Kind == document.List:
		return flow.List
	case n.Kind == document.Map:
		return flow.Map
	}
	return typeOf(n.Value)
}

// paramSense reports keys that contradict each other.
func (l *loader) paramSense(p *flow.Param, f fields) {
	isNumber := p.Type == flow.Integer || p.Type == flow.Number
	for _, key := range []string{"minimum", "maximum"} {
		if n := f[key]; n != nil && !isNumber {
			l.Add(n.Span, "type", fmt.Sprintf("%q is for numbers, and the parameter %q is of type %s", key, p.Name, p.Type), "")
		}
	}
	if n := f["pattern"]; n != nil && p.Type != flow.String {
		l.Add(n.Span, "type", fmt.Sprintf(`"pattern" is for text, and the parameter %q is of type %s`, p.Name, p.Type), "")
	}
	if n := f["maximum"]; n != nil && p.Minimum != nil && p.Maximum != nil && *p.Minimum > *p.Maximum {
		l.Add(n.Span, "value", "the maximum is below the minimum", "")
	}
	if n := f["default"]; n != nil && p.Required && !n.IsNull() {
		l.Add(n.Span, "exclusive", fmt.Sprintf("the parameter %q is required and has a default", p.Name), "leave out one of them")
	}
}

// paramDefault is a value of the parameter's type, or a template that gives one.
func (l *loader) paramDefault(p *flow.Param, n *document.Node) any {
	if t := l.template(n, "default", nil, []string{expression.ContextRun}); !t.IsConstant() {
		return t
	}
	return l.paramValue(p, n)
}

func (l *loader) paramValue(p *flow.Param, n *document.Node) any {
	v := n.JSON()
	if p.Type == flow.String && n.Kind == document.Scalar && n.Value != nil && !isText(v) {
		l.unquoted(n, p.Name)
		return nil
	}
	if n.Kind == document.Scalar && p.Type == flow.String {
		l.word(n, p.Name)
	}
	if err := p.Check(v); err != nil {
		l.Add(n.Span, "value", err.Error(), "")
		return nil
	}
	l.roundNumbers(n)
	return v
}

func isText(v any) bool {
	_, ok := v.(string)
	return ok
}

func (l *loader) readFunctions(n *document.Node) {
	l.functions = map[string]*flow.Function{}
	if n == nil {
		return
	}
	contexts := []string{expression.ContextParams, expression.ContextItem} // item: the arguments that the job was given
	for _, e := range n.Entries {
		f := l.read(e.Value, functionPlace, e.Key.Text)
		fn := &flow.Function{
			Name:        e.Key.Text,
			Version:     l.version(f["version"]),
			MaxParallel: l.positive(f["max_parallel"], "max_parallel"),
			Timeout:     l.duration(f["timeout"]),
			Output:      l.encoding(f["output"]),
			Env:         l.environment(f["env"], nil, contexts),
		}
		if fn.Name == "" || len(fn.Name) > 255 {
			l.Add(e.Key.Span, "value", "a function's name has 1 to 255 bytes", "")
		}
		if c := l.command(f["run"], nil, contexts); c != nil {
			fn.Command = *c
			l.checkFile(f["run"])
		} else if e.Value.Kind == document.Map && e.Value.Get("run") == nil {
			l.Add(e.Key.Span, "missing", fmt.Sprintf("the function %q has no command", e.Key.Text), "write run:")
		}
		if fn.Version == "" {
			fn.Version = hashOf(&fn.Command)
		}
		l.functions[fn.Name] = fn
		l.plan.Functions = append(l.plan.Functions, *fn)
	}
}

// hashOf is the version of a command that is given none: it changes with its text.
func hashOf(c *flow.Command) string {
	argv := make([]any, len(c.Argv))
	for i, arg := range c.Argv {
		argv[i] = arg.Source()
	}
	text, err := value.Canonical([]any{c.Script, argv})
	if err != nil {
		text = []byte(c.Script) // text that is not UTF-8; the reader lets none through
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:6])
}
