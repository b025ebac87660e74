package form

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/geartrain/geartrain/flow"
	"github.com/geartrain/geartrain/flow/expression"
	"github.com/geartrain/geartrain/flow/form/document"
	"github.com/geartrain/geartrain/flow/value"
	"github.com/geartrain/geartrain/flow/wording"
)

// File is a pipeline file that has been read.
type File struct {
	Plan     *flow.Plan
	Warnings []document.Problem // what is only doubtful, by line and column

	asked map[*flow.Plan]*needs // of the plan and its parts
}

// LoadFile reads a pipeline file; its commands run in the file's folder. See [Load]; an error in
// reading the file is not an [Error].
func LoadFile(name string) (*File, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	files := newIncludes(filepath.Dir(name))
	read, err := load(name, f, files)
	return read, errors.Join(err, f.Close(), files.close())
}

// Load reads a pipeline from YAML. The name stands in messages, and its folder is where commands
// run. Load is strict: a key it does not know or a value it does not understand is an error. All that
// is wrong is reported at once, as an [Error].
func Load(name string, r io.Reader) (*File, error) {
	return load(name, r, nil)
}

// load reads a pipeline; only of one on disk are the files that it names looked for.
func load(name string, r io.Reader, files *includes) (*File, error) {
	source, err := io.ReadAll(io.LimitReader(r, document.MaxSize+1))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	l := newLoader(name, files)
	if files != nil {
		l.path = filepath.ToSlash(filepath.Base(name))
		files.begin(l.path)
	}
	l.load(source)
	found := append(l.Problems.Sorted(), files.found()...)
	if slices.ContainsFunc(found, func(p document.Problem) bool { return !p.Warning }) {
		return nil, &Error{Problems: found}
	}
	return &File{Plan: &l.plan, Warnings: found, asked: l.asked}, nil
}

func newLoader(name string, files *includes) *loader {
	return &loader{
		Problems: document.Problems{File: name}, files: files, inside: ".", language: expression.NewLanguage(),
		asked: map[*flow.Plan]*needs{}, broken: map[*document.Node]bool{},
	}
}

// loader is one reading of a file.
type loader struct {
	document.Problems
	files     *includes // nil: no files can be looked for
	path      string    // of the file, from the folder of the outermost one
	inside    string    // the folder of path
	language  *expression.Language
	plan      flow.Plan
	defaults  fields
	functions map[string]*flow.Function
	stages    []*stageSource
	templates []placedTemplate
	needs     []serverNeed
	asked     map[*flow.Plan]*needs   // of this file and its parts
	atEnd     bool                    // what is read is done when its stage has ended
	broken    map[*document.Node]bool // values whose expressions could not be understood: said once, not judged further
}

// stageSource is a stage with where it stands in the file.
type stageSource struct {
	flow.Stage
	at     document.Span // of its name, else where it begins
	fields fields
	tasks  []*stageSource
	of     *stageSource // of a task: its stage
	number int          // of a task: from 1
	waits  bool         // it has needs or stream: its place in the list does not count
	needs  []*document.Node
}

// placedTemplate is a template with where it stands, and the stage it belongs to.
type placedTemplate struct {
	expression.Template
	node  *document.Node
	stage *stageSource // nil: the pipeline's own
	key   string       // args, key, if
	atEnd bool         // of a hook
}

func (l *loader) load(source []byte) {
	root := document.Parse(source, &l.Problems)
	if root == nil {
		return
	}
	if root.Kind != document.Map {
		l.Add(root.Span, "type", "a pipeline is a map with name and stages, not "+root.Describe(), "")
		return
	}
	l.top(root)
	l.validate()
	l.asked[&l.plan] = &needs{Problems: document.Problems{File: l.File, Lines: l.Lines}, list: l.needs}
}

// folder is where commands run.
func (l *loader) folder() string {
	if dir := filepath.Dir(l.File); dir != "." {
		return dir
	}
	return ""
}

// fields are the known keys of one map.
type fields map[string]*document.Node

// read takes a map's keys by the table of its place. Unknown keys and values of the wrong shape are
// reported and left out.
func (l *loader) read(n *document.Node, p place, name string) fields {
	out := fields{}
	what := p.of(name)
	if n.Kind != document.Map {
		l.Add(n.Span, "type", fmt.Sprintf("%s is a map, not %s", what, n.Describe()), "")
		return out
	}
	specs := keysOfPlace(p)
	for _, e := range n.Entries {
		key := e.Key.Text
		i := slices.IndexFunc(specs, func(s keySpec) bool { return s.name == key })
		switch {
		case i >= 0:
			if l.fits(e.Value, specs[i]) {
				out[key] = e.Value
			}
		case p == topPlace && strings.HasPrefix(key, "x-"):
		default:
			l.Add(e.Key.Span, "unknown-key", fmt.Sprintf("unknown key %q in %s", wording.Shorten(key, 60), what), keyHintFor(key, specs))
		}
	}
	return out
}

// keyHintFor names our spelling, a near one, or all of them.
func keyHintFor(key string, specs []keySpec) string {
	var known []string
	for _, s := range specs {
		known = append(known, s.name)
	}
	if ours, ok := foreignKeys()[key]; ok && slices.Contains(known, ours) {
		return fmt.Sprintf("here it is %q", ours)
	}
	if hint := wording.DidYouMean(key, known); hint != "" {
		return hint
	}
	return "it may have " + strings.Join(known, ", ")
}

// fits checks a value's shape, and its text where only some are allowed.
func (l *loader) fits(n *document.Node, spec keySpec) bool {
	if (spec.limit != "" || spec.perJob) && hasExpression(n) {
		return true
	}
	if shapeOf(n)&spec.shape == 0 {
		l.misfit(n, spec)
		return false
	}
	if len(spec.allowed) > 0 && n.Kind == document.Scalar && !slices.Contains(spec.allowed, n.Text) {
		hint := wording.DidYouMean(n.Text, spec.allowed)
		if hint == "" {
			hint = "it may be " + strings.Join(spec.allowed, ", ")
		}
		l.Add(n.Span, "value", fmt.Sprintf("%q cannot be %q", spec.name, wording.Shorten(n.Text, 60)), hint)
		return false
	}
	return true
}

// misfit reports a value of the wrong shape, and what to write instead.
func (l *loader) misfit(n *document.Node, spec keySpec) {
	isScalar := n.Kind == document.Scalar && n.Value != nil
	if isScalar && spec.shape&textShape != 0 && spec.instead == "" {
		l.unquoted(n, spec.name)
		return
	}
	wanted, found := spec.shape.String(), n.Describe()
	if spec.means != "" {
		wanted = spec.means
	}
	if _, isNumber := value.Number(n.Value); isScalar && isNumber {
		found = wording.Shorten(n.Text, 60)
	}
	l.Add(n.Span, "type", fmt.Sprintf("%q wants %s, not %s", spec.name, wanted, found), spec.hintFor(n, isScalar))
}

// hintFor says what to write in place of a value of the wrong shape.
func (spec keySpec) hintFor(n *document.Node, isScalar bool) string {
	takesValue := strings.Contains(spec.instead, "%s")
	switch {
	case hasExpression(n) && spec.shape&textShape == 0:
		return "an expression cannot stand here"
	case spec.shape == booleanShape && isScalar && looksTrue.MatchString(n.Text):
		return "write true"
	case spec.shape == booleanShape && isScalar && looksFalse.MatchString(n.Text):
		return "write false"
	case takesValue && isScalar:
		return "write " + fmt.Sprintf(spec.instead, wording.Shorten(n.Text, 60))
	case spec.instead != "" && !takesValue:
		return "write " + spec.instead
	}
	return ""
}

// What is meant for true and false, and is text or a number here.
var (
	looksTrue  = regexp.MustCompile(`^(?i:yes|y|on|true|1)$`)
	looksFalse = regexp.MustCompile(`^(?i:no|n|off|false|0)$`)
)

func hasExpression(n *document.Node) bool {
	return n.Kind == document.Scalar && strings.Contains(n.Text, "${{")
}

func shapeOf(n *document.Node) shape {
	switch n.Kind {
	case document.List:
		return listShape
	case document.Map:
		return mapShape
	}
	switch n.Value.(type) {
	case nil:
		return nullShape
	case bool:
		return booleanShape
	case string:
		return textShape
	case int:
		return integerShape | numberShape
	}
	return numberShape
}

// unquoted reports a value that YAML does not take for the text it is meant to be.
func (l *loader) unquoted(n *document.Node, key string) {
	l.Add(n.Span, "unquoted", fmt.Sprintf("%q wants text, and %s is %s", key, n.Text, value.Describe(n.Value)), fmt.Sprintf("write %q", n.Text))
}
