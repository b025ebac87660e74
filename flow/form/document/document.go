package document

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"gopkg.in/yaml.v3"

	"github.com/geartrain/geartrain/flow/value"
	"github.com/geartrain/geartrain/flow/wording"
)

// The limits of a pipeline file.
const (
	MaxSize    = 4 << 20 // bytes
	maxNesting = 100
	maxNodes   = 500_000 // values in all
	maxAliased = 50_000  // of them, those that aliases stand for
)

// What is said of a file with nothing in it.
const (
	emptyFile     = "the file is empty"
	emptyFileHint = "a pipeline has a name and stages"
)

// Node is one value of a document, with its place. What an alias stands for is one node in many places.
type Node struct {
	Kind Kind
	Span Span

	Text   string // of a scalar: without quotes
	Value  any    // of a scalar: nil, bool, string, int, json.Number or float64
	Quoted bool   // of a scalar: in quotes or a block, so text for certain

	List    []*Node
	Entries []Entry // of a map, in order; keys are unique, merged ones come last
	size    int     // values in all, aliases expanded
}

// Entry is a key of a map with its value.
type Entry struct {
	Key    *Node
	Value  *Node
	merged bool // it came by <<
}

// Kind is the kind of a node.
type Kind uint8

// The kinds of nodes.
const (
	Scalar Kind = iota
	List
	Map
)

// Describe names the node's type as an author knows it.
func (n *Node) Describe() string {
	switch n.Kind {
	case List:
		return "a list"
	case Map:
		return "a map"
	}
	return value.Describe(n.Value)
}

// IsNull reports whether the node is null, or nothing behind its key.
func (n *Node) IsNull() bool { return n.Kind == Scalar && n.Value == nil }

// Get is the value of a key, or nil.
func (n *Node) Get(key string) *Node {
	for _, e := range n.Entries {
		if e.Key.Text == key {
			return e.Value
		}
	}
	return nil
}

// String is the text of a scalar; empty for a key that is not there.
func (n *Node) String() string {
	if n == nil {
		return ""
	}
	return n.Text
}

// JSON is the node as a JSON value.
func (n *Node) JSON() any {
	switch n.Kind {
	case List:
		list := make([]any, len(n.List))
		for i, child := range n.List {
			list[i] = child.JSON()
		}
		return list
	case Map:
		m := make(map[string]any, len(n.Entries))
		for _, e := range n.Entries {
			m[e.Key.Text] = e.Value.JSON()
		}
		return m
	}
	return n.Value
}

// At follows map keys and list indexes.
func (n *Node) At(path []any) *Node {
	for _, step := range path {
		switch step := step.(type) {
		case int:
			if step < len(n.List) {
				n = n.List[step]
			}
		case string:
			if child := n.Get(step); child != nil {
				n = child
			}
		}
	}
	return n
}

// Parse reads YAML into nodes, and its lines into the problems. It gives nil when there is nothing that can be
// looked at; why is among the problems then.
func Parse(source []byte, ps *Problems) *Node {
	if !isReadable(source, ps) {
		return nil
	}
	ps.Lines = sourceLines(string(source))
	if isTooDeep(ps.Lines, ps) {
		return nil
	}
	text := string(bytes.TrimPrefix(source, []byte(byteOrderMark)))
	document, err := decodeDocument(text, ps)
	var quoted map[position]string
	if err != nil {
		repair := quoteExpressions(ps.Lines)
		if len(repair.found) > 0 {
			repair.report(ps)
			document, err = decodeDocument(strings.Join(repair.lines, "\n"), ps)
		}
		if err != nil {
			reportSyntax(err, repair.lines, ps)
			return nil
		}
		quoted = repair.quoted
	}
	if document == nil {
		return nil
	}
	b := builder{problems: ps, quoted: quoted, done: map[*yaml.Node]*Node{}}
	root := b.build(document.Content[0], 0)
	if b.stopped {
		return nil
	}
	if root.IsNull() {
		ps.Add(root.Span, "missing", emptyFile, emptyFileHint)
		return nil
	}
	return root
}

// decodeDocument is the one document of a file; none is reported. The error is the parser's.
func decodeDocument(text string, ps *Problems) (*yaml.Node, error) {
	d := yaml.NewDecoder(strings.NewReader(text))
	var document, second yaml.Node
	err := d.Decode(&document)
	if errors.Is(err, io.EOF) {
		ps.Add(Span{1, 1, 2}, "missing", emptyFile, emptyFileHint)
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	switch err = d.Decode(&second); {
	case err == nil:
		ps.Add(Span{second.Line, max(second.Column, 1), 0}, "yaml-syntax", "a second document begins here", "a file holds one pipeline")
	case !errors.Is(err, io.EOF):
		return nil, err
	}
	return &document, nil
}

// builder turns the parser's nodes into ours.
type builder struct {
	problems *Problems
	quoted   map[position]string  // values that were in no quotes and should be, see quoteExpressions
	done     map[*yaml.Node]*Node // nil while it is being built
	aliased  int
	nodes    int
	stopped  bool // over a limit: said once, nothing more is read
}

func (b *builder) build(y *yaml.Node, depth int) *Node {
	n := &Node{Span: spanOf(y), size: 1}
	if b.stopped {
		return n
	}
	if depth > maxNesting {
		return b.stop(n, fmt.Sprintf("values are nested more than %d deep", maxNesting))
	}
	if y.Kind == yaml.AliasNode {
		return b.alias(y, n)
	}
	if b.nodes++; b.nodes > maxNodes {
		return b.stop(n, fmt.Sprintf("the file has more than %d values", maxNodes))
	}
	b.done[y] = nil
	b.checkTag(y, n)
	switch y.Kind {
	case yaml.ScalarNode:
		b.scalar(y, n)
	case yaml.SequenceNode:
		n.Kind = List
		for _, child := range y.Content {
			c := b.build(child, depth+1)
			n.List = append(n.List, c)
			n.size += c.size
		}
	case yaml.MappingNode:
		n.Kind = Map
		b.mapping(y, n, depth)
	}
	b.done[y] = n
	return n
}

func (b *builder) stop(n *Node, message string) *Node {
	b.stopped = true
	b.problems.Add(n.Span, "limit", message, "")
	return n
}

// alias stands for what its anchor marks. That is not copied, but counted as if it were.
func (b *builder) alias(y *yaml.Node, n *Node) *Node {
	target, known := b.done[y.Alias]
	if known && target == nil {
		return b.stop(n, fmt.Sprintf("%q contains itself", "*"+y.Value))
	}
	if target == nil {
		return n
	}
	if b.aliased += target.size; b.aliased > maxAliased {
		return b.stop(n, fmt.Sprintf("aliases stand for more than %d values", maxAliased))
	}
	return target
}

func (b *builder) checkTag(y *yaml.Node, n *Node) {
	if y.Style&yaml.TaggedStyle == 0 {
		return
	}
	switch y.ShortTag() {
	case "!!str", "!!map", "!!seq", "!!int", "!!float", "!!bool", "!!null":
		return
	}
	b.problems.Add(n.Span, "type", fmt.Sprintf("the tag %q is not supported", y.Tag), "values have the types of JSON")
}

// scalar takes JSON's types by our own rules: what is not exactly null, true, false or a JSON number
// is text. Dates, yes and 010 are text.
func (b *builder) scalar(y *yaml.Node, n *Node) {
	n.Text, n.Value = y.Value, y.Value
	if text, ok := b.quoted[position{n.Span.Line, n.Span.Column}]; ok {
		n.Text, n.Value, n.Quoted = text, text, true
		return
	}
	n.Quoted = y.Style&(yaml.SingleQuotedStyle|yaml.DoubleQuotedStyle|yaml.LiteralStyle|yaml.FoldedStyle) != 0
	if y.Style&yaml.TaggedStyle != 0 && y.ShortTag() == "!!str" {
		n.Quoted = true
	}
	if n.Quoted {
		return
	}
	switch y.Value {
	case "", "~", "null":
		n.Value = nil
	case "true", "false":
		n.Value = y.Value == "true"
	default:
		if !value.IsNumber(y.Value) {
			return
		}
		v, err := value.NormalizeNumber(json.Number(y.Value))
		if err != nil {
			b.problems.Add(n.Span, "value", err.Error(), "quote it if it is text")
			return
		}
		n.Value = v
	}
}

func (b *builder) mapping(y *yaml.Node, n *Node, depth int) {
	first := make(map[string]*Node, len(y.Content)/2)
	var merges []*Node
	for i := 0; i+1 < len(y.Content); i += 2 {
		key := b.build(y.Content[i], depth+1)
		value := b.build(y.Content[i+1], depth+1)
		n.size += key.size + value.size
		if b.stopped {
			return
		}
		if key.Kind != Scalar {
			b.problems.Add(key.Span, "type", fmt.Sprintf("a key is text, not %s", key.Describe()), keyHint(key))
			continue
		}
		if key.Text == "<<" && !key.Quoted {
			merges = append(merges, value)
			continue
		}
		if before := first[key.Text]; before != nil {
			b.problems.Add(key.Span, "duplicate-key",
				fmt.Sprintf("key %q is already at line %d, column %d", wording.Shorten(key.Text, 60), before.Span.Line, before.Span.Column), "")
			continue
		}
		first[key.Text] = key
		n.Entries = append(n.Entries, Entry{Key: key, Value: value})
	}
	for _, merge := range merges {
		b.merge(n, merge, first)
	}
}

// keyHint notices {{ item }}, the expressions of other tools, which YAML takes for a map in a map.
func keyHint(key *Node) string {
	if key.Kind == Map {
		return `an expression is written "${{ ... }}", in quotes`
	}
	return ""
}

// merge adds what << stands for; keys that are there already win.
func (b *builder) merge(n, from *Node, first map[string]*Node) {
	switch from.Kind {
	case List:
		for _, one := range from.List {
			b.merge(n, one, first)
		}
	case Map:
		for _, e := range from.Entries {
			if first[e.Key.Text] == nil {
				first[e.Key.Text] = e.Key
				n.Entries = append(n.Entries, Entry{Key: e.Key, Value: e.Value, merged: true})
			}
		}
		n.size += from.size
	default:
		b.problems.Add(from.Span, "type", fmt.Sprintf("<< merges maps, not %s", from.Describe()), "")
	}
}

// spanOf is where a value stands; of lists and maps only where they begin.
func spanOf(y *yaml.Node) Span {
	s := Span{Line: y.Line, Column: max(y.Column, 1)}
	s.End = s.Column + 1
	if y.Kind == yaml.ScalarNode && !strings.Contains(y.Value, "\n") {
		s.End = s.Column + utf8.RuneCountInString(y.Value)
		if y.Style&(yaml.SingleQuotedStyle|yaml.DoubleQuotedStyle) != 0 {
			s.End += 2
		}
	}
	return s
}
