package form

import (
	"fmt"

	"github.com/geartrain/geartrain/flow"
	"github.com/geartrain/geartrain/flow/expression"
	"github.com/geartrain/geartrain/flow/form/document"
	"github.com/geartrain/geartrain/flow/wording"
)

// hooks reads what is done at an end, of a stage or, with nil, of the run.
func (l *loader) hooks(f fields, s *stageSource) flow.Hooks {
	l.atEnd = true
	defer func() { l.atEnd = false }()
	return flow.Hooks{
		Success: l.hookList(f["on_success"], "on_success", s),
		Failure: l.hookList(f["on_failure"], "on_failure", s),
		Cancel:  l.hookList(f["on_cancel"], "on_cancel", s),
		Exit:    l.hookList(f["on_exit"], "on_exit", s),
	}
}

func (l *loader) hookList(n *document.Node, key string, s *stageSource) []flow.Hook {
	if n == nil {
		return nil
	}
	var hooks []flow.Hook
	for _, child := range n.List {
		hooks = append(hooks, l.hook(child, key, s))
	}
	return hooks
}

func (l *loader) hook(n *document.Node, key string, s *stageSource) flow.Hook {
	if n.Kind == document.Scalar && n.Value != nil {
		l.Add(n.Span, "type", fmt.Sprintf("%q is a list of maps, not of %s", key, n.Describe()), "write - run: "+wording.Shorten(n.Text, 60))
		return flow.Hook{}
	}
	f := l.read(n, hookPlace, "")
	contexts := append(expression.RunContexts(), expression.ContextError)
	h := flow.Hook{
		Function: l.word(f["function"], "function"),
		Command:  l.command(f["run"], s, contexts),
		Args:     l.template(f["args"], key, s, contexts),
		Env:      l.environment(f["env"], s, contexts),
		Timeout:  l.duration(f["timeout"]),
	}
	l.needsServer(needsWorker, h.Function, s, f["function"])
	l.checkFile(f["run"])
	isThere := func(key string) bool { return n.Get(key) != nil }
	switch {
	case isThere("run") && isThere("function"):
		l.Add(n.Span, "exclusive", `a hook has both "run" and "function"`, "leave out one of them")
	case n.Kind == document.Map && !isThere("run") && !isThere("function"):
		l.Add(n.Span, "missing", `a hook has neither "run" nor "function"`, "write run: COMMAND or function: NAME")
	case isThere("run") && f["args"] != nil:
		l.Add(f["args"].Span, "exclusive", `"args" is for functions, and this hook has a command`, "give it what it needs in env")
	case isThere("function") && f["env"] != nil:
		l.Add(f["env"].Span, "exclusive", `"env" is for commands, and this hook has a function`, "give the function what it needs in args")
	}
	return h
}
