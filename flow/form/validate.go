package form

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/geartrain/geartrain/flow"
	"github.com/geartrain/geartrain/flow/expression"
	"github.com/geartrain/geartrain/flow/form/document"
	"github.com/geartrain/geartrain/flow/wording"
	"github.com/geartrain/geartrain/gearman"
)

// validate makes the checks that need the whole pipeline, and puts the stages into the plan.
func (l *loader) validate() {
	for _, t := range l.templates {
		for _, u := range t.AllUses() {
			l.checkUse(t, u)
		}
	}
	if !l.checkCycles() {
		return
	}
	l.checkOrder()
	l.checkValues()
	for _, s := range l.stages {
		l.checkIf(s)
		l.checkKept(s)
		for _, w := range s.works() {
			l.checkKey(w)
			l.checkTimes(w)
		}
		for _, t := range s.tasks {
			l.checkIf(t)
		}
	}
	if !l.HasErrors() { // a mistake in a name would make a dead end of the stage that was meant
		l.checkDeadEnds()
	}
	l.plan.Stages = l.ordered()
}

// checkUse checks that what an expression names is there.
func (l *loader) checkUse(t placedTemplate, u expression.Use) {
	at := l.within(t.node.At(u.Path), u.Offset)
	at.End = at.Column + len(u.Context)
	switch u.Context {
	case expression.ContextParams:
		l.checkParam(u.Name, at)
	case expression.ContextEnv:
		if _, ok := l.plan.Env[u.Name]; !l.leaks(u.Name, at) && !ok && u.Name != "" {
			l.Add(at, "impure", fmt.Sprintf("the environment variable %q is not declared", u.Name), "an expression sees only what env: at the top declares")
		}
	case expression.ContextStages:
		if l.stage(u.Name) == nil {
			l.Add(at, "unknown-stage", fmt.Sprintf("there is no stage %q", wording.Shorten(u.Name, 60)), wording.DidYouMean(u.Name, l.stageNames()))
		}
	case expression.ContextRun:
		l.checkRunUse(t, u, at)
	default:
		l.checkField(t, u, at)
	}
}

// checkField finds fields of results that are text, since nothing says that they are JSON.
func (l *loader) checkField(t placedTemplate, u expression.Use, at document.Span) {
	s := t.stage
	if s == nil || u.Name == "" {
		return
	}
	from := s
	if s.isItem(u) {
		in := s.input()
		if in.Kind != flow.FromStages || in.Flatten || in.Batch > 0 || in.Gather || s.Discover != nil {
			return
		}
		if from = l.stage(in.From[0]); from == nil {
			return
		}
	} else if u.Context != expression.ContextResult {
		return
	}
	if from.givesText() {
		l.Warn(at, "type", fmt.Sprintf("a result of stage %q is text, which has no field %q", from.Name, u.Name),
			fmt.Sprintf("write output: json in stage %q if it gives JSON", from.Name))
	}
}

func (l *loader) checkParam(name string, at document.Span) {
	if name == "" {
		return
	}
	var known []string
	for _, p := range l.plan.Params {
		if p.Name == name {
			return
		}
		known = append(known, p.Name)
	}
	hint := wording.DidYouMean(name, known)
	switch {
	case hint == "" && len(known) == 0:
		hint = "declare it under params:"
	case hint == "":
		hint = "the parameters are " + strings.Join(known, ", ")
	}
	l.Add(at, "expression", fmt.Sprintf("there is no parameter %q", wording.Shorten(name, 60)), hint)
}

// checkRunUse finds what would make every run, or every attempt, other work.
func (l *loader) checkRunUse(t placedTemplate, u expression.Use, at document.Span) {
	if t.stage == nil || t.key != "args" && t.key != "key" {
		return
	}
	switch {
	case u.Name == "attempt" || u.Name == "":
		l.Add(at, "impure", fmt.Sprintf("run.attempt in %q would change the key with each attempt", t.key), "a command finds it in its environment")
	case u.Name == "id" && t.stage.Fresh != flow.Fresh{}:
		l.Warn(at, "impure", fmt.Sprintf("run.id in %q makes each run other work, so fresh never finds an earlier result", t.key), "")
	}
}

func (l *loader) stage(name string) *stageSource {
	for _, s := range l.stages {
		if s.Name == name && name != "" {
			return s
		}
	}
	return nil
}

func (l *loader) stageNames() []string {
	var names []string
	for _, s := range l.stages {
		names = append(names, s.Name)
	}
	return names
}

// checkKey finds fan-outs whose jobs would all have one key, and keys that leave out what args use.
func (l *loader) checkKey(s *stageSource) {
	if s.input().Kind == flow.Once || s.input().Gather || s.isSingle() {
		return
	}
	what, part := "key", s.Key
	if s.Pipeline != nil && part.IsZero() {
		l.checkGivenItem(s)
		return
	}
	if part.IsZero() && s.Command == nil {
		// The key of a command's job has the item in any case.
		what, part = "args", s.Args
	}
	if n := s.fields[what]; part.IsZero() || n == nil || l.broken[n] {
		return
	}
	if !s.usesItem(part) {
		hint := "use item, or index when equal items are separate work"
		if part.Source() == "none" { // as if it were a word of the form
			hint = "each item is work of its own with key: ${{ index }}"
		}
		l.Add(s.fields[what].Span, "key-constant", fmt.Sprintf("%q of %s does not use item: all its items would be one job", what, s.title()), hint)
		return
	}
	if s.Key.IsZero() || s.Args.IsZero() || s.Key.Uses(expression.ContextIndex) {
		return
	}
	for _, u := range s.Args.AllUses() {
		if s.isItem(u) && u.Name != "" && !s.keyHas(u.Name) {
			l.Warn(s.fields["key"].Span, "key-narrow", fmt.Sprintf(`"args" uses item.%s and "key" does not: items that differ only there are one job`, u.Name), "fine if that is meant")
		}
	}
}

// isSingle reports whether there is at most one item, plain to see.
func (s *stageSource) isSingle() bool {
	in := s.input()
	if s.Discover != nil || in.Kind != flow.FromValue {
		return false
	}
	switch v := in.Each.Source().(type) {
	case []any:
		return len(v) <= 1
	case map[string]any:
		return len(v) <= 1
	case int:
		return v <= 1
	}
	return false
}

func (s *stageSource) isItem(u expression.Use) bool {
	return u.Context == expression.ContextItem || s.itemName() != "" && u.Context == s.itemName()
}

func (s *stageSource) usesItem(t expression.Template) bool {
	return slices.ContainsFunc(t.AllUses(), func(u expression.Use) bool { return s.isItem(u) || u.Context == expression.ContextIndex })
}

func (s *stageSource) keyHas(field string) bool {
	return slices.ContainsFunc(s.Key.AllUses(), func(u expression.Use) bool { return s.isItem(u) && (u.Name == "" || u.Name == field) })
}

// checkTimes finds stages that the pipeline's own timeout leaves no time for.
func (l *loader) checkTimes(s *stageSource) {
	limit := l.plan.Timeout
	if limit == 0 {
		return
	}
	if n := l.field(s, "timeout"); n != nil && s.Timeout > limit {
		l.Add(n.Span, "timeout-order", fmt.Sprintf("the timeout of %s, %s, is longer than the pipeline's, %s", s.title(), expression.FormatDuration(s.Timeout), expression.FormatDuration(limit)), "")
	}
	if n := l.field(s, "retry"); n != nil && retriesLast(s.Retry) > float64(limit) {
		l.Add(n.Span, "timeout-order", fmt.Sprintf("the delays between the attempts of %s do not fit in the pipeline's timeout, %s", s.title(), expression.FormatDuration(limit)), "")
	}
}

// retriesLast is all delays together, in nanoseconds.
func retriesLast(r gearman.Retry) float64 {
	if r.Backoff < 1 {
		r.Backoff = 2
	}
	if r.MaxDelay <= 0 {
		r.MaxDelay = max(time.Minute, r.Delay)
	}
	total, delay := 0.0, float64(r.Delay)
	for i := 1; i < min(r.Attempts, 1000); i++ {
		total += min(delay, float64(r.MaxDelay))
		delay *= r.Backoff
	}
	return total
}

func (l *loader) checkIf(s *stageSource) {
	n := s.fields["if"]
	if n == nil || l.broken[n] || len(s.If.AllUses()) > 0 {
		return
	}
	v, err := s.If.Eval(&expression.Scope{})
	switch {
	case err != nil:
		l.Add(n.Span, "expression", err.Error(), "")
	case v == false || v == nil:
		l.Warn(n.Span, "unreachable", fmt.Sprintf(`"if" is always false: %s never runs`, s.title()), "")
	case v != true:
		l.Add(n.Span, "type", `"if" wants true, false or an expression`, "write ${{ ... }}")
	}
}

// checkDeadEnds finds stages that nobody waits for or reads, before the last one.
func (l *loader) checkDeadEnds() {
	used := map[string]bool{}
	for _, s := range l.stages {
		for _, name := range slices.Concat(s.Needs, s.reads()) {
			used[name] = true
		}
	}
	for _, t := range l.templates {
		for _, name := range t.Stages() {
			used[name] = true
		}
	}
	for i, s := range l.stages {
		if i < len(l.stages)-1 && s.Name != "" && !used[s.Name] {
			l.Warn(s.at, "unreachable", fmt.Sprintf("no stage waits for %q or uses its results, and it is not the last", s.Name), "")
		}
	}
}

// checkFile looks for a command that is named by a relative path.
func (l *loader) checkFile(run *document.Node) {
	if l.files == nil || run == nil {
		return
	}
	n, name := run, run.Text
	if run.Kind == document.List {
		if len(run.List) == 0 {
			return
		}
		n = run.List[0]
		name = n.Text
	} else if fields := strings.Fields(name); len(fields) > 0 {
		name = fields[0]
	}
	if !strings.HasPrefix(name, "./") && !strings.HasPrefix(name, "../") || strings.ContainsAny(name, "$`*?;&|<>\"'\\") {
		return
	}
	info, err := os.Stat(filepath.Join(l.folder(), filepath.FromSlash(name)))
	at := l.within(n, 0)
	at.End = at.Column + utf8.RuneCountInString(name)
	switch {
	case err != nil:
		l.Add(at, "file", fmt.Sprintf("there is no file %q", wording.Shorten(name, 80)), "commands run in the folder of the pipeline file")
	case info.IsDir():
		l.Add(at, "file", fmt.Sprintf("%q is a folder", wording.Shorten(name, 80)), "")
	}
}
