package form

import (
	"strings"

	"github.com/geartrain/geartrain/flow/form/document"
)

// Error is why a pipeline file cannot be run: all its problems, warnings among them.
type Error struct {
	Problems []document.Problem // by line and column
}

func (e *Error) Error() string {
	lines := make([]string, len(e.Problems))
	for i, p := range e.Problems {
		lines[i] = p.String()
	}
	return strings.Join(lines, "\n")
}
