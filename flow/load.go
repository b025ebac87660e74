package flow

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/geartrain/geartrain/flow/expression"
	"github.com/geartrain/geartrain/flow/value"
	"github.com/geartrain/geartrain/flow/wording"
)

// LoadFile reads a pipeline file; its commands run in the file's folder. See [Load]; an error in
// reading the file is not a [ValidationError].
func LoadFile(name string) (*Plan, []Problem, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, nil, err
	}
	files := newIncludes(filepath.Dir(name))
	plan, warnings, err := load(name, f, files)
	return plan, warnings, errors.Join(err, f.Close(), files.close())
}

// Load reads a pipeline from YAML. The name stands in messages, and its folder is where commands
// run. Load is strict: a key it does not know or a value it does not understand is an error. All that
// is wrong is reported at once, as a [ValidationError]; what is only doubtful comes back as warnings.
func Load(name string, r io.Reader) (*Plan, []Problem, error) {
	return load(name, r, nil)
}

// load reads a pipeline; only of one on disk are the files that it names looked for.
func load(name string, r io.Reader, files *includes) (*Plan, []Problem, error) {
	source, err := io.ReadAll(io.LimitReader(r, maxFile+1))
	if err != nil {
		return nil, nil, fmt.Errorf("read %s: %w", name, err)
	}
	l := newLoader(name, files)
	if files != nil {
		l.path = filepath.ToSlash(filepath.Base(name))
		files.begin(l.path)
	}
	l.load(source)
	found := append(l.problems.sorted(), files.found()...)
	if slices.ContainsFunc(found, func(p Problem) bool { return !p.Warning }) {
		return nil, nil, &ValidationError{Problems: found}
	}
	return &l.plan, found, nil
}

func newLoader(name string, files *includes) *loader {
	return &loader{problems: problems{file: name}, files: files, inside: ".", language: expression.NewLanguage(), broken: map[*node]bool{}}
}

// loader is one reading of a file.
type loader struct {
	problems
	files     *includes // nil: no files can be looked for
	path      string    // of the file, from the folder of the outermost one
	inside    string    // the folder of path
	language  *expression.Language
	plan      Plan
	defaults  fields
	functions map[string]*Function
	stages    []*stageSource
	templates []placedTemplate
	needs     []serverNeed
	atEnd     bool           // what is read is done when its stage has ended
	broken    map[*node]bool // values whose expressions could not be understood: said once, not judged further
}

// stageSource is a stage with where it stands in the file.
type stageSource struct {
	Stage
	at     span // of its name, else where it begins
	fields fields
	tasks  []*stageSource
	of     *stageSource // of a task: its stage
	number int          // of a task: from 1
	waits  bool         // it has needs or stream: its place in the list does not count
	needs  []*node
}

// placedTemplate is a template with where it stands, and the stage it belongs to.
type placedTemplate struct {
	expression.Template
	node  *node
	stage *stageSource // nil: the pipeline's own
	key   string       // args, key, if
	atEnd bool         // of a hook
}

func (l *loader) load(source []byte) {
	if !l.readable(source) {
		return
	}
	l.lines = sourceLines(string(source))
	root := parseDocument(source, &l.problems)
	if root == nil {
		return
	}
	if root.isNull() {
		l.add(root.span, "missing", emptyFile, emptyFileHint)
		return
	}
	if root.kind != mapNode {
		l.add(root.span, "type", "a pipeline is a map with name and stages, not "+root.describe(), "")
		return
	}
	l.top(root)
	l.validate()
	l.plan.needs = &needs{problems: problems{file: l.file, lines: l.lines}, list: l.needs}
}

// sourceLines is the text line by line, as YAML counts them.
func sourceLines(text string) []string {
	text = strings.TrimPrefix(text, byteOrderMark)
	if strings.ContainsAny(text, "\r\u0085\u2028\u2029") {
		text = strings.NewReplacer("\r\n", "\n", "\r", "\n", "\u0085", "\n", "\u2028", "\n", "\u2029", "\n").Replace(text)
	}
	return strings.Split(text, "\n")
}

// readable refuses what no parser should be given.
func (l *loader) readable(source []byte) bool {
	if len(source) > maxFile {
		l.add(span{}, "limit", fmt.Sprintf("the file is over %d MiB", maxFile>>20), "give large lists to a run as a parameter or let a stage make them")
		return false
	}
	line, start := 1, 0
	for i := 0; i < len(source); {
		r, n := utf8.DecodeRune(source[i:])
		message, hint := "", ""
		switch {
		case r == utf8.RuneError && n == 1:
			message = "the file is not UTF-8 text"
		case r < ' ' && r != '\n' && r != '\t' && r != '\r' || r == 0x7f:
			message, hint = fmt.Sprintf("control character U+%04X", r), "in double quotes it can be written as an escape"
		case r == '\n':
			line, start = line+1, i+1
		}
		if message != "" {
			column := utf8.RuneCount(source[start:i]) + 1
			l.add(span{line, column, column + 1}, "yaml-syntax", message, hint)
			return false
		}
		i += n
	}
	return true
}

// folder is where commands run.
func (l *loader) folder() string {
	if dir := filepath.Dir(l.file); dir != "." {
		return dir
	}
	return ""
}

// fields are the known keys of one map.
type fields map[string]*node

// read takes a map's keys by the table of its place. Unknown keys and values of the wrong shape are
// reported and left out.
func (l *loader) read(n *node, p place, name string) fields {
	out := fields{}
	what := p.of(name)
	if n.kind != mapNode {
		l.add(n.span, "type", fmt.Sprintf("%s is a map, not %s", what, n.describe()), "")
		return out
	}
	specs := keysOfPlace(p)
	for _, e := range n.entries {
		key := e.key.text
		i := slices.IndexFunc(specs, func(s keySpec) bool { return s.name == key })
		switch {
		case i >= 0:
			if l.fits(e.value, specs[i]) {
				out[key] = e.value
			}
		case p == topPlace && strings.HasPrefix(key, "x-"):
		default:
			l.add(e.key.span, "unknown-key", fmt.Sprintf("unknown key %q in %s", wording.Shorten(key, 60), what), keyHintFor(key, specs))
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
func (l *loader) fits(n *node, spec keySpec) bool {
	if (spec.limit != "" || spec.perJob) && hasExpression(n) {
		return true
	}
	if shapeOf(n)&spec.shape == 0 {
		l.misfit(n, spec)
		return false
	}
	if len(spec.allowed) > 0 && n.kind == scalarNode && !slices.Contains(spec.allowed, n.text) {
		hint := wording.DidYouMean(n.text, spec.allowed)
		if hint == "" {
			hint = "it may be " + strings.Join(spec.allowed, ", ")
		}
		l.add(n.span, "value", fmt.Sprintf("%q cannot be %q", spec.name, wording.Shorten(n.text, 60)), hint)
		return false
	}
	return true
}

// misfit reports a value of the wrong shape, and what to write instead.
func (l *loader) misfit(n *node, spec keySpec) {
	isScalar := n.kind == scalarNode && n.value != nil
	if isScalar && spec.shape&textShape != 0 && spec.instead == "" {
		l.unquoted(n, spec.name)
		return
	}
	wanted, found := spec.shape.String(), n.describe()
	if spec.means != "" {
		wanted = spec.means
	}
	if _, isNumber := value.Number(n.value); isScalar && isNumber {
		found = wording.Shorten(n.text, 60)
	}
	l.add(n.span, "type", fmt.Sprintf("%q wants %s, not %s", spec.name, wanted, found), spec.hintFor(n, isScalar))
}

// hintFor says what to write in place of a value of the wrong shape.
func (spec keySpec) hintFor(n *node, isScalar bool) string {
	takesValue := strings.Contains(spec.instead, "%s")
	switch {
	case hasExpression(n) && spec.shape&textShape == 0:
		return "an expression cannot stand here"
	case spec.shape == booleanShape && isScalar && looksTrue.MatchString(n.text):
		return "write true"
	case spec.shape == booleanShape && isScalar && looksFalse.MatchString(n.text):
		return "write false"
	case takesValue && isScalar:
		return "write " + fmt.Sprintf(spec.instead, wording.Shorten(n.text, 60))
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

func hasExpression(n *node) bool {
	return n.kind == scalarNode && strings.Contains(n.text, "${{")
}

func shapeOf(n *node) shape {
	switch n.kind {
	case listNode:
		return listShape
	case mapNode:
		return mapShape
	}
	switch n.value.(type) {
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
func (l *loader) unquoted(n *node, key string) {
	l.add(n.span, "unquoted", fmt.Sprintf("%q wants text, and %s is %s", key, n.text, value.Describe(n.value)), fmt.Sprintf("write %q", n.text))
}
