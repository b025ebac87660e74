package flow

import (
	"fmt"
	"slices"

	"github.com/geartrain/geartrain/gearman"
)

// readStages reads the names of all stages first, so that each may name the others.
func (l *loader) readStages(n *node) {
	if n == nil {
		return
	}
	if len(n.list) == 0 {
		l.add(n.span, "missing", "the pipeline has no stages", "")
	}
	seen := map[string]*stageSource{}
	for _, child := range n.list {
		s := &stageSource{at: child.span, hasMatrix: child.get("matrix") != nil}
		s.fields = l.read(child, stagePlace, child.get("name").string())
		if name := s.fields["name"]; name != nil {
			l.name(name, "a stage")
			s.at, s.Name = name.span, name.text
		} else if child.kind == mapNode && child.get("name") == nil {
			l.add(child.span, "missing", "the stage has no name", "write name: NAME")
		}
		if before := seen[s.Name]; before != nil && s.Name != "" {
			l.add(s.at, "duplicate-stage", fmt.Sprintf("stage %q is already at line %d, column %d", s.Name, before.at.line, before.at.column), "")
		} else {
			seen[s.Name] = s
		}
		l.stages = append(l.stages, s)
	}
	for i, s := range l.stages {
		l.readWork(s, n.list[i])
		l.readItems(s)
		l.readArguments(s)
		l.readLimits(s)
		l.readOrder(s, i)
	}
}

// readWork reads what runs: function or run.
func (l *loader) readWork(s *stageSource, n *node) {
	function, run := s.fields["function"], s.fields["run"]
	s.Version = l.version(s.fields["version"])
	s.Output = l.encoding(s.fields["output"])
	switch {
	case function != nil && run != nil:
		l.add(run.span, "exclusive", fmt.Sprintf(`the stage %q has both "function" and "run"`, s.Name), "leave out one of them")
	case function != nil:
		s.Function = l.word(function, "function")
		if s.Function == "" || len(s.Function) > 255 {
			l.add(function.span, "value", "a function's name has 1 to 255 bytes", "")
		}
		if declared := l.functions[s.Function]; declared != nil {
			s.Version = firstText(s.Version, declared.Version)
			s.Timeout = declared.Timeout
			if s.fields["output"] == nil {
				s.Output = declared.Output
			}
		}
	case run == nil && n.kind == mapNode && n.get("function") == nil && n.get("run") == nil:
		if n.get("pipeline") == nil && n.get("tasks") == nil {
			l.add(s.at, "missing", fmt.Sprintf(`the stage %q has neither "function" nor "run"`, s.Name), "write function: NAME or run: COMMAND")
		}
	}
}

func firstText(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

// readItems reads where the items come from.
func (l *loader) readItems(s *stageSource) {
	each, stream, args := s.fields["for_each"], s.fields["stream"], s.fields["args"]
	s.As = l.itemName(s.fields["as"])
	switch {
	case each != nil && stream != nil:
		l.add(stream.span, "exclusive", fmt.Sprintf(`the stage %q has both "for_each" and "stream"`, s.Name), "stream alone makes one job for each result")
	case each != nil:
		l.readEach(s, each)
	case stream != nil:
		s.Input = Input{Kind: FromStages, Stream: true}
		for _, name := range l.names(stream, "stream") {
			s.Input.From = append(s.Input.From, name.text)
			l.knownStage(name, fmt.Sprintf("stage %q streams from", s.Name))
		}
	case args != nil:
		if input, ok := stagesInput(l.peek(args)); ok {
			input.Gather = true
			s.Input = input
			s.fields["args"] = nil
			l.template(args, "args", s, planContexts())
		}
	}
	if s.hasMatrix {
		s.Input.Kind = FromValue // so that its expressions may use item
	}
	s.Input.Batch = l.positive(s.fields["batch"], "batch")
	if s.Input.Kind == Once {
		for _, key := range []string{"as", "batch", "discover"} {
			if n := s.fields[key]; n != nil {
				l.add(n.span, "missing", fmt.Sprintf(`%q is for a stage with items, and stage %q has none`, key, s.Name), "write for_each or stream")
			}
		}
	}
}

// peek is the template of a value whose problems are reported when it is read for good.
func (l *loader) peek(n *node) Template {
	t, err := Compile(n.json(), planContexts()...)
	if err != nil {
		return Template{}
	}
	return t
}

func (l *loader) itemName(n *node) string {
	name := l.name(n, "an item")
	reserved := slices.Contains(contextNames(), name) || slices.Contains(predicates(), name)
	if _, isFunction := expressionFunctions()[name]; name != "" && (reserved || isFunction) {
		l.add(n.span, "value", fmt.Sprintf("%q already means something in expressions", name), "choose another name for the item")
		return ""
	}
	if name != "" && !validEnv.MatchString(name) {
		l.add(n.span, "value", fmt.Sprintf("%q would be read as a subtraction in expressions", name), "use _ in place of -")
		return ""
	}
	return name
}

func (l *loader) readEach(s *stageSource, n *node) {
	each := l.template(n, "for_each", s, planContexts())
	s.Input = Input{Kind: FromValue, Each: each}
	if input, ok := stagesInput(each); ok {
		s.Input = input
		return
	}
	if text, ok := n.value.(string); ok && n.kind == scalarNode && !each.IsZero() && (each.IsConstant() || !each.isExpression()) {
		l.add(n.span, "type", fmt.Sprintf(`"for_each" wants a list, a map, a number or one expression, not the text %q`, shorten(text, 60)), `write [...] or ${{ ... }}`)
	}
	if count, ok := n.value.(int); ok && n.kind == scalarNode && count < 0 {
		l.add(n.span, "value", `"for_each" cannot be negative`, "")
	}
}

// readArguments reads what a job is given, with the names that stand for something in it.
func (l *loader) readArguments(s *stageSource) {
	contexts := s.contexts()
	s.Args = l.template(s.fields["args"], "args", s, contexts)
	s.Env = l.environment(s.fields["env"], s, contexts)
	s.Key = l.template(s.fields["key"], "key", s, contexts)
	s.Stdin = l.template(s.fields["stdin"], "stdin", s, contexts)
	s.If = l.template(s.fields["if"], "if", s, planContexts())
	if run := s.fields["run"]; run != nil {
		s.Command = l.command(run, s, contexts)
		s.Function = l.plan.Name + "." + s.Name
		s.Version = firstText(s.Version, s.Command.hash())
		l.checkFile(run)
	} else {
		for _, key := range []string{"stdin", "env"} {
			if n := s.fields[key]; n != nil {
				l.add(n.span, "exclusive", fmt.Sprintf("%q is for commands, and stage %q has a function", key, s.Name), "give the function what it needs in args")
			}
		}
	}
	if n := s.fields["discover"]; n != nil {
		s.Discover = l.discover(n, s, append(slices.Clip(contexts), ContextResult))
	}
}

func (s *stageSource) contexts() []string {
	contexts := planContexts()
	if s.Input.Kind == Once {
		return contexts
	}
	contexts = append(contexts, ContextItem, ContextIndex)
	if s.As != "" {
		contexts = append(contexts, s.As)
	}
	return contexts
}

func (l *loader) discover(n *node, s *stageSource, contexts []string) *Discover {
	f := l.read(n, discoverPlace, "")
	d := &Discover{
		Items:    l.template(f["items"], "items", s, contexts),
		If:       l.template(f["if"], "if", s, contexts),
		MaxItems: l.positive(f["max_items"], "max_items"),
	}
	if f["items"] == nil && n.kind == mapNode && n.get("items") == nil {
		l.add(n.span, "missing", `"discover" has no items`, "write items: ${{ result.links }}")
	}
	if with := f["with"]; with != nil {
		d.With = make(map[string]any, len(with.entries))
		for _, e := range with.entries {
			t := l.template(e.value, "with", s, contexts)
			d.With[e.key.text] = t
			if t.IsConstant() {
				d.With[e.key.text] = t.Source()
			}
		}
	}
	if d.MaxItems == 0 && f["max_items"] == nil && f["if"] == nil {
		l.add(n.span, "unbounded", `"discover" has no end: neither max_items nor if`, "write max_items: 100000")
	}
	return d
}

// field is the stage's own value for a key, or that of defaults.
func (l *loader) field(s *stageSource, key string) *node {
	if n := s.fields[key]; n != nil {
		return n
	}
	return l.defaults[key]
}

func (l *loader) readLimits(s *stageSource) {
	s.MaxParallel = l.positive(l.field(s, "max_parallel"), "max_parallel")
	s.Fresh = l.fresh(l.field(s, "fresh"))
	s.AllowFailures = l.budget(l.field(s, "allow_failures"))
	s.Rate = l.rate(l.field(s, "rate"), s.contexts(), s)
	if n := l.field(s, "fail_fast"); n != nil {
		s.FailFast = n.value == true
	}
	switch l.field(s, "priority").string() {
	case "high":
		s.Priority = gearman.High
	case "low":
		s.Priority = gearman.Low
	}
	// A declared function's own timeout stands between the stage's and that of defaults.
	if n := s.fields["timeout"]; n != nil || s.Timeout == 0 {
		s.Timeout = l.duration(l.field(s, "timeout"))
	}
	if n := l.field(s, "retry"); n != nil {
		s.Retry = l.retry(n)
	}
}

func (l *loader) retry(n *node) gearman.Retry {
	f := l.read(n, retryPlace, "")
	r := gearman.Retry{
		Attempts: l.positive(f["attempts"], "attempts"),
		Delay:    l.duration(f["delay"]),
		Backoff:  l.number(f["backoff"]),
		MaxDelay: l.duration(f["max_delay"]),
		Jitter:   l.jitter(f["jitter"]),
	}
	if f["attempts"] == nil && n.kind == mapNode && n.get("attempts") == nil {
		l.add(n.span, "unbounded", `"retry" does not say how often`, "write attempts: 3, the first one included")
	}
	if b := f["backoff"]; b != nil && r.Backoff < 1 {
		l.add(b.span, "value", fmt.Sprintf(`"backoff" cannot be %s`, b.text), "it is 1 for constant delays, 2 to double them")
	}
	if m := f["max_delay"]; m != nil && r.MaxDelay < r.Delay {
		l.add(m.span, "value", `"max_delay" is below "delay"`, "")
	}
	for _, name := range l.names(f["on"], "on") {
		reason, ok := retryReasons()[name.text]
		if !ok {
			l.add(name.span, "value", fmt.Sprintf(`"on" cannot be %q`, shorten(name.text, 60)), "it is a list of fail, exception, timeout, refused, lost")
			continue
		}
		r.On = append(r.On, reason)
	}
	return r
}

func retryReasons() map[string]gearman.Reason {
	reasons := map[string]gearman.Reason{}
	for _, r := range []gearman.Reason{gearman.Failed, gearman.Exception, gearman.TimedOut, gearman.Refused, gearman.Lost} {
		reasons[r.String()] = r
	}
	return reasons
}

// jitter reads 20% or 0.2 as 0.2.
func (l *loader) jitter(n *node) float64 {
	if n == nil {
		return 0
	}
	if p, ok := percent(n.text); ok {
		return p / 100
	}
	if f, ok := number(n.value); ok && f >= 0 && f <= 1 {
		return f
	}
	l.add(n.span, "value", fmt.Sprintf(`"jitter" cannot be %s`, shorten(n.text, 60)), "it is a percentage such as 20%")
	return 0
}

// readOrder reads what the stage waits for: needs, else its stream, else the stage before it.
func (l *loader) readOrder(s *stageSource, i int) {
	needs, hasNeeds := s.fields["needs"]
	for _, name := range l.names(needs, "needs") {
		if l.knownStage(name, fmt.Sprintf("stage %q needs", s.Name)) && !slices.Contains(s.Needs, name.text) {
			s.Needs = append(s.Needs, name.text)
			s.needs = append(s.needs, name)
		}
	}
	s.waits = hasNeeds || s.Input.Stream
	if !s.waits && i > 0 && l.stages[i-1].Name != "" {
		s.Needs = append(s.Needs, l.stages[i-1].Name)
	}
}

func (l *loader) knownStage(name *node, what string) bool {
	var names []string
	for _, s := range l.stages {
		if s.Name == name.text && s.Name != "" {
			return true
		}
		names = append(names, s.Name)
	}
	l.add(name.span, "unknown-stage", fmt.Sprintf("%s %q, which is no stage", what, shorten(name.text, 60)), didYouMean(name.text, names))
	return false
}
