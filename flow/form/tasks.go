package form

import (
	"fmt"
	"slices"

	"github.com/geartrain/geartrain/flow"
	"github.com/geartrain/geartrain/flow/expression"
	"github.com/geartrain/geartrain/flow/form/document"
	"github.com/geartrain/geartrain/flow/sources"
	"github.com/geartrain/geartrain/flow/wording"
)

// readTasks reads the unlike tasks of a stage. Each is read as a stage is, as far as it is about one job.
func (l *loader) readTasks(s *stageSource) {
	n := s.fields["tasks"]
	if n == nil {
		return
	}
	if len(n.List) == 0 {
		l.Add(n.Span, "missing", s.title()+" has no tasks", "")
	}
	seen := map[string]document.Span{}
	for i, child := range n.List {
		t := &stageSource{at: child.Span, of: s, number: i + 1}
		t.fields = l.read(child, taskPlace, child.Get("name").String())
		if name := t.fields["name"]; name != nil {
			t.at, t.Name = name.Span, l.name(name, "a task")
		}
		if before, ok := seen[t.Name]; ok && t.Name != "" {
			l.Add(t.at, "duplicate-stage", fmt.Sprintf("task %q is already at line %d, column %d", t.Name, before.Line, before.Column), "")
		}
		seen[t.Name] = t.at
		l.readWork(t, child)
		l.readItems(t)
		l.oneInput(t)
		l.readArguments(t)
		l.readLimits(t)
		s.tasks = append(s.tasks, t)
	}
}

// oneInput reports a task with items of its own in a stage that has some for all of its tasks.
func (l *loader) oneInput(t *stageSource) {
	if t.Input.Kind == flow.Once || t.of.Input.Kind == flow.Once {
		return
	}
	for _, key := range []string{"for_each", "matrix", "args"} {
		if n := t.fields[key]; n != nil {
			l.Add(n.Span, "exclusive", fmt.Sprintf("%s has items of its own, and so has its stage", t.title()), "leave out one of them")
			return
		}
	}
}

// leftToTasks reports keys of a stage that its tasks should have.
func (l *loader) leftToTasks(s *stageSource) {
	for _, key := range []string{"args", "stdin", "env", "key", "sources", "version", "discover"} {
		if n := s.fields[key]; n != nil {
			hint := "write it in each task that needs it"
			if key == "discover" {
				hint = "a stage that feeds itself has one function"
			}
			l.Add(n.Span, "exclusive", fmt.Sprintf("%q cannot stand beside \"tasks\"", key), hint)
		}
	}
}

// commandName is what is behind the pipeline's name in the function of a command. That of a task without a
// name does not depend on its place, so that another task before it does not make it other work.
func (s *stageSource) commandName() string {
	switch {
	case s.of == nil:
		return s.Name
	case s.Name == "":
		return s.of.Name + "." + hashOf(s.Command)
	}
	return s.of.Name + "." + s.Name
}

// works is the stage, or its tasks: all that makes jobs.
func (s *stageSource) works() []*stageSource {
	if s.fields["tasks"] == nil {
		return []*stageSource{s}
	}
	return s.tasks
}

// stageOf is the stage of a task, or the stage itself.
func (s *stageSource) stageOf() *stageSource {
	if s.of != nil {
		return s.of
	}
	return s
}

// reads is the stages whose results are items of the stage or of its tasks.
func (s *stageSource) reads() []string {
	from := slices.Clone(s.Input.From)
	for _, t := range s.tasks {
		from = append(from, t.Input.From...)
	}
	return from
}

// readResults reads inline, file, none, or {keep, order}.
func (l *loader) readResults(s *stageSource) {
	n := s.fields["results"]
	if n == nil {
		return
	}
	keep := n.Text
	if n.Kind == document.Map {
		f := l.read(n, resultsPlace, "")
		keep = f["keep"].String()
		s.Results.Arrival = f["order"].String() == "arrival"
	}
	if keep != "inline" {
		s.Results.Keep = flow.Keep(keep)
	}
}

// sources reads the files that are part of a stage's keys.
func (l *loader) sources(n *document.Node, s *stageSource) []expression.Template {
	if n == nil {
		return nil
	}
	s.Folder = l.folder()
	nodes := n.List
	if n.Kind == document.Scalar {
		nodes = []*document.Node{n}
	}
	var all []expression.Template
	for _, child := range nodes {
		if child.Kind != document.Scalar || child.Value == nil {
			l.Add(child.Span, "type", fmt.Sprintf(`"sources" is a list of files, not of %s`, child.Describe()), "")
			continue
		}
		asText := *child
		asText.Value = child.Text
		t := l.template(&asText, "sources", s, s.contexts())
		all = append(all, t)
		if t.IsConstant() && !t.IsZero() && !l.broken[&asText] {
			l.checkSource(child)
		}
	}
	return all
}

// checkSource looks for the files of a fixed path or pattern.
func (l *loader) checkSource(n *document.Node) {
	if err := sources.Check(n.Text); err != nil {
		l.Add(n.Span, "file", err.Error(), "")
		return
	}
	if l.files == nil {
		return
	}
	folder, err := l.files.folder(l.inside)
	if err != nil {
		l.Add(n.Span, "file", err.Error(), "")
		return
	}
	found, err := sources.Find(folder, n.Text)
	switch {
	case err != nil:
		l.Add(n.Span, "file", err.Error(), "")
	case len(found) == 0 && sources.IsPattern(n.Text):
		l.Add(n.Span, "file", fmt.Sprintf("no file is like %q", wording.Shorten(n.Text, 80)), "sources are in the folder of the pipeline file")
	case len(found) == 0:
		l.Add(n.Span, "file", fmt.Sprintf("there is no file %q", wording.Shorten(n.Text, 80)), "sources are in the folder of the pipeline file")
	}
}
