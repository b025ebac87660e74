package flow

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/geartrain/geartrain/flow/expression"
	"github.com/geartrain/geartrain/flow/wording"
)

// readTasks reads the unlike tasks of a stage. Each is read as a stage is, as far as it is about one job.
func (l *loader) readTasks(s *stageSource) {
	n := s.fields["tasks"]
	if n == nil {
		return
	}
	if len(n.list) == 0 {
		l.add(n.span, "missing", s.title()+" has no tasks", "")
	}
	seen := map[string]span{}
	for i, child := range n.list {
		t := &stageSource{at: child.span, of: s, number: i + 1}
		t.fields = l.read(child, taskPlace, child.get("name").string())
		if name := t.fields["name"]; name != nil {
			t.at, t.Name = name.span, l.name(name, "a task")
		}
		if before, ok := seen[t.Name]; ok && t.Name != "" {
			l.add(t.at, "duplicate-stage", fmt.Sprintf("task %q is already at line %d, column %d", t.Name, before.line, before.column), "")
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
	if t.Input.Kind == Once || t.of.Input.Kind == Once {
		return
	}
	for _, key := range []string{"for_each", "matrix", "args"} {
		if n := t.fields[key]; n != nil {
			l.add(n.span, "exclusive", fmt.Sprintf("%s has items of its own, and so has its stage", t.title()), "leave out one of them")
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
			l.add(n.span, "exclusive", fmt.Sprintf("%q cannot stand beside \"tasks\"", key), hint)
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
		return s.of.Name + "." + s.Command.hash()
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
	keep := n.text
	if n.kind == mapNode {
		f := l.read(n, resultsPlace, "")
		keep = f["keep"].string()
		s.Results.Arrival = f["order"].string() == "arrival"
	}
	if keep != "inline" {
		s.Results.Keep = Keep(keep)
	}
}

// sources reads the files that are part of a stage's keys.
func (l *loader) sources(n *node, s *stageSource) []expression.Template {
	if n == nil {
		return nil
	}
	s.Folder = l.folder()
	nodes := n.list
	if n.kind == scalarNode {
		nodes = []*node{n}
	}
	var all []expression.Template
	for _, child := range nodes {
		if child.kind != scalarNode || child.value == nil {
			l.add(child.span, "type", fmt.Sprintf(`"sources" is a list of files, not of %s`, child.describe()), "")
			continue
		}
		asText := *child
		asText.value = child.text
		t := l.template(&asText, "sources", s, s.contexts())
		all = append(all, t)
		if t.IsConstant() && !t.IsZero() && !l.broken[&asText] {
			l.checkSource(child)
		}
	}
	return all
}

// checkSource looks for the files of a fixed path or pattern.
func (l *loader) checkSource(n *node) {
	if err := checkSourcePath(n.text); err != nil {
		l.add(n.span, "file", err.Error(), "")
		return
	}
	if l.files == nil {
		return
	}
	folder, err := l.files.folder(l.inside)
	if err != nil {
		l.add(n.span, "file", err.Error(), "")
		return
	}
	found, err := findSources(folder, n.text)
	switch {
	case err != nil:
		l.add(n.span, "file", err.Error(), "")
	case len(found) == 0 && isPattern(n.text):
		l.add(n.span, "file", fmt.Sprintf("no file is like %q", wording.Shorten(n.text, 80)), "sources are in the folder of the pipeline file")
	case len(found) == 0:
		l.add(n.span, "file", fmt.Sprintf("there is no file %q", wording.Shorten(n.text, 80)), "sources are in the folder of the pipeline file")
	}
}

// checkSourcePath refuses what is not inside the folder, whatever is on the disk.
func checkSourcePath(name string) error {
	clean := path.Clean(name)
	switch {
	case name == "":
		return fmt.Errorf("a source has no name")
	case strings.ContainsRune(name, 0) || strings.ContainsRune(name, '\\'):
		return fmt.Errorf("%q is not a path; folders are divided by /", wording.Shorten(name, 80))
	case path.IsAbs(name), clean == "..", strings.HasPrefix(clean, "../"):
		return fmt.Errorf("%q is not in the folder of the pipeline file; sources are", wording.Shorten(name, 80))
	}
	if _, err := path.Match(name, ""); err != nil {
		return fmt.Errorf("%q is not a pattern", wording.Shorten(name, 80))
	}
	return nil
}

func isPattern(name string) bool { return strings.ContainsAny(name, "*?[") }
