package form

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/geartrain/geartrain/flow"
	"github.com/geartrain/geartrain/flow/expression"
	"github.com/geartrain/geartrain/flow/form/document"
	"github.com/geartrain/geartrain/flow/value"
)

// The bounds of trying expressions out: how often one is evaluated, and all of a file.
const (
	maxTrials    = 64
	maxAllTrials = 1000
)

// trial tries expressions out over values that parameters may have.
type trial struct {
	*loader
	samples map[string][]any // of each parameter
	scope   expression.Scope // of what does not change
	left    int              // evaluations
}

// checkValues finds expressions that fail, or give what nobody can use, whatever the parameters are. It looks
// only at those over parameters, the run, and the counts and states of stages: of what a job gives nothing is
// known.
func (l *loader) checkValues() {
	t := trial{loader: l, samples: map[string][]any{}, left: maxAllTrials}
	for i := range l.plan.Params {
		p := &l.plan.Params[i]
		t.samples[p.Name] = samplesOf(p)
	}
	t.scope.Stages = map[string]expression.StageValues{}
	for _, s := range l.stages {
		t.scope.Stages[s.Name] = expression.StageValues{Count: 1, Status: string(flow.Success)}
	}
	t.scope.Run = expression.RunValues{ID: "r1", Name: l.plan.Name, ScheduledAt: time.Unix(0, 0).UTC(), Attempt: 1}
	for _, at := range l.templates {
		l.eachText(at.node, func(n *document.Node) { t.try(at, n) })
	}
}

// eachText calls f with each text that has an expression. Keys of maps have none.
func (l *loader) eachText(n *document.Node, f func(*document.Node)) {
	for _, child := range n.List {
		l.eachText(child, f)
	}
	for _, e := range n.Entries {
		l.checkMapKey(e.Key)
		l.eachText(e.Value, f)
	}
	if n.Kind == document.Scalar && strings.Contains(n.Text, "${{") {
		f(n)
	}
}

// checkMapKey finds expressions where there are none. Half of one is what a ": " left of a value.
func (l *loader) checkMapKey(key *document.Node) {
	switch _, rest, found := strings.Cut(key.Text, "${{"); {
	case !found:
	case strings.Contains(rest, "}}"):
		l.Warn(key.Span, "expression", "the key of a map is taken as it is, without expressions", "")
	default:
		l.Add(key.Span, "expression", `"${{" without "}}"`, `": " makes the key of a map of it: an expression with it needs quotes around it`)
	}
}

// try evaluates one text over all samples, until it goes well once.
func (t *trial) try(at placedTemplate, n *document.Node) {
	text, errs := t.language.Template(n.Text, []string{expression.ContextParams, expression.ContextRun, expression.ContextStages})
	if len(errs) > 0 || at.key == "if" && len(text.AllUses()) == 0 { // checkIf looks at those
		return
	}
	scopes := t.scopes(text, n.Text)
	var first error
	for _, scope := range scopes {
		if t.left--; t.left < 0 {
			return
		}
		v, err := text.Eval(scope)
		if err == nil && n == at.node {
			err = usable(at.key, v)
		}
		if err == nil {
			return
		}
		if first == nil {
			first = err
		}
	}
	if first != nil {
		t.trialError(n, first)
	}
}

// trialError reports what an evaluation failed with, at its place when there is one expression.
func (l *loader) trialError(n *document.Node, err error) {
	var x *expression.Error
	if !errors.As(err, &x) {
		x = &expression.Error{Message: err.Error()}
	}
	at := n.Span
	if before, _, _ := strings.Cut(n.Text, "${{"); strings.Count(n.Text, "${{") == 1 && x.Rule == "" {
		at = l.within(n, utf8.RuneCountInString(before)+len("${{")+x.Offset)
	}
	l.Add(at, cmp.Or(x.Rule, "expression"), x.Message, x.Hint)
}

// usable is the mistake of a value that its key has no use for.
func usable(key string, v any) error {
	_, isBool := v.(bool)
	_, isText := v.(string)
	wanted := ""
	switch {
	case key == "if" && !isBool && v != nil:
		wanted = "true or false"
	case key == "for_each" && (isBool || isText):
		wanted = "a list, a map or a whole number"
	default:
		return nil
	}
	return &expression.Error{Rule: "type", Message: fmt.Sprintf("%q wants %s, not %s", key, wanted, value.Describe(v))}
}

// scopes have all samples of all parameters that a text uses; there are none when nothing can be known.
func (t *trial) scopes(text expression.Template, source string) []*expression.Scope {
	if strings.Contains(source, "..") { // a range can be long
		return nil
	}
	scopes := []*expression.Scope{&t.scope}
	for _, u := range text.AllUses() {
		switch u.Context {
		case expression.ContextParams:
			scopes = t.with(scopes, u.Name, source)
		case expression.ContextStages:
			if _, known := t.scope.Stages[u.Name]; !known || u.Field != "count" && u.Field != "status" {
				return nil
			}
		}
	}
	return scopes
}

// with adds each sample of a parameter to each scope.
func (t *trial) with(scopes []*expression.Scope, param, source string) []*expression.Scope {
	if len(scopes) > 0 {
		if _, has := scopes[0].Params[param]; has {
			return scopes
		}
	}
	p := slices.IndexFunc(t.plan.Params, func(p flow.Param) bool { return p.Name == param })
	if p < 0 || len(scopes)*len(t.samples[param]) > maxTrials || isOpen(&t.plan.Params[p]) && looksInside(source) {
		return nil
	}
	var all []*expression.Scope
	for _, v := range t.samples[param] {
		for _, scope := range scopes {
			with := *scope
			with.Params = maps.Clone(scope.Params)
			if with.Params == nil {
				with.Params = map[string]any{}
			}
			with.Params[param] = v
			all = append(all, &with)
		}
	}
	return all
}

// isOpen reports whether values of the parameter differ in more than samples can show.
func isOpen(p *flow.Param) bool {
	return len(p.Enum) == 0 && slices.Contains([]flow.ParamType{flow.String, flow.List, flow.Map, ""}, p.Type)
}

// looksInside reports whether an expression takes a part of a text, a list or a map: what that is, samples do
// not show.
func looksInside(source string) bool {
	if strings.ContainsAny(source, "[|") || insideParam.MatchString(source) {
		return true
	}
	for _, call := range functionCall.FindAllStringSubmatch(source, -1) {
		if !slices.Contains([]string{
			"upper", "lower", "trim", "host", "basename", "dirname", "sum", "join", "len", "sort", "unique",
			"contains", "startsWith", "endsWith", "replace", "hash", "toJSON", "date", "duration",
		}, call[1]) {
			return true
		}
	}
	return false
}

var (
	insideParam  = regexp.MustCompile(`\bparams\.[\w-]+\??\.`)
	functionCall = regexp.MustCompile(`([A-Za-z]+) *\(`)
)

// samplesOf is values that the parameter may have, its default first; none when it may be null.
func samplesOf(p *flow.Param) []any {
	candidates := map[flow.ParamType][]any{
		flow.Boolean: {false, true}, flow.Integer: {0, 1, 7}, flow.Number: {0.5, 1, 7}, flow.Date: {"2026-01-31"}, flow.Duration: {"5m"},
		flow.String: {"x", "", "1", "5m", "2026-01-31T10:00:00Z", "https://example.org/a/b?c=d"},
		flow.List:   {[]any{}, []any{"x"}, []any{1}}, flow.Map: {map[string]any{}, map[string]any{"a": 1}},
	}[p.Type]
	if len(p.Enum) > 0 {
		candidates = slices.Clone(p.Enum)
	}
	for _, bound := range []*float64{p.Minimum, p.Maximum} {
		if bound != nil && *bound == float64(int(*bound)) {
			candidates = append(candidates, int(*bound))
		}
	}
	switch d := p.Default.(type) {
	case expression.Template:
	case nil:
		if !p.Required {
			return nil
		}
	default:
		candidates = append([]any{d}, candidates...)
	}
	return slices.DeleteFunc(candidates, func(v any) bool { return p.Check(v) != nil })
}
