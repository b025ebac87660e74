package flow

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net"
	"regexp"
	"slices"
	"strconv"

	"github.com/geartrain/geartrain/flow/expression"
	"github.com/geartrain/geartrain/flow/value"
	"github.com/geartrain/geartrain/flow/wording"
)

// top reads the whole pipeline.
func (l *loader) top(root *node) {
	f := l.read(root, topPlace, "")
	if v := f["version"]; v != nil && v.text != "1" {
		l.add(v.span, "value", fmt.Sprintf("version %s of this form is not known", v.text), "this program reads version 1")
	}
	if f["name"] == nil && root.get("name") == nil {
		l.add(root.span, "missing", "the pipeline has no name", "write name: NAME")
	}
	l.plan.Name = l.name(f["name"], "a pipeline")
	l.plan.Description = f["description"].string()
	l.plan.Timeout = l.duration(f["timeout"])
	l.servers(f["servers"])
	l.params(f["params"])
	l.runs(f)
	l.plan.Env = l.environment(f["env"], nil, []string{expression.ContextParams, expression.ContextRun})
	if n := f["defaults"]; n != nil {
		l.defaults = l.read(n, defaultsPlace, "")
	}
	l.readFunctions(f["functions"])
	if f["stages"] == nil && root.get("stages") == nil {
		hint := ""
		if _, ok := root.value.(string); !ok {
			hint = "write stages: with a list"
		}
		l.add(root.span, "missing", "the pipeline has no stages", hint)
	}
	l.readStages(f["stages"])
	l.plan.Hooks = l.hooks(f, nil)
	l.plan.Output = l.template(f["output"], "output", nil, expression.RunContexts())
}

func (l *loader) servers(n *node) {
	if n == nil {
		return
	}
	for _, child := range n.list {
		host, port, err := net.SplitHostPort(child.text)
		number, portErr := strconv.Atoi(port)
		if child.kind != scalarNode || err != nil || host == "" || portErr != nil || number < 1 || number > 65535 {
			l.add(child.span, "value", fmt.Sprintf("%q is not a server", wording.Shorten(child.text, 60)), "write host:4730")
			continue
		}
		l.plan.Servers = append(l.plan.Servers, child.text)
	}
}

func (l *loader) params(n *node) {
	if n == nil {
		return
	}
	for _, e := range n.entries {
		name := l.name(e.key, "a parameter")
		if name == "" {
			continue
		}
		p := Param{Name: name}
		if e.value.kind == mapNode {
			l.longParam(&p, e.value)
		} else {
			l.shortParam(&p, e.value)
		}
		l.plan.Params = append(l.plan.Params, p)
	}
}

// shortParam reads NAME: VALUE, where the value is the default and gives the type.
func (l *loader) shortParam(p *Param, n *node) {
	if n.isNull() {
		l.add(n.span, "missing", fmt.Sprintf("the parameter %q has neither a value nor a type", p.Name), "write {type: string, required: true}")
		return
	}
	p.Type = typeOf(n.value)
	if n.kind == listNode {
		p.Type = List
	}
	p.Default = l.paramDefault(p, n)
}

func typeOf(v any) ParamType {
	switch v.(type) {
	case bool:
		return Boolean
	case int:
		return Integer
	case string:
		return String
	}
	return Number
}

func (l *loader) longParam(p *Param, n *node) {
	if len(n.entries) > 0 && !slices.ContainsFunc(keysOfPlace(paramPlace), func(spec keySpec) bool { return n.get(spec.name) != nil }) {
		l.add(n.span, "type", fmt.Sprintf("the parameter %q says nothing about itself", p.Name), "a map as its value is written {type: map, default: {...}}")
		return
	}
	f := l.read(n, paramPlace, p.Name)
	p.Description = f["description"].string()
	p.Required = f["required"] != nil && f["required"].value == true
	p.Type = ParamType(f["type"].string())
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
		if _, err := regexp.Compile(n.text); err != nil {
			l.add(n.span, "value", fmt.Sprintf("%q is not a regular expression: %v", wording.Shorten(n.text, 60), err), "")
		} else {
			p.Pattern = n.text
		}
	}
	if n := f["enum"]; n != nil {
		var enum []any
		for _, child := range n.list {
			enum = append(enum, l.paramValue(p, child))
		}
		p.Enum = enum
	}
	l.paramSense(p, f)
	if n := f["default"]; n != nil && !n.isNull() {
		p.Default = l.paramDefault(p, n)
	}
}

func inferredType(n *node) ParamType {
	switch {
	case n == nil || n.isNull():
		return String
	case n.kind == listNode:
		return List
	case n.kind == mapNode:
		return Map
	}
	return typeOf(n.value)
}

// paramSense reports keys that contradict each other.
func (l *loader) paramSense(p *Param, f fields) {
	isNumber := p.Type == Integer || p.Type == Number
	for _, key := range []string{"minimum", "maximum"} {
		if n := f[key]; n != nil && !isNumber {
			l.add(n.span, "type", fmt.Sprintf("%q is for numbers, and the parameter %q is of type %s", key, p.Name, p.Type), "")
		}
	}
	if n := f["pattern"]; n != nil && p.Type != String {
		l.add(n.span, "type", fmt.Sprintf(`"pattern" is for text, and the parameter %q is of type %s`, p.Name, p.Type), "")
	}
	if n := f["maximum"]; n != nil && p.Minimum != nil && p.Maximum != nil && *p.Minimum > *p.Maximum {
		l.add(n.span, "value", "the maximum is below the minimum", "")
	}
	if n := f["default"]; n != nil && p.Required && !n.isNull() {
		l.add(n.span, "exclusive", fmt.Sprintf("the parameter %q is required and has a default", p.Name), "leave out one of them")
	}
}

// paramDefault is a value of the parameter's type, or a template that gives one.
func (l *loader) paramDefault(p *Param, n *node) any {
	if t := l.template(n, "default", nil, []string{expression.ContextRun}); !t.IsConstant() {
		return t
	}
	return l.paramValue(p, n)
}

func (l *loader) paramValue(p *Param, n *node) any {
	v := n.json()
	if p.Type == String && n.kind == scalarNode && n.value != nil && !isText(v) {
		l.unquoted(n, p.Name)
		return nil
	}
	if n.kind == scalarNode && p.Type == String {
		l.word(n, p.Name)
	}
	if err := p.check(v); err != nil {
		l.add(n.span, "value", err.Error(), "")
		return nil
	}
	l.roundNumbers(n)
	return v
}

func isText(v any) bool {
	_, ok := v.(string)
	return ok
}

func (l *loader) readFunctions(n *node) {
	l.functions = map[string]*Function{}
	if n == nil {
		return
	}
	contexts := []string{expression.ContextParams, expression.ContextItem} // item: the arguments that the job was given
	for _, e := range n.entries {
		f := l.read(e.value, functionPlace, e.key.text)
		fn := &Function{
			Name:        e.key.text,
			Version:     l.version(f["version"]),
			MaxParallel: l.positive(f["max_parallel"], "max_parallel"),
			Timeout:     l.duration(f["timeout"]),
			Output:      l.encoding(f["output"]),
			Env:         l.environment(f["env"], nil, contexts),
		}
		if fn.Name == "" || len(fn.Name) > 255 {
			l.add(e.key.span, "value", "a function's name has 1 to 255 bytes", "")
		}
		if c := l.command(f["run"], nil, contexts); c != nil {
			fn.Command = *c
			l.checkFile(f["run"])
		} else if e.value.kind == mapNode && e.value.get("run") == nil {
			l.add(e.key.span, "missing", fmt.Sprintf("the function %q has no command", e.key.text), "write run:")
		}
		if fn.Version == "" {
			fn.Version = fn.Command.hash()
		}
		l.functions[fn.Name] = fn
		l.plan.Functions = append(l.plan.Functions, *fn)
	}
}

// hash is the version of a command that is given none: it changes with its text.
func (c *Command) hash() string {
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
