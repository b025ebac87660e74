package form

import (
	"fmt"
	"slices"

	"github.com/geartrain/geartrain/flow"
	"github.com/geartrain/geartrain/flow/expression"
	"github.com/geartrain/geartrain/flow/form/document"
	"github.com/geartrain/geartrain/flow/wording"
)

// readStages reads the names of all stages first, so that each may name the others.
func (l *loader) readStages(n *document.Node) {
	if n == nil {
		return
	}
	if len(n.List) == 0 {
		l.Add(n.Span, "missing", "the pipeline has no stages", "")
	}
	seen := map[string]*stageSource{}
	for _, child := range n.List {
		s := &stageSource{at: child.Span}
		s.fields = l.read(child, stagePlace, child.Get("name").String())
		if name := s.fields["name"]; name != nil {
			l.name(name, "a stage")
			s.at, s.Name = name.Span, name.Text
		} else if child.Kind == document.Map && child.Get("name") == nil {
			l.Add(child.Span, "missing", "the stage has no name", "write name: NAME")
		}
		if before := seen[s.Name]; before != nil && s.Name != "" {
			l.Add(s.at, "duplicate-stage", fmt.Sprintf("stage %q is already at line %d, column %d", s.Name, before.at.Line, before.at.Column), "")
		} else {
			seen[s.Name] = s
		}
		l.stages = append(l.stages, s)
	}
	for i, s := range l.stages {
		l.readWork(s, n.List[i])
		l.readItems(s)
		l.readTasks(s)
		l.readArguments(s)
		l.readLimits(s)
		l.readResults(s)
		s.Hooks = l.hooks(s.fields, s)
		l.readOrder(s, i)
	}
}

// readWork reads what runs: function, run, pipeline or tasks.
func (l *loader) readWork(s *stageSource, n *document.Node) {
	s.Version = l.version(s.fields["version"])
	s.Output = l.encoding(l.own(s, "output"))
	what := l.oneOf(s, n, "function", "run", "pipeline", "tasks")
	switch what {
	case "function":
		l.readFunction(s, s.fields[what])
	case "pipeline":
		l.readPipeline(s, s.fields[what])
	case "":
		if n.Kind == document.Map && !hasAny(n, "function", "run", "pipeline", "tasks") {
			l.Add(s.at, "missing", s.title()+` has none of `+s.choice(), "write function: NAME or run: COMMAND")
		}
	}
	if params := s.fields["params"]; params != nil && what != "pipeline" && what != "" {
		l.Add(params.Span, "exclusive", fmt.Sprintf(`"params" is for a pipeline, and %s has a %s`, s.title(), what), `write args: for what a job is given`)
	}
}

// choice names the keys that say what runs.
func (s *stageSource) choice() string {
	if s.of != nil {
		return `"function", "run" and "pipeline"`
	}
	return `"function", "run", "pipeline" and "tasks"`
}

// oneOf is the only one of some keys that a stage has. More than one is reported.
func (l *loader) oneOf(s *stageSource, n *document.Node, keys ...string) string {
	first := ""
	for _, key := range keys {
		at := s.fields[key]
		switch {
		case at == nil:
		case first == "":
			first = key
		default:
			l.Add(at.Span, "exclusive", fmt.Sprintf("%s has both %q and %q", s.title(), first, key), "leave out one of them")
		}
	}
	return first
}

func hasAny(n *document.Node, keys ...string) bool {
	return slices.ContainsFunc(keys, func(key string) bool { return n.Get(key) != nil })
}

func (l *loader) readFunction(s *stageSource, function *document.Node) {
	s.Function = l.word(function, "function")
	l.needsServer(needsWorker, s.Function, s, function)
	if s.Function == "" || len(s.Function) > 255 {
		l.Add(function.Span, "value", "a function's name has 1 to 255 bytes", "")
	}
	if declared := l.functions[s.Function]; declared != nil {
		s.Version = firstText(s.Version, declared.Version)
		s.Timeout = declared.Timeout
		if l.own(s, "output") == nil {
			s.Output = declared.Output
		}
	}
}

// title is the stage or task in a sentence.
func (s *stageSource) title() string {
	switch {
	case s.of == nil:
		return stagePlace.of(s.Name)
	case s.Name == "":
		return fmt.Sprintf("task %d of %s", s.number, s.of.title())
	}
	return fmt.Sprintf("task %q of %s", s.Name, s.of.title())
}

func firstText(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

// readItems reads where the items come from.
func (l *loader) readItems(s *stageSource) {
	each, matrix, stream, args := s.fields["for_each"], s.fields["matrix"], s.fields["stream"], s.fields["args"]
	s.As = l.itemName(s.fields["as"])
	l.oneSource(s)
	switch {
	case each != nil:
		l.readEach(s, each)
	case matrix != nil:
		s.Input = flow.Input{Kind: flow.FromMatrix, Matrix: l.matrix(matrix, s)}
	case stream != nil:
		s.Input = flow.Input{Kind: flow.FromStages, Stream: true}
		for _, name := range l.names(stream, "stream") {
			s.Input.From = append(s.Input.From, name.Text)
			l.knownStage(name, s.title()+" streams from")
		}
	case args != nil && (s.of == nil || s.of.Input.Kind == flow.Once):
		if input, ok := stagesInput(l.peek(args)); ok {
			input.Gather = true
			s.Input = input
			s.fields["args"] = nil
			l.template(args, "args", s, expression.RunContexts())
		}
	}
	s.Input.Batch = l.positive(s.fields["batch"], "batch")
	if n := s.fields["batch"]; n != nil && s.Input.Kind == flow.Once && s.input().Kind != flow.Once {
		l.Add(n.Span, "exclusive", fmt.Sprintf("the items of %s are those of its stage", s.title()), "write batch there")
	}
	if s.input().Kind == flow.Once {
		for _, key := range []string{"as", "batch", "discover"} {
			if n := s.fields[key]; n != nil {
				l.Add(n.Span, "missing", fmt.Sprintf(`%q is for a stage with items, and %s has none`, key, s.title()), "write for_each, matrix or stream")
			}
		}
	}
}

// oneSource reports items from more than one place.
func (l *loader) oneSource(s *stageSource) {
	var first string
	for _, key := range []string{"for_each", "matrix", "stream"} {
		n := s.fields[key]
		switch {
		case n == nil:
		case first == "":
			first = key
		default:
			hint := "leave out one of them"
			if key == "stream" {
				hint = "stream alone makes one job for each result"
			}
			l.Add(n.Span, "exclusive", fmt.Sprintf("%s has both %q and %q", s.title(), first, key), hint)
		}
	}
}

// peek is the template of a value whose problems are reported when it is read for good.
func (l *loader) peek(n *document.Node) expression.Template {
	t, errs := l.language.Template(n.JSON(), expression.RunContexts())
	if len(errs) > 0 {
		return expression.Template{}
	}
	return t
}

func (l *loader) itemName(n *document.Node) string {
	name := l.name(n, "an item")
	if name != "" && l.language.Knows(name) {
		l.Add(n.Span, "value", fmt.Sprintf("%q already means something in expressions", name), "choose another name for the item")
		return ""
	}
	if name != "" && !validEnv.MatchString(name) {
		l.Add(n.Span, "value", fmt.Sprintf("%q would be read as a subtraction in expressions", name), "use _ in place of -")
		return ""
	}
	return name
}

func (l *loader) readEach(s *stageSource, n *document.Node) {
	each := l.template(n, "for_each", s, expression.RunContexts())
	s.Input = flow.Input{Kind: flow.FromValue, Each: each}
	if input, ok := stagesInput(each); ok {
		s.Input = input
		return
	}
	if text, ok := n.Value.(string); ok && n.Kind == document.Scalar && !each.IsZero() && !l.broken[n] && (each.IsConstant() || !each.IsExpression()) {
		l.Add(n.Span, "type", fmt.Sprintf(`"for_each" wants a list, a map, a number or one expression, not the text %q`, wording.Shorten(text, 60)), `write [...] or ${{ ... }}`)
	}
	if count, ok := n.Value.(int); ok && n.Kind == document.Scalar && count < 0 {
		l.Add(n.Span, "value", `"for_each" cannot be negative`, "")
	}
}

// readArguments reads what a job is given, with the names that stand for something in it.
func (l *loader) readArguments(s *stageSource) {
	contexts := s.contexts()
	s.Args = l.template(s.fields["args"], "args", s, contexts)
	s.Env = l.environment(s.fields["env"], s, contexts)
	s.Key = l.template(s.fields["key"], "key", s, contexts)
	s.Stdin = l.template(s.fields["stdin"], "stdin", s, contexts)
	s.If = l.template(s.fields["if"], "if", s, expression.RunContexts())
	s.Sources = l.sources(s.fields["sources"], s)
	switch run := s.fields["run"]; {
	case run != nil:
		s.Command = l.command(run, s, contexts)
		s.Function = l.plan.Name + "." + s.commandName()
		s.Version = firstText(s.Version, hashOf(s.Command))
		l.checkFile(run)
	case s.fields["tasks"] != nil:
		l.leftToTasks(s)
	case s.fields["pipeline"] != nil:
		l.notForPipelines(s)
	default:
		for _, key := range []string{"stdin", "env"} {
			if n := s.fields[key]; n != nil {
				l.Add(n.Span, "exclusive", fmt.Sprintf("%q is for commands, and %s has a function", key, s.title()), "give the function what it needs in args")
			}
		}
	}
	if n := s.fields["discover"]; n != nil {
		s.Discover = l.discover(n, s, append(slices.Clip(contexts), expression.ContextResult))
	}
}

func (s *stageSource) contexts() []string {
	contexts := expression.RunContexts()
	if s.input().Kind == flow.Once {
		return contexts
	}
	contexts = append(contexts, expression.ContextItem, expression.ContextIndex)
	if name := s.itemName(); name != "" {
		contexts = append(contexts, name)
	}
	return contexts
}

// input is where the items come from: that of the stage for a task that has none of its own.
func (s *stageSource) input() *flow.Input {
	if s.of != nil && s.Input.Kind == flow.Once {
		return &s.of.Input
	}
	return &s.Input
}

// itemName is the other name for item.
func (s *stageSource) itemName() string {
	if s.of != nil && s.As == "" {
		return s.of.As
	}
	return s.As
}

func (l *loader) discover(n *document.Node, s *stageSource, contexts []string) *flow.Discover {
	f := l.read(n, discoverPlace, "")
	d := &flow.Discover{
		Items: l.template(f["items"], "items", s, contexts),
		If:    l.template(f["if"], "if", s, contexts),
	}
	if !l.limit(f["max_items"], flow.LimitItems, s) {
		d.MaxItems = l.positive(f["max_items"], "max_items")
	}
	if f["items"] == nil && n.Kind == document.Map && n.Get("items") == nil {
		l.Add(n.Span, "missing", `"discover" has no items`, "write items: ${{ result.links }}")
	}
	if with := f["with"]; with != nil {
		d.With = make(map[string]any, len(with.Entries))
		for _, e := range with.Entries {
			t := l.template(e.Value, "with", s, contexts)
			d.With[e.Key.Text] = t
			if t.IsConstant() {
				d.With[e.Key.Text] = t.Source()
			}
		}
	}
	if d.MaxItems == 0 && f["max_items"] == nil {
		l.checkEnd(d, n, f["if"])
	}
	return d
}

// checkEnd finds a stage that would feed itself without end: no limit, and no condition or one that always holds.
func (l *loader) checkEnd(d *flow.Discover, n, condition *document.Node) {
	if condition == nil {
		l.Add(n.Span, "unbounded", `"discover" has no end: neither max_items nor if`, "write max_items: 100000")
		return
	}
	if l.broken[condition] || len(d.If.AllUses()) > 0 {
		return
	}
	if v, err := d.If.Eval(&expression.Scope{}); err == nil && v == true {
		l.Add(condition.Span, "unbounded", `"discover" has no end: no max_items, and its "if" is always true`, "write max_items: 100000")
	}
}

// readOrder reads what the stage waits for: needs, else its stream, else the stage before it.
func (l *loader) readOrder(s *stageSource, i int) {
	needs, hasNeeds := s.fields["needs"]
	for _, name := range l.names(needs, "needs") {
		if l.knownStage(name, s.title()+" needs") && !slices.Contains(s.Needs, name.Text) {
			s.Needs = append(s.Needs, name.Text)
			s.needs = append(s.needs, name)
		}
	}
	s.waits = hasNeeds || s.Input.Stream
	if !s.waits && i > 0 && l.stages[i-1].Name != "" {
		s.Needs = append(s.Needs, l.stages[i-1].Name)
	}
}

func (l *loader) knownStage(name *document.Node, what string) bool {
	var names []string
	for _, s := range l.stages {
		if s.Name == name.Text && s.Name != "" {
			return true
		}
		names = append(names, s.Name)
	}
	l.Add(name.Span, "unknown-stage", fmt.Sprintf("%s %q, which is no stage", what, wording.Shorten(name.Text, 60)), wording.DidYouMean(name.Text, names))
	return false
}
