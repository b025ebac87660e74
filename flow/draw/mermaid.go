package draw

import (
	"fmt"
	"io"
	"strings"
	"unicode"

	"github.com/geartrain/geartrain/flow"
)

// Mermaid writes the plan as a Mermaid flow chart, which many places that show Markdown draw:
//
//	A ==> B   barrier: B begins when all of A has ended, and takes its results
//	A --> B   stream: B takes each result as it arrives
//	A -.-> B  B comes after A, or is a hook at its end
func Mermaid(w io.Writer, p *flow.Plan) error {
	g := newGraph(p)
	var b strings.Builder
	b.WriteString("flowchart TD\n")
	for i, n := range g.nodes {
		open, end := n.kind.mermaid()
		fmt.Fprintf(&b, "  n%d%s\"%s\"%s\n", i, open, n.label("<br>", mermaidText), end)
	}
	for _, e := range g.edges {
		arrow := map[edgeKind]string{barrier: "==>", stream: "-->", after: "-.->", discover: "-->", hook: "-.->"}[e.kind]
		if e.label != "" {
			arrow += `|"` + mermaidText(e.label) + `"|`
		}
		fmt.Fprintf(&b, "  n%d %s n%d\n", e.from, arrow, e.to)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// mermaid is the shape of a node.
func (k nodeKind) mermaid() (open, end string) {
	switch k {
	case hookNode:
		return ">", "]"
	case inputNode, endNode:
		return "([", "])"
	}
	return "[", "]"
}

// label is all the text of a node.
func (n *node) label(newLine string, escape func(string) string) string {
	lines := []string{escape(n.name)}
	if n.does != "" {
		lines = append(lines, escape(n.does))
	}
	for _, line := range n.more {
		lines = append(lines, escape(line))
	}
	return strings.Join(lines, newLine)
}

// mermaidText writes every letter that could mean something to Mermaid, to Markdown or to HTML as an
// entity, in Mermaid's own form.
func mermaidText(text string) string {
	var b strings.Builder
	for _, r := range text {
		if unicode.IsLetter(r) || unicode.IsDigit(r) || strings.ContainsRune(" .,-_/+=()…×", r) {
			b.WriteRune(r)
		} else {
			fmt.Fprintf(&b, "#%d;", r)
		}
	}
	return b.String()
}
