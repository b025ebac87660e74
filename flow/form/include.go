package form

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/geartrain/geartrain/flow"
	"github.com/geartrain/geartrain/flow/expression"
	"github.com/geartrain/geartrain/flow/form/document"
	"github.com/geartrain/geartrain/flow/wording"
)

// The bounds of pipelines that are parts of another.
const (
	maxIncludes     = 100 // files in all
	maxIncludeDepth = 10
)

// includes are the files of one pipeline: the outermost and those that are parts of it. All of them are in
// the folder of the outermost, or below.
type includes struct {
	dir   string
	root  *os.Root // opened when it is needed first
	open  []string // paths of the files that are being read, outermost first
	plans map[string]*included
	list  []document.Problem // of the parts
}

// included is a part that has been read; without a plan it has errors.
type included struct {
	plan *flow.Plan
}

func newIncludes(dir string) *includes { return &includes{dir: dir, plans: map[string]*included{}} }

func (in *includes) begin(name string) { in.open = append(in.open, name) }

// found is what is wrong with the parts, file by file.
func (in *includes) found() []document.Problem {
	if in == nil {
		return nil
	}
	return in.list
}

func (in *includes) close() error {
	if in.root == nil {
		return nil
	}
	return in.root.Close()
}

// files is the folder of the outermost file and all below it; nothing else can be reached.
func (in *includes) files() (fs.FS, error) {
	if in.root == nil {
		root, err := os.OpenRoot(in.dir)
		if err != nil {
			return nil, err
		}
		in.root = root
	}
	return in.root.FS(), nil
}

// folder is a folder below that.
func (in *includes) folder(name string) (fs.FS, error) {
	all, err := in.files()
	if err != nil {
		return nil, err
	}
	return fs.Sub(all, name)
}

// readPipeline reads the pipeline that is a stage's work, and checks what it is given.
func (l *loader) readPipeline(s *stageSource, n *document.Node) {
	s.Pipeline = &flow.Include{File: n.Text}
	if l.files == nil {
		l.Add(n.Span, "file", "only a pipeline that is read from a file can have others as parts", "give the name of the file")
		return
	}
	plan := l.include(n)
	if plan == nil {
		return
	}
	s.Pipeline.Plan = plan
	s.Function = plan.Name
	l.checkIncluded(n, plan)
	l.checkGiven(s, n, plan)
}

// include gives the plan of a part, or nil when something is wrong with it, which is then said.
func (l *loader) include(n *document.Node) *flow.Plan {
	name := path.Join(l.inside, n.Text)
	if err := checkIncludePath(n.Text, name); err != nil {
		l.Add(n.Span, "file", err.Error(), "")
		return nil
	}
	if i := slices.Index(l.files.open, name); i >= 0 {
		l.reportIncludeCycle(n, l.files.open[i:])
		return nil
	}
	if known := l.files.plans[name]; known != nil {
		return known.plan
	}
	if len(l.files.open) >= maxIncludeDepth || len(l.files.plans) >= maxIncludes {
		l.Add(n.Span, "limit", fmt.Sprintf("pipelines are parts of others more than %d deep, or over %d files in all", maxIncludeDepth, maxIncludes), "")
		return nil
	}
	source, err := l.files.read(name)
	if err != nil {
		hint := ""
		if errors.Is(err, fs.ErrNotExist) {
			err, hint = fmt.Errorf("there is no file %q", wording.Shorten(n.Text, 80)), "it is looked for beside this file"
		}
		l.Add(n.Span, "file", err.Error(), hint)
		return nil
	}
	part := newLoader(filepath.Join(l.files.dir, filepath.FromSlash(name)), l.files)
	part.path, part.inside, part.asked = name, path.Dir(name), l.asked
	l.files.begin(name)
	part.load(source)
	l.files.open = l.files.open[:len(l.files.open)-1]
	l.files.list = append(l.files.list, part.Problems.Sorted()...)
	known := &included{}
	if !part.HasErrors() {
		known.plan = &part.plan
	}
	l.files.plans[name] = known
	return known.plan
}

// read reads one file.
func (in *includes) read(name string) ([]byte, error) {
	files, err := in.files()
	if err != nil {
		return nil, err
	}
	f, err := files.Open(name)
	if err != nil {
		return nil, err
	}
	if info, err := f.Stat(); err == nil && info.IsDir() {
		return nil, errors.Join(fmt.Errorf("%q is a folder", wording.Shorten(name, 80)), f.Close())
	}
	source, err := io.ReadAll(io.LimitReader(f, document.MaxSize+1))
	return source, errors.Join(err, f.Close())
}

func checkIncludePath(name, full string) error {
	switch {
	case name == "":
		return errors.New("a pipeline file has a name")
	case strings.ContainsRune(name, 0) || strings.ContainsRune(name, '\\'):
		return fmt.Errorf("%q is not a path; folders are divided by /", wording.Shorten(name, 80))
	case strings.Contains(name, "${{"):
		return errors.New("the file of a pipeline is no expression: what runs must be plain to see")
	case path.IsAbs(name) || !fs.ValidPath(full):
		return fmt.Errorf("%q is not in the folder of the outermost pipeline file, nor below it", wording.Shorten(name, 80))
	}
	return nil
}

func (l *loader) reportIncludeCycle(n *document.Node, circle []string) {
	names := append(slices.Clone(circle), circle[0])
	if len(circle) == 1 {
		l.Add(n.Span, "cycle", fmt.Sprintf("%s is a part of itself", circle[0]), "")
		return
	}
	l.Add(n.Span, "cycle", "these files are parts of each other: "+strings.Join(names, " has "), "")
}

// checkIncluded finds what cannot be said of a pipeline that is a part of another.
func (l *loader) checkIncluded(n *document.Node, part *flow.Plan) {
	if part.Name == l.plan.Name {
		l.Add(n.Span, "exclusive", fmt.Sprintf("%s has the name of this pipeline, %q: their commands could not be told apart", n.Text, part.Name), "give one of them another name")
	}
	for i := range part.Functions {
		f := &part.Functions[i]
		if own := l.functions[f.Name]; own != nil && !sameFunction(own, f) {
			l.Add(n.Span, "exclusive", fmt.Sprintf("%s declares the function %q, and so does this file, with another command", n.Text, f.Name), "give one of them another name")
		}
		if functionUses(f, expression.ContextParams) {
			l.Add(n.Span, "expression", fmt.Sprintf("the function %q of %s uses params, and its worker does not know those of a part", f.Name, n.Text), "let it use item, and give it what it needs in args")
		}
	}
}

// sameFunction reports whether a worker could serve one for the other.
func sameFunction(a, b *flow.Function) bool {
	one, err := flow.Format(&flow.Plan{Functions: []flow.Function{*a}})
	other, otherErr := flow.Format(&flow.Plan{Functions: []flow.Function{*b}})
	return err == nil && otherErr == nil && one == other
}

func functionUses(f *flow.Function, context string) bool {
	all := append(slices.Collect(maps.Values(f.Env)), f.Command.Argv...)
	return slices.ContainsFunc(all, func(t expression.Template) bool { return t.Uses(context) })
}

// checkGiven compares what a stage gives a pipeline with the parameters that it has.
func (l *loader) checkGiven(s *stageSource, n *document.Node, part *flow.Plan) {
	given := s.fields["params"]
	known := make([]string, len(part.Params))
	for i := range part.Params {
		p := &part.Params[i]
		known[i] = p.Name
		if p.Required && (given == nil || given.Get(p.Name) == nil) {
			at := n
			if given != nil {
				at = given
			}
			l.Add(at.Span, "missing", fmt.Sprintf("%s requires the parameter %q", n.Text, p.Name), fmt.Sprintf("write params: {%s: ...}", p.Name))
		}
	}
	if given == nil {
		return
	}
	for _, e := range given.Entries {
		i := slices.Index(known, e.Key.Text)
		if i < 0 {
			l.Add(e.Key.Span, "unknown-key", fmt.Sprintf("%s has no parameter %q", n.Text, wording.Shorten(e.Key.Text, 60)), wording.DidYouMean(e.Key.Text, known))
			continue
		}
		l.checkGivenValue(&part.Params[i], e.Value)
	}
}

// checkGivenValue checks a value without expressions. A number in place of text is text all the same, as on
// a command line it would be.
func (l *loader) checkGivenValue(p *flow.Param, n *document.Node) {
	t, errs := l.language.Template(n.JSON(), nil)
	if len(errs) > 0 || !t.IsConstant() || n.IsNull() {
		return
	}
	l.paramValue(p, n)
}

// notForPipelines reports keys that are about one job of a worker.
func (l *loader) notForPipelines(s *stageSource) {
	for _, key := range []string{"args", "stdin", "env"} {
		if n := s.fields[key]; n != nil {
			l.Add(n.Span, "exclusive", fmt.Sprintf("%q is for jobs, and %s is a pipeline", key, s.title()), "write params:")
		}
	}
	for _, key := range []string{"output", "priority", "late", "discover"} {
		if n := s.fields[key]; n != nil {
			l.Add(n.Span, "exclusive", fmt.Sprintf("%q is for jobs of a worker, and %s is a pipeline", key, s.title()), "its own stages say this")
		}
	}
	if n := s.fields["params"]; n != nil {
		s.Pipeline.Params = l.template(n, "params", s, s.contexts())
	}
}
