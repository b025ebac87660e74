package form

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/geartrain/geartrain/flow"
	"github.com/geartrain/geartrain/flow/expression"
	"github.com/geartrain/geartrain/flow/form/document"
	"github.com/geartrain/geartrain/flow/value"
	"github.com/geartrain/geartrain/flow/wording"
)

// The readers of single values. Each takes nil for a key that is not there and gives the zero value
// for it and for what is wrong, which it reports.

// word is text, warned about where other YAML readers take it for something else.
func (l *loader) word(n *document.Node, key string) string {
	if n == nil {
		return ""
	}
	if !n.Quoted && looksOtherwise.MatchString(n.Text) {
		l.Warn(n.Span, "unquoted", fmt.Sprintf("%s is text here, but not everywhere in YAML", n.Text), fmt.Sprintf("write %q", n.Text))
	}
	return n.Text
}

// looksOtherwise is what YAML 1.1 takes for a boolean, an octal number, a date or a time.
var looksOtherwise = regexp.MustCompile(`^(?i:yes|no|on|off|[-+]?0[0-9_]+|0x[0-9a-f]+|0o[0-7]+|[0-9]{4}-[0-9]{2}-[0-9]{2}.*|[0-9]+(:[0-9]{2})+)$`)

// name is text that may stand in function names, paths and expressions.
func (l *loader) name(n *document.Node, what string) string {
	if n == nil {
		return ""
	}
	if !flow.IsName(n.Text) || len(n.Text) > maxName {
		l.Add(n.Span, "value", fmt.Sprintf("%s cannot be named %q", what, wording.Shorten(n.Text, 60)),
			fmt.Sprintf("a name has letters, digits, - and _, begins with a letter, and has at most %d characters", maxName))
		return ""
	}
	return l.word(n, "name")
}

const maxName = 64

func (l *loader) positive(n *document.Node, key string) int {
	if n == nil {
		return 0
	}
	v, _ := n.Value.(int)
	if v < 1 {
		l.Add(n.Span, "value", fmt.Sprintf("%q cannot be %s", key, n.Text), "it is 1 or more")
		return 0
	}
	return v
}

func (l *loader) duration(n *document.Node) time.Duration {
	if n == nil {
		return 0
	}
	d, err := expression.ParseDuration(n.Text)
	if err != nil {
		l.Add(n.Span, "value", err.Error(), "")
		return 0
	}
	if d == 0 {
		l.Add(n.Span, "value", "a duration of zero", "leave the key out for none")
	}
	return d
}

func (l *loader) number(n *document.Node) float64 {
	if n == nil {
		return 0
	}
	f, _ := value.Number(n.Value)
	return f
}

// percent reads 2% as 2.
func percent(text string) (float64, bool) {
	digits, ok := strings.CutSuffix(text, "%")
	if !ok || !value.IsNumber(digits) {
		return 0, false
	}
	f, err := strconv.ParseFloat(digits, 64)
	return f, err == nil && f >= 0 && f <= 100
}

func (l *loader) fresh(n *document.Node) flow.Fresh {
	switch {
	case n == nil || n.Text == "never":
		return flow.Fresh{}
	case n.Text == "always":
		return flow.Fresh{Always: true}
	}
	d, err := expression.ParseDuration(n.Text)
	if err != nil || d == 0 {
		l.Add(n.Span, "value", fmt.Sprintf(`"fresh" cannot be %q`, wording.Shorten(n.Text, 60)), "it is never, always, or a duration such as 12h")
	}
	return flow.Fresh{For: d}
}

func (l *loader) budget(n *document.Node) flow.Budget {
	if n == nil {
		return flow.Budget{}
	}
	if count, ok := n.Value.(int); ok && count >= 0 {
		return flow.Budget{Count: count}
	}
	if n.Text == "all" {
		return flow.Budget{All: true}
	}
	if p, ok := percent(n.Text); ok {
		return flow.Budget{Percent: p}
	}
	l.Add(n.Span, "value", fmt.Sprintf(`"allow_failures" cannot be %q`, wording.Shorten(n.Text, 60)), "it is a number, a percentage such as 2%, or all")
	return flow.Budget{}
}

// rate reads 10/s, 600/m, 5/2h and {limit, per}.
func (l *loader) rate(n *document.Node, contexts []string, stage *stageSource) *flow.Rate {
	if n == nil {
		return nil
	}
	limit, r := n, &flow.Rate{}
	if n.Kind == document.Map {
		f := l.read(n, ratePlace, "")
		limit = f["limit"]
		r.Per = l.template(f["per"], "per", stage, contexts)
		if limit == nil {
			if n.Get("limit") == nil {
				l.Add(n.Span, "missing", `"rate" has no limit`, "write limit: 10/s")
			}
			return nil
		}
	}
	if l.limit(limit, flow.LimitRate, stage) {
		return r
	}
	var err error
	if r.Limit, r.Every, err = flow.ParseRate(limit.Text); err != nil {
		l.Add(limit.Span, "value", err.Error(), "")
		return nil
	}
	return r
}

func (l *loader) encoding(n *document.Node) flow.Encoding {
	if n == nil || n.Text == "text" {
		return flow.TextOutput
	}
	return flow.Encoding(n.Text)
}

// version is text or a whole number; 1.10 would be 1.1 and is refused by its shape.
func (l *loader) version(n *document.Node) string {
	if n == nil {
		return ""
	}
	if n.Text == "" {
		l.Add(n.Span, "value", `"version" is empty`, "")
	}
	return l.word(n, "version")
}

// names reads one name or a list of names.
func (l *loader) names(n *document.Node, key string) []*document.Node {
	if n == nil {
		return nil
	}
	if n.Kind == document.Scalar {
		return []*document.Node{n}
	}
	var out []*document.Node
	for _, child := range n.List {
		if _, ok := child.Value.(string); !ok || child.Kind != document.Scalar {
			l.Add(child.Span, "type", fmt.Sprintf("%q is a list of names, not of %s", key, child.Describe()), "")
			continue
		}
		out = append(out, child)
	}
	return out
}

// template compiles a value, keeps it for the checks that need the whole plan, and reports what is
// wrong with its expressions where they stand.
func (l *loader) template(n *document.Node, key string, stage *stageSource, contexts []string) expression.Template {
	if n == nil {
		return expression.Template{}
	}
	t, errs := l.language.Template(n.JSON(), contexts)
	for _, err := range errs {
		l.templateError(n, err)
	}
	l.broken[n] = len(errs) > 0
	if l.mustaches(n, key); key != "default" {
		l.roundNumbers(n)
	}
	l.templates = append(l.templates, placedTemplate{Template: t, node: n, stage: stage, key: key, atEnd: l.atEnd})
	return t
}

func (l *loader) templateError(n *document.Node, err error) {
	var x *expression.Error
	if !errors.As(err, &x) {
		l.Add(n.Span, "value", err.Error(), "")
		return
	}
	rule := x.Rule
	if rule == "" {
		rule = "expression"
	}
	scalar := n.At(x.Path)
	at, hint := l.within(scalar, x.Offset), x.Hint
	if !scalar.Quoted && strings.Contains(l.Line(scalar.Span.Line), scalar.Text+" #") {
		hint = `" #" begins a comment: an expression with it needs quotes around it`
	}
	l.Add(at, rule, x.Message, hint)
}

// mustaches finds {{ item }}, which other tools take for an expression.
func (l *loader) mustaches(n *document.Node, key string) {
	for _, child := range n.List {
		l.mustaches(child, key)
	}
	for _, e := range n.Entries {
		l.mustaches(e.Value, key)
	}
	text, isText := n.Value.(string)
	m := mustache.FindStringIndex(text)
	if key == "run" && m != nil && !contextMustache.MatchString(text) {
		return // programs have such forms of their own
	}
	if n.Kind == document.Scalar && isText && m != nil {
		at := l.within(n, utf8.RuneCountInString(text[:m[0]]))
		l.Warn(at, "expression", "this is plain text and no expression", "an expression is written ${{ ... }}")
	}
}

var mustache = regexp.MustCompile(`(^|[^$])\{\{ *[a-z]+[.\w\[\]]* *\}\}|^\$\{ *[\w.]+ *\}$`)

// contextMustache is one that begins as an expression does.
var contextMustache = regexp.MustCompile(`\{\{ *(params|item|env|stages|run|index|result)\b`)

// roundNumbers warns of 1.10, which is the number 1.1.
func (l *loader) roundNumbers(n *document.Node) {
	for _, child := range n.List {
		l.roundNumbers(child)
	}
	for _, e := range n.Entries {
		l.roundNumbers(e.Value)
	}
	if _, isNumber := n.Value.(float64); !isNumber || n.Kind != document.Scalar || !lastZero.MatchString(n.Text) {
		return
	}
	if text, err := value.Text(n.Value); err == nil {
		l.Warn(n.Span, "unquoted", fmt.Sprintf("%s is the number %s", n.Text, text), fmt.Sprintf("write %q if it is text", n.Text))
	}
}

// lastZero is a number whose last digit means nothing, as that of a version does.
var lastZero = regexp.MustCompile(`^-?[0-9]+\.[0-9]*[1-9]0+$`)

// within is the place of a character inside a scalar: counted when the scalar stands in the source
// as it is, else looked for in the lines from where it begins.
func (l *loader) within(n *document.Node, offset int) document.Span {
	runes := []rune(n.Text)
	if n.Kind != document.Scalar || offset > len(runes) {
		return n.Span
	}
	rest, _, _ := strings.Cut(string(runes[offset:]), "\n")
	rest = string([]rune(rest)[:min(utf8.RuneCountInString(rest), 30)])
	for line := n.Span.Line; line <= len(l.Lines) && line < n.Span.Line+200; line++ {
		text := l.Line(line)
		from := 0
		if line == n.Span.Line {
			from = len(string([]rune(text)[:min(n.Span.Column-1+offset, utf8.RuneCountInString(text))]))
		}
		if i := strings.Index(text[from:], rest); i >= 0 && rest != "" {
			column := utf8.RuneCountInString(text[:from+i]) + 1
			return document.Span{Line: line, Column: column, End: column + 1}
		}
	}
	return n.Span
}
