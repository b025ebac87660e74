package flow

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
	maxFile    = 4 << 20
	maxNesting = 100
	maxNodes   = 500_000 // values in all
	maxAliased = 50_000  // of them, those that aliases stand for
)

// What is said of a file with nothing in it.
const (
	emptyFile     = "the file is empty"
	emptyFileHint = "a pipeline has a name and stages"
)

// byteOrderMark is what some editors begin a file with. It means nothing in UTF-8.
const byteOrderMark = "\ufeff"

// node is one value of a document, with its place. What an alias stands for is one node in many places.
type node struct {
	kind nodeKind
	span span

	text   string // of a scalar: without quotes
	value  any    // of a scalar: nil, bool, string, int, json.Number or float64
	quoted bool   // of a scalar: in quotes or a block, so text for certain

	list    []*node
	entries []entry // of a map, in order; keys are unique, merged ones come last
	size    int     // values in all, aliases expanded
}

// entry is a key of a map with its value.
type entry struct {
	key    *node
	value  *node
	merged bool // it came by <<
}

type nodeKind uint8

const (
	scalarNode nodeKind = iota
	listNode
	mapNode
)

// describe names the node's type as an author knows it.
func (n *node) describe() string {
	switch n.kind {
	case listNode:
		return "a list"
	case mapNode:
		return "a map"
	}
	return value.Describe(n.value)
}

func (n *node) isNull() bool { return n.kind == scalarNode && n.value == nil }

// get is the value of a key, or nil.
func (n *node) get(key string) *node {
	for _, e := range n.entries {
		if e.key.text == key {
			return e.value
		}
	}
	return nil
}

// json is the node as a JSON value.
func (n *node) json() any {
	switch n.kind {
	case listNode:
		list := make([]any, len(n.list))
		for i, child := range n.list {
			list[i] = child.json()
		}
		return list
	case mapNode:
		m := make(map[string]any, len(n.entries))
		for _, e := range n.entries {
			m[e.key.text] = e.value.json()
		}
		return m
	}
	return n.value
}

// at follows map keys and list indexes.
func (n *node) at(path []any) *node {
	for _, step := range path {
		switch step := step.(type) {
		case int:
			if step < len(n.list) {
				n = n.list[step]
			}
		case string:
			if child := n.get(step); child != nil {
				n = child
			}
		}
	}
	return n
}

// parseDocument reads YAML into nodes. It gives nil when there is nothing that can be looked at.
func parseDocument(source []byte, ps *problems) *node {
	if isTooDeep(ps.lines, ps) {
		return nil
	}
	text := string(bytes.TrimPrefix(source, []byte(byteOrderMark)))
	document, err := decodeDocument(text, ps)
	var quoted map[position]string
	if err != nil {
		repair := quoteExpressions(ps.lines)
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
	b := documentBuilder{problems: ps, quoted: quoted, done: map[*yaml.Node]*node{}}
	root := b.build(document.Content[0], 0)
	if b.stopped {
		return nil
	}
	return root
}

// decodeDocument is the one document of a file; none is reported. The error is the parser's.
func decodeDocument(text string, ps *problems) (*yaml.Node, error) {
	d := yaml.NewDecoder(strings.NewReader(text))
	var document, second yaml.Node
	err := d.Decode(&document)
	if errors.Is(err, io.EOF) {
		ps.add(span{1, 1, 2}, "missing", emptyFile, emptyFileHint)
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	switch err = d.Decode(&second); {
	case err == nil:
		ps.add(span{second.Line, max(second.Column, 1), 0}, "yaml-syntax", "a second document begins here", "a file holds one pipeline")
	case !errors.Is(err, io.EOF):
		return nil, err
	}
	return &document, nil
}

// documentBuilder turns the parser's nodes into ours.
type documentBuilder struct {
	problems *problems
	quoted   map[position]string  // values that were in no quotes and should be, see quoteExpressions
	done     map[*yaml.Node]*node // nil while it is being built
	aliased  int
	nodes    int
	stopped  bool // over a limit: said once, nothing more is read
}

func (b *documentBuilder) build(y *yaml.Node, depth int) *node {
	n := &node{span: spanOf(y), size: 1}
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
		n.kind = listNode
		for _, child := range y.Content {
			c := b.build(child, depth+1)
			n.list = append(n.list, c)
			n.size += c.size
		}
	case yaml.MappingNode:
		n.kind = mapNode
		b.mapping(y, n, depth)
	}
	b.done[y] = n
	return n
}

func (b *documentBuilder) stop(n *node, message string) *node {
	b.stopped = true
	b.problems.add(n.span, "limit", message, "")
	return n
}

// alias stands for what its anchor marks. That is not copied, but counted as if it were.
func (b *documentBuilder) alias(y *yaml.Node, n *node) *node {
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

func (b *documentBuilder) checkTag(y *yaml.Node, n *node) {
	if y.Style&yaml.TaggedStyle == 0 {
		return
	}
	switch y.ShortTag() {
	case "!!str", "!!map", "!!seq", "!!int", "!!float", "!!bool", "!!null":
		return
	}
	b.problems.add(n.span, "type", fmt.Sprintf("the tag %q is not supported", y.Tag), "values have the types of JSON")
}

// scalar takes JSON's types by our own rules: what is not exactly null, true, false or a JSON number
// is text. Dates, yes and 010 are text.
func (b *documentBuilder) scalar(y *yaml.Node, n *node) {
	n.text, n.value = y.Value, y.Value
	if text, ok := b.quoted[position{n.span.line, n.span.column}]; ok {
		n.text, n.value, n.quoted = text, text, true
		return
	}
	n.quoted = y.Style&(yaml.SingleQuotedStyle|yaml.DoubleQuotedStyle|yaml.LiteralStyle|yaml.FoldedStyle) != 0
	if y.Style&yaml.TaggedStyle != 0 && y.ShortTag() == "!!str" {
		n.quoted = true
	}
	if n.quoted {
		return
	}
	switch y.Value {
	case "", "~", "null":
		n.value = nil
	case "true", "false":
		n.value = y.Value == "true"
	default:
		if !value.IsNumber(y.Value) {
			return
		}
		v, err := value.NormalizeNumber(json.Number(y.Value))
		if err != nil {
			b.problems.add(n.span, "value", err.Error(), "quote it if it is text")
			return
		}
		n.value = v
	}
}

func (b *documentBuilder) mapping(y *yaml.Node, n *node, depth int) {
	first := make(map[string]*node, len(y.Content)/2)
	var merges []*node
	for i := 0; i+1 < len(y.Content); i += 2 {
		key := b.build(y.Content[i], depth+1)
		value := b.build(y.Content[i+1], depth+1)
		n.size += key.size + value.size
		if b.stopped {
			return
		}
		if key.kind != scalarNode {
			b.problems.add(key.span, "type", fmt.Sprintf("a key is text, not %s", key.describe()), keyHint(key))
			continue
		}
		if key.text == "<<" && !key.quoted {
			merges = append(merges, value)
			continue
		}
		if before := first[key.text]; before != nil {
			b.problems.add(key.span, "duplicate-key",
				fmt.Sprintf("key %q is already at line %d, column %d", wording.Shorten(key.text, 60), before.span.line, before.span.column), "")
			continue
		}
		first[key.text] = key
		n.entries = append(n.entries, entry{key: key, value: value})
	}
	for _, merge := range merges {
		b.merge(n, merge, first)
	}
}

// keyHint notices {{ item }}, the expressions of other tools, which YAML takes for a map in a map.
func keyHint(key *node) string {
	if key.kind == mapNode {
		return `an expression is written "${{ ... }}", in quotes`
	}
	return ""
}

// merge adds what << stands for; keys that are there already win.
func (b *documentBuilder) merge(n, from *node, first map[string]*node) {
	switch from.kind {
	case listNode:
		for _, one := range from.list {
			b.merge(n, one, first)
		}
	case mapNode:
		for _, e := range from.entries {
			if first[e.key.text] == nil {
				first[e.key.text] = e.key
				n.entries = append(n.entries, entry{key: e.key, value: e.value, merged: true})
			}
		}
		n.size += from.size
	default:
		b.problems.add(from.span, "type", fmt.Sprintf("<< merges maps, not %s", from.describe()), "")
	}
}

// spanOf is where a value stands; of lists and maps only where they begin.
func spanOf(y *yaml.Node) span {
	s := span{line: y.Line, column: max(y.Column, 1)}
	s.end = s.column + 1
	if y.Kind == yaml.ScalarNode && !strings.Contains(y.Value, "\n") {
		s.end = s.column + utf8.RuneCountInString(y.Value)
		if y.Style&(yaml.SingleQuotedStyle|yaml.DoubleQuotedStyle) != 0 {
			s.end += 2
		}
	}
	return s
}
