package draw

import (
	"fmt"
	"io"
	"strings"

	"github.com/geartrain/geartrain/flow"
)

// Dot writes the plan in the language of Graphviz: a bold edge is a barrier, a plain one a stream, a
// dashed one is order alone or a hook.
func Dot(w io.Writer, p *flow.Plan) error {
	g := newGraph(p)
	var b strings.Builder
	fmt.Fprintf(&b, "digraph %s {\n", dotText(g.title))
	b.WriteString("  node [shape=box, fontname=\"sans-serif\"];\n  edge [fontname=\"sans-serif\"];\n")
	for i, n := range g.nodes {
		shape := map[nodeKind]string{hookNode: ", shape=note", inputNode: ", shape=oval", endNode: ", shape=oval"}[n.kind]
		fmt.Fprintf(&b, "  n%d [label=\"%s\"%s];\n", i, n.label(`\n`, dotEscape), shape)
	}
	for _, e := range g.edges {
		style := map[edgeKind]string{barrier: "bold", stream: "solid", after: "dashed", discover: "solid", hook: "dashed"}[e.kind]
		fmt.Fprintf(&b, "  n%d -> n%d [label=%s, style=%s];\n", e.from, e.to, dotText(e.label), style)
	}
	b.WriteString("}\n")
	_, err := io.WriteString(w, b.String())
	return err
}

func dotText(text string) string { return `"` + dotEscape(text) + `"` }

func dotEscape(text string) string {
	return strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(text)
}
