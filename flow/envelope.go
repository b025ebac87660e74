package flow

import (
	"encoding/json"
	"fmt"
	"maps"
	"unicode/utf8"

	"github.com/geartrain/geartrain/flow/expression"
	"github.com/geartrain/geartrain/flow/value"
)

// envelope is the payload of a job whose stage brings its own command. It carries values and never
// says what is run: the worker takes program, arguments and the names of variables from the same
// pipeline file, and puts the values where its own copy has expressions.
type envelope struct {
	Item   *content          `json:"item,omitempty"`
	Args   *content          `json:"args,omitempty"`   // absent: the item
	Stdin  *content          `json:"stdin,omitempty"`  // absent: the arguments
	Env    map[string]string `json:"env,omitempty"`    // of the pipeline and the stage
	Values []string          `json:"values,omitempty"` // of the expressions in the argument vector, in order
	Run    string            `json:"run,omitempty"`    // absent when the key holds across runs
}

// content is an item in an envelope. One of the fields is set.
type content struct {
	Text  *string         `json:"text,omitempty"`
	JSON  json.RawMessage `json:"json,omitempty"`
	Bytes []byte          `json:"bytes,omitempty"` // text that is not UTF-8
}

func contentOf(it item) *content {
	switch {
	case it.form == noItem:
		return nil
	case it.form == jsonItem:
		return &content{JSON: it.raw}
	case utf8.Valid(it.raw):
		text := string(it.raw)
		return &content{Text: &text}
	}
	return &content{Bytes: it.raw}
}

func (c *content) item() item {
	switch {
	case c == nil:
		return item{}
	case c.Text != nil:
		return item{[]byte(*c.Text), textItem}
	case c.JSON != nil:
		return item{c.JSON, jsonItem}
	}
	return item{c.Bytes, textItem}
}

// commandMaker makes the envelopes of a stage.
type commandMaker struct {
	command *Command
	stdin   expression.Template
	env     map[string]expression.Template
	run     string // as the envelope has it
}

// newCommandMaker: scope is that of the stage's keys.
func newCommandMaker(p *Plan, spec *Stage, scope string) *commandMaker {
	m := &commandMaker{command: spec.Command, stdin: spec.Stdin, run: scope, env: map[string]expression.Template{}}
	maps.Copy(m.env, p.Env)
	maps.Copy(m.env, spec.Env)
	return m
}

// templates are all that is evaluated for each job.
func (m *commandMaker) templates() []expression.Template {
	all := append([]expression.Template{m.stdin}, m.command.Argv...)
	for _, t := range m.env {
		all = append(all, t)
	}
	return all
}

// make gives the payload, and what of it belongs into the key: all but the run.
func (m *commandMaker) make(it, args item, scope *expression.Scope) (payload []byte, keyed item, err error) {
	e := envelope{Item: contentOf(it)}
	if string(args.raw) != string(it.raw) || args.form != it.form {
		e.Args = contentOf(args)
	}
	stdin, err := evaluated(m.stdin, scope, item{})
	if err != nil {
		return nil, item{}, fmt.Errorf("stdin: %w", err)
	}
	e.Stdin = contentOf(stdin)
	if e.Env, err = m.environ(scope); err != nil {
		return nil, item{}, err
	}
	if e.Values, err = argvValues(m.command.Argv, scope); err != nil {
		return nil, item{}, fmt.Errorf("run: %w", err)
	}
	if keyed, err = e.keyed(args); err != nil {
		return nil, item{}, err
	}
	e.Run = m.run
	payload, err = json.Marshal(e)
	return payload, keyed, err
}

func (m *commandMaker) environ(scope *expression.Scope) (map[string]string, error) {
	env := make(map[string]string, len(m.env))
	for name, t := range m.env {
		v, err := t.Eval(scope)
		if err != nil {
			return nil, fmt.Errorf("env: %s: %w", name, err)
		}
		if env[name], err = value.Text(v); err != nil {
			return nil, fmt.Errorf("env: %s: %w", name, err)
		}
	}
	return env, nil
}

// keyed is what makes two jobs of the stage the same: the arguments, and whatever else reaches the
// command.
func (e *envelope) keyed(args item) (item, error) {
	if e.Stdin == nil && len(e.Env) == 0 && len(e.Values) == 0 {
		return args, nil
	}
	raw, err := json.Marshal(envelope{Args: contentOf(args), Stdin: e.Stdin, Env: e.Env, Values: e.Values})
	return item{raw, jsonItem}, err
}

// argvValues are the values of all expressions of an argument vector, one after the other.
func argvValues(argv []expression.Template, scope *expression.Scope) ([]string, error) {
	var values []string
	for _, t := range argv {
		if t.IsConstant() {
			continue
		}
		texts, err := t.EvalParts(scope)
		if err != nil {
			return nil, err
		}
		values = append(values, texts...)
	}
	return values, nil
}

// fillArgv is the argument vector with the values in place of its expressions.
func fillArgv(argv []expression.Template, values []string) ([]string, error) {
	filled := make([]string, len(argv))
	for i, t := range argv {
		var ok bool
		if filled[i], values, ok = t.Fill(values); !ok {
			return nil, errOtherFile
		}
	}
	if len(values) > 0 {
		return nil, errOtherFile
	}
	return filled, nil
}
