package flow

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/geartrain/geartrain/flow/expression"
	"github.com/geartrain/geartrain/flow/value"
	"github.com/geartrain/geartrain/flow/wording"
)

// The readers of single values. Each takes nil for a key that is not there and gives the zero value
// for it and for what is wrong, which it reports.

func (n *node) string() string {
	if n == nil {
		return ""
	}
	return n.text
}

// word is text, warned about where other YAML readers take it for something else.
func (l *loader) word(n *node, key string) string {
	if n == nil {
		return ""
	}
	if !n.quoted && looksOtherwise.MatchString(n.text) {
		l.warn(n.span, "unquoted", fmt.Sprintf("%s is text here, but not everywhere in YAML", n.text), fmt.Sprintf("write %q", n.text))
	}
	return n.text
}

// looksOtherwise is what YAML 1.1 takes for a boolean, an octal number, a date or a time.
var looksOtherwise = regexp.MustCompile(`^(?i:yes|no|on|off|[-+]?0[0-9_]+|0x[0-9a-f]+|0o[0-7]+|[0-9]{4}-[0-9]{2}-[0-9]{2}.*|[0-9]+(:[0-9]{2})+)$`)

// name is text that may stand in function names, paths and expressions.
func (l *loader) name(n *node, what string) string {
	if n == nil {
		return ""
	}
	if !validName.MatchString(n.text) || len(n.text) > maxName {
		l.add(n.span, "value", fmt.Sprintf("%s cannot be named %q", what, wording.Shorten(n.text, 60)),
			fmt.Sprintf("a name has letters, digits, - and _, begins with a letter, and has at most %d characters", maxName))
		return ""
	}
	return l.word(n, "name")
}

const maxName = 64

var validName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_-]*$`)

func (l *loader) positive(n *node, key string) int {
	if n == nil {
		return 0
	}
	v, _ := n.value.(int)
	if v < 1 {
		l.add(n.span, "value", fmt.Sprintf("%q cannot be %s", key, n.text), "it is 1 or more")
		return 0
	}
	return v
}

func (l *loader) duration(n *node) time.Duration {
	if n == nil {
		return 0
	}
	d, err := expression.ParseDuration(n.text)
	if err != nil {
		l.add(n.span, "value", err.Error(), "")
		return 0
	}
	if d == 0 {
		l.add(n.span, "value", "a duration of zero", "leave the key out for none")
	}
	return d
}

func (l *loader) number(n *node) float64 {
	if n == nil {
		return 0
	}
	f, _ := value.Number(n.value)
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

func (l *loader) fresh(n *node) Fresh {
	switch {
	case n == nil || n.text == "never":
		return Fresh{}
	case n.text == "always":
		return Fresh{Always: true}
	}
	d, err := expression.ParseDuration(n.text)
	if err != nil || d == 0 {
		l.add(n.span, "value", fmt.Sprintf(`"fresh" cannot be %q`, wording.Shorten(n.text, 60)), "it is never, always, or a duration such as 12h")
	}
	return Fresh{For: d}
}

func (l *loader) budget(n *node) Budget {
	if n == nil {
		return Budget{}
	}
	if count, ok := n.value.(int); ok && count >= 0 {
		return Budget{Count: count}
	}
	if n.text == "all" {
		return Budget{All: true}
	}
	if p, ok := percent(n.text); ok {
		return Budget{Percent: p}
	}
	l.add(n.span, "value", fmt.Sprintf(`"allow_failures" cannot be %q`, wording.Shorten(n.text, 60)), "it is a number, a percentage such as 2%, or all")
	return Budget{}
}

// rate reads 10/s, 600/m, 5/2h and {limit, per}.
func (l *loader) rate(n *node, contexts []string, stage *stageSource) *Rate {
	if n == nil {
		return nil
	}
	limit, r := n, &Rate{}
	if n.kind == mapNode {
		f := l.read(n, ratePlace, "")
		limit = f["limit"]
		r.Per = l.template(f["per"], "per", stage, contexts)
		if limit == nil {
			if n.get("limit") == nil {
				l.add(n.span, "missing", `"rate" has no limit`, "write limit: 10/s")
			}
			return nil
		}
	}
	if l.limit(limit, LimitRate, stage) {
		return r
	}
	var err error
	if r.Limit, r.Every, err = parseRate(limit.text); err != nil {
		l.add(limit.span, "value", err.Error(), "")
		return nil
	}
	return r
}

func parseRate(text string) (limit int, every time.Duration, err error) {
	wrong := fmt.Errorf("%q is not a rate; write 10/s, 600/m or 100/h", wording.Shorten(text, 40))
	count, unit, ok := strings.Cut(text, "/")
	if limit, err = strconv.Atoi(count); !ok || err != nil || limit < 1 {
		return 0, 0, wrong
	}
	if unit != "" && (unit[0] < '0' || unit[0] > '9') {
		unit = "1" + unit
	}
	if every, err = expression.ParseDuration(unit); err != nil || every == 0 {
		return 0, 0, wrong
	}
	return limit, every, nil
}

func (l *loader) encoding(n *node) Encoding {
	if n == nil || n.text == "text" {
		return TextOutput
	}
	return Encoding(n.text)
}

// version is text or a whole number; 1.10 would be 1.1 and is refused by its shape.
func (l *loader) version(n *node) string {
	if n == nil {
		return ""
	}
	if n.text == "" {
		l.add(n.span, "value", `"version" is empty`, "")
	}
	return l.word(n, "version")
}

// names reads one name or a list of names.
func (l *loader) names(n *node, key string) []*node {
	if n == nil {
		return nil
	}
	if n.kind == scalarNode {
		return []*node{n}
	}
	var out []*node
	for _, child := range n.list {
		if _, ok := child.value.(string); !ok || child.kind != scalarNode {
			l.add(child.span, "type", fmt.Sprintf("%q is a list of names, not of %s", key, child.describe()), "")
			continue
		}
		out = append(out, child)
	}
	return out
}

// template compiles a value, keeps it for the checks that need the whole plan, and reports what is
// wrong with its expressions where they stand.
func (l *loader) template(n *node, key string, stage *stageSource, contexts []string) expression.Template {
	if n == nil {
		return expression.Template{}
	}
	t, errs := l.language.Template(n.json(), contexts)
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

func (l *loader) templateError(n *node, err error) {
	var x *expression.Error
	if !errors.As(err, &x) {
		l.add(n.span, "value", err.Error(), "")
		return
	}
	rule := x.Rule
	if rule == "" {
		rule = "expression"
	}
	scalar := n.at(x.Path)
	at, hint := l.within(scalar, x.Offset), x.Hint
	if !scalar.quoted && strings.Contains(l.line(scalar.span.line), scalar.text+" #") {
		hint = `" #" begins a comment: an expression with it needs quotes around it`
	}
	l.add(at, rule, x.Message, hint)
}

// mustaches finds {{ item }}, which other tools take for an expression.
func (l *loader) mustaches(n *node, key string) {
	for _, child := range n.list {
		l.mustaches(child, key)
	}
	for _, e := range n.entries {
		l.mustaches(e.value, key)
	}
	text, isText := n.value.(string)
	m := mustache.FindStringIndex(text)
	if key == "run" && m != nil && !contextMustache.MatchString(text) {
		return // programs have such forms of their own
	}
	if n.kind == scalarNode && isText && m != nil {
		at := l.within(n, utf8.RuneCountInString(text[:m[0]]))
		l.warn(at, "expression", "this is plain text and no expression", "an expression is written ${{ ... }}")
	}
}

var mustache = regexp.MustCompile(`(^|[^$])\{\{ *[a-z]+[.\w\[\]]* *\}\}|^\$\{ *[\w.]+ *\}$`)

// contextMustache is one that begins as an expression does.
var contextMustache = regexp.MustCompile(`\{\{ *(params|item|env|stages|run|index|result)\b`)

// roundNumbers warns of 1.10, which is the number 1.1.
func (l *loader) roundNumbers(n *node) {
	for _, child := range n.list {
		l.roundNumbers(child)
	}
	for _, e := range n.entries {
		l.roundNumbers(e.value)
	}
	if _, isNumber := n.value.(float64); !isNumber || n.kind != scalarNode || !lastZero.MatchString(n.text) {
		return
	}
	if text, err := value.Text(n.value); err == nil {
		l.warn(n.span, "unquoted", fmt.Sprintf("%s is the number %s", n.text, text), fmt.Sprintf("write %q if it is text", n.text))
	}
}

// lastZero is a number whose last digit means nothing, as that of a version does.
var lastZero = regexp.MustCompile(`^-?[0-9]+\.[0-9]*[1-9]0+$`)

// within is the place of a character inside a scalar: counted when the scalar stands in the source
// as it is, else looked for in the lines from where it begins.
func (l *loader) within(n *node, offset int) span {
	runes := []rune(n.text)
	if n.kind != scalarNode || offset > len(runes) {
		return n.span
	}
	rest, _, _ := strings.Cut(string(runes[offset:]), "\n")
	rest = string([]rune(rest)[:min(utf8.RuneCountInString(rest), 30)])
	for line := n.span.line; line <= len(l.lines) && line < n.span.line+200; line++ {
		text := l.line(line)
		from := 0
		if line == n.span.line {
			from = len(string([]rune(text)[:min(n.span.column-1+offset, utf8.RuneCountInString(text))]))
		}
		if i := strings.Index(text[from:], rest); i >= 0 && rest != "" {
			column := utf8.RuneCountInString(text[:from+i]) + 1
			return span{line, column, column + 1}
		}
	}
	return n.span
}
