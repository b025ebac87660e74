package draw

import (
	"fmt"
	"io"
	"strings"

	"github.com/geartrain/geartrain/flow"
)

// Text writes the plan for a terminal: each stage in the order in which they can begin, and before what it
// does, what it waits for.
//
//	parse
//	    ← fetch   stream: each result as it arrives
//	    function: parse-page
func Text(w io.Writer, p *flow.Plan) error {
	g := newGraph(p)
	var b strings.Builder
	b.WriteString(g.title)
	if g.about != "" {
		b.WriteString(": " + g.about)
	}
	b.WriteByte('\n')
	for i, n := range g.nodes {
		if n.kind == hookNode || n.kind == inputNode {
			continue
		}
		fmt.Fprintf(&b, "\n%s\n", n.name)
		g.writeEdges(&b, i)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// writeEdges writes what leads to a node, what it does, and what is done at its end.
func (g *graph) writeEdges(b *strings.Builder, to int) {
	n := &g.nodes[to]
	for _, e := range g.edges {
		if e.to == to && e.kind != discover {
			fmt.Fprintf(b, "    ← %s   %s\n", g.nodes[e.from].name, e.kind.words())
		}
	}
	if n.does != "" {
		fmt.Fprintf(b, "    %s\n", n.does)
	}
	for _, line := range n.more {
		fmt.Fprintf(b, "    %s\n", line)
	}
	for _, e := range g.edges {
		switch {
		case e.from != to:
		case e.kind == discover:
			fmt.Fprintf(b, "    ↻ %s: its results add items to it; it ends when none is queued or running\n", e.label)
		case e.kind == hook:
			fmt.Fprintf(b, "    %s: %s\n", e.label, g.nodes[e.to].name)
		}
	}
}

func (k edgeKind) words() string {
	switch k {
	case barrier:
		return "barrier: all its results, when all has ended"
	case stream:
		return "stream: each result as it arrives"
	}
	return "after it has ended"
}
