package flow

import (
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/geartrain/geartrain/flow/expression"
	"github.com/geartrain/geartrain/flow/value"
	"github.com/geartrain/geartrain/flow/wording"
)

// ParamError says what is wrong with the parameters a run was given, all of it.
type ParamError struct {
	Pipeline string
	Problems []ParamProblem // as the parameters are declared; unknown ones last
}

// ParamProblem is what is wrong with one parameter.
type ParamProblem struct {
	Param   string `json:"param"`
	Message string `json:"message"`
}

func (e *ParamError) Error() string {
	lines := make([]string, len(e.Problems))
	for i, p := range e.Problems {
		lines[i] = p.Message
	}
	return fmt.Sprintf("parameters of %s: %s", e.Pipeline, strings.Join(lines, "; "))
}

// ParseParams turns the texts of a command line into the parameters of a run, and fills in defaults.
// Defaults may depend on the run's logical time. Lists and maps are given as JSON; a list may
// also be given as a,b,c. Every declared parameter is in the result, without a default as nil.
// What is wrong comes as a [ParamError].
func ParseParams(plan *Plan, given map[string]string, scheduledAt time.Time) (map[string]any, error) {
	values := make(map[string]any, len(plan.Params))
	wrong := &ParamError{Pipeline: plan.Name}
	scope := &expression.Scope{Run: expression.RunValues{Name: plan.Name, ScheduledAt: scheduledAt}}
	known := make([]string, len(plan.Params))
	for i := range plan.Params {
		p := &plan.Params[i]
		known[i] = p.Name
		v, err := p.value(given, scope)
		if err != nil {
			wrong.Problems = append(wrong.Problems, ParamProblem{p.Name, err.Error()})
			continue
		}
		values[p.Name] = v
	}
	for _, name := range slices.Sorted(maps.Keys(given)) {
		if !slices.Contains(known, name) {
			wrong.Problems = append(wrong.Problems, ParamProblem{name, unknownParam(name, known)})
		}
	}
	if len(wrong.Problems) > 0 {
		return nil, wrong
	}
	return values, nil
}

func unknownParam(name string, known []string) string {
	message := fmt.Sprintf("there is no parameter %q", wording.Shorten(name, 60))
	switch hint := wording.DidYouMean(name, known); {
	case hint != "":
		return message + "; " + hint
	case len(known) == 0:
		return message + "; the pipeline has none"
	}
	return message + "; the parameters are " + strings.Join(known, ", ")
}

// value is the parameter's value for one run.
func (p *Param) value(given map[string]string, scope *expression.Scope) (any, error) {
	if text, ok := given[p.Name]; ok {
		v, err := p.parse(text)
		if err != nil {
			return nil, err
		}
		return v, p.Check(v)
	}
	if p.Required {
		return nil, fmt.Errorf("the parameter %q is required%s", p.Name, p.allowed())
	}
	t, ok := p.Default.(expression.Template)
	if !ok {
		return p.Default, nil
	}
	v, err := t.Eval(scope)
	if err != nil {
		return nil, fmt.Errorf("default of the parameter %q: %w", p.Name, err)
	}
	return v, p.Check(v)
}

// parse reads text as the parameter's type. Whether the value is allowed is for check.
func (p *Param) parse(text string) (any, error) {
	switch p.Type {
	case String, Date, Duration, "":
		return text, nil
	case List:
		if !strings.HasPrefix(strings.TrimSpace(text), "[") {
			return commaList(text), nil
		}
	}
	v, err := value.DecodeJSON([]byte(text))
	if err != nil {
		return nil, p.wrong(text)
	}
	return v, nil
}

func commaList(text string) []any {
	list := []any{}
	if text == "" {
		return list
	}
	for part := range strings.SplitSeq(text, ",") {
		list = append(list, strings.TrimSpace(part))
	}
	return list
}

// check reports whether a value is of the parameter's type and allowed.
func (p *Param) Check(v any) error {
	if !p.hasType(v) {
		return p.wrong(v)
	}
	if len(p.Enum) > 0 && !p.isListed(v) {
		return p.wrong(v)
	}
	if f, ok := value.Number(v); ok && (p.Minimum != nil && f < *p.Minimum || p.Maximum != nil && f > *p.Maximum) {
		return p.wrong(v)
	}
	if text, ok := v.(string); ok && p.Pattern != "" {
		pattern, err := regexp.Compile("^(?:" + p.Pattern + ")$")
		if err != nil {
			return fmt.Errorf("pattern of the parameter %q: %w", p.Name, err)
		}
		if !pattern.MatchString(text) {
			return p.wrong(v)
		}
	}
	return nil
}

func (p *Param) hasType(v any) bool {
	switch v := v.(type) {
	case string:
		switch p.Type {
		case Date:
			_, err := time.Parse(time.DateOnly, v)
			return err == nil
		case Duration:
			_, err := expression.ParseDuration(v)
			return err == nil
		}
		return p.Type == String || p.Type == ""
	case bool:
		return p.Type == Boolean
	case int, json.Number:
		return p.Type == Integer || p.Type == Number
	case float64:
		return p.Type == Number || p.Type == Integer && v == float64(int(v))
	case []any:
		return p.Type == List
	case map[string]any:
		return p.Type == Map
	}
	return false
}

func (p *Param) isListed(v any) bool {
	want, err := value.Canonical(v)
	return err == nil && slices.ContainsFunc(p.Enum, func(one any) bool {
		got, err := value.Canonical(one)
		return err == nil && string(got) == string(want)
	})
}

// wrong names the parameter, the value and what is allowed.
func (p *Param) wrong(v any) error {
	text, err := value.Text(v)
	if err != nil {
		text = fmt.Sprint(v)
	}
	return fmt.Errorf("the parameter %q cannot be %q%s", p.Name, wording.Shorten(text, 60), p.allowed())
}

// allowed says in words what the parameter takes.
func (p *Param) allowed() string {
	words := map[ParamType]string{
		String: "text", Integer: "a whole number", Number: "a number", Boolean: "true or false", List: "a list: a,b,c or JSON",
		Map: "a map, as JSON", Date: "a date such as 2026-01-31", Duration: "a duration such as 90s, 5m or 2d",
	}[p.Type]
	switch {
	case len(p.Enum) > 0:
		one := make([]string, len(p.Enum))
		for i, v := range p.Enum {
			one[i], _ = value.Text(v) // it was checked when it was read
		}
		words = "one of " + strings.Join(one, ", ")
	case p.Minimum != nil && p.Maximum != nil:
		words += fmt.Sprintf(" from %v to %v", *p.Minimum, *p.Maximum)
	case p.Minimum != nil:
		words += fmt.Sprintf(", %v or more", *p.Minimum)
	case p.Maximum != nil:
		words += fmt.Sprintf(", %v or less", *p.Maximum)
	case p.Pattern != "":
		words += " that matches " + p.Pattern
	}
	return "; it is " + words
}
