// Package draw makes pictures of plans: what starts when, and where a stage waits for all of another.
//
//	Plan ──► graph: nodes, edges ──► Mermaid | Dot | Text
//
// The same plan gives the same bytes. Whatever stands in names and expressions is text in the picture and
// never a part of its language.
package draw

import (
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/geartrain/geartrain/flow"
	"github.com/geartrain/geartrain/flow/expression"
)

// graph is what all pictures of a plan have in common.
type graph struct {
	title string
	about string // one line about the pipeline
	nodes []node
	edges []edge
}

// node is a stage, a hook, or one of the ends of the pipeline.
type node struct {
	kind nodeKind
	name string
	does string   // its function or command
	more []string // what else is to be known, a line each
}

type nodeKind uint8

const (
	stageNode nodeKind = iota
	hookNode
	inputNode // what is sent to the run
	endNode   // the end of the run, which has hooks
)

// edge leads from one node to another, by their numbers.
type edge struct {
	from, to int
	kind     edgeKind
	label    string
}

type edgeKind uint8

const (
	barrier  edgeKind = iota // begins when all has ended, and takes the results
	stream                   // takes each result as it arrives
	after                    // begins when all has ended, for the order alone
	discover                 // a stage's results add items to it
	hook                     // done at the end
)

// newGraph reads a plan.
func newGraph(p *flow.Plan) *graph {
	g := &graph{title: oneLine(p.Name), about: oneLine(p.Description)}
	for i := range p.Stages {
		g.nodes = append(g.nodes, node{stageNode, oneLine(p.Stages[i].Name), work(&p.Stages[i]), facts(&p.Stages[i])})
	}
	for i := range p.Stages {
		g.addEdges(p, i)
	}
	for i := range p.Stages {
		g.addHooks(i, p.Stages[i].Hooks)
	}
	if !isEmpty(p.Hooks) {
		end := g.add(node{kind: endNode, name: "end of the run"})
		for i := range p.Stages {
			if !g.leads(i) {
				g.edges = append(g.edges, edge{i, end, after, ""})
			}
		}
		g.addHooks(end, p.Hooks)
	}
	return g
}

func (g *graph) add(n node) int {
	g.nodes = append(g.nodes, n)
	return len(g.nodes) - 1
}

// leads reports whether another stage comes after this one.
func (g *graph) leads(from int) bool {
	return slices.ContainsFunc(g.edges, func(e edge) bool {
		return e.from == from && e.kind != discover && e.kind != hook
	})
}

// addEdges adds what leads to a stage.
func (g *graph) addEdges(p *flow.Plan, to int) {
	s := &p.Stages[to]
	number := func(name string) int {
		return slices.IndexFunc(p.Stages, func(s flow.Stage) bool { return s.Name == name })
	}
	if s.Input.Kind == flow.FromInput {
		input := g.add(node{kind: inputNode, name: "input"})
		g.edges = append(g.edges, edge{input, to, stream, "as it is sent"})
	}
	seen := map[string]bool{}
	for _, name := range s.Input.From {
		seen[name] = true
		if s.Input.Stream && !s.Input.Gather {
			g.edges = append(g.edges, edge{number(name), to, stream, "stream"})
		} else {
			g.edges = append(g.edges, edge{number(name), to, barrier, "barrier"})
		}
	}
	used := s.Uses(p)
	needs := slices.Clone(s.Needs)
	for i := range s.Tasks {
		for _, name := range s.Tasks[i].Input.From {
			if !slices.Contains(needs, name) {
				needs = append(needs, name)
			}
		}
	}
	for _, name := range needs {
		switch {
		case seen[name]:
		case slices.Contains(used, name):
			g.edges = append(g.edges, edge{number(name), to, barrier, "barrier"})
		default:
			g.edges = append(g.edges, edge{number(name), to, after, "after"})
		}
	}
	for _, name := range used {
		if !seen[name] && !slices.Contains(needs, name) && name != s.Name { // one that others wait for
			seen[name] = true
			g.edges = append(g.edges, edge{number(name), to, barrier, "barrier"})
		}
	}
	if s.Discover != nil {
		g.edges = append(g.edges, edge{to, to, discover, "discover" + limit(s)})
	}
	g.edges = slices.DeleteFunc(g.edges, func(e edge) bool { return e.from < 0 })
}

func (g *graph) addHooks(of int, h flow.Hooks) {
	each := func(on string, hooks []flow.Hook) {
		for i := range hooks {
			to := g.add(node{kind: hookNode, name: oneLine(hooks[i].String())})
			g.edges = append(g.edges, edge{of, to, hook, on})
		}
	}
	each("on_success", h.Success)
	each("on_failure", h.Failure)
	each("on_cancel", h.Cancel)
	each("on_exit", h.Exit)
}

func isEmpty(h flow.Hooks) bool {
	return len(h.Success)+len(h.Failure)+len(h.Cancel)+len(h.Exit) == 0
}

// work is what a stage's jobs are.
func work(s *flow.Stage) string {
	switch {
	case len(s.Tasks) > 0:
		return fmt.Sprintf("tasks: %d", len(s.Tasks))
	case s.Pipeline != nil:
		return "pipeline: " + oneLine(s.Pipeline.Plan.Name)
	}
	if s.Command != nil {
		return "run: " + command(s.Command)
	}
	return "function: " + oneLine(s.Function)
}

func command(c *flow.Command) string {
	if c.Script != "" {
		first, rest, _ := strings.Cut(strings.TrimSpace(c.Script), "\n")
		if strings.TrimSpace(rest) != "" {
			first += " ..."
		}
		return oneLine(first)
	}
	words := make([]string, len(c.Argv))
	for i, word := range c.Argv {
		words[i] = word.String()
	}
	return oneLine(strings.Join(words, " "))
}

// facts are the lines about a stage that say how many jobs it has, whether it runs, and what bounds it.
func facts(s *flow.Stage) []string {
	var lines []string
	say := func(format string, args ...any) { lines = append(lines, oneLine(fmt.Sprintf(format, args...))) }
	for i := range s.Tasks {
		say("- %s%s", work(&s.Tasks[i]), itemsOf(&s.Tasks[i]))
	}
	switch in := s.Input; {
	case len(s.Tasks) > 0 && in.Kind == flow.Once:
	case len(s.Tasks) > 0:
		say("each of them for each item%s", source(in))
	case in.Gather:
		say("one job for all items")
	case in.Batch > 0:
		say("a job for each %d items%s", in.Batch, source(in))
	case in.Kind == flow.Once:
		say("one job")
	default:
		say("a job for each item%s", source(in))
	}
	if !s.If.IsZero() {
		say("if %s, else skipped, which counts as done", s.If)
	}
	if s.Wait.Percent > 0 {
		say("wait: %v%% of the results are enough", s.Wait.Percent)
	} else if s.Wait.Count > 0 {
		say("wait: results enough: %d", s.Wait.Count)
	}
	if s.MaxParallel > 0 {
		say("max_parallel: %d", s.MaxParallel)
	}
	if r := s.Rate; r != nil && r.Every > 0 {
		per := ""
		if !r.Per.IsZero() {
			per = " per " + r.Per.String()
		}
		say("rate: %d each %s%s", r.Limit, duration(r.Every), per)
	}
	switch b := s.AllowFailures; {
	case b.All:
		say("allow_failures: all")
	case b.Percent > 0:
		say("allow_failures: %v%%", b.Percent)
	case b.Count > 0:
		say("allow_failures: %d", b.Count)
	}
	return lines
}

// itemsOf says how many jobs a task of its own items makes.
func itemsOf(task *flow.Stage) string {
	text := ""
	if task.Input.Kind != flow.Once {
		text = " (a job for each item" + source(task.Input) + ")"
	}
	if !task.If.IsZero() {
		text += " (if " + task.If.String() + ")"
	}
	return text
}

// source says which items, where the edges do not.
func source(in flow.Input) string {
	switch {
	case in.Kind == flow.FromValue:
		return " of " + in.Each.String()
	case in.Kind == flow.FromMatrix:
		names := make([]string, len(in.Matrix.Axes))
		for i, axis := range in.Matrix.Axes {
			names[i] = axis.Name
		}
		return " of the matrix " + strings.Join(names, " × ")
	case in.Flatten:
		return " of each list"
	}
	return ""
}

func limit(s *flow.Stage) string {
	switch t, ok := s.Limits[flow.LimitItems]; {
	case ok:
		return ", at most " + oneLine(t.String())
	case s.Discover.MaxItems > 0:
		return fmt.Sprintf(", at most %d", s.Discover.MaxItems)
	}
	return ""
}

func duration(d time.Duration) string { return expression.FormatDuration(d) }

// maxLine is how many characters one line of a picture has at most.
const maxLine = 80

// oneLine makes any text fit for a picture: what is not printable becomes a space, and a long text is cut.
func oneLine(text string) string {
	text = strings.ToValidUTF8(text, string(unicode.ReplacementChar))
	text = strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, text)
	letters := []rune(strings.TrimSpace(text))
	if len(letters) > maxLine {
		letters = append(letters[:maxLine-1], '…')
	}
	return string(letters)
}
