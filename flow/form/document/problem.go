package document

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"
)

// Problem is one thing that is wrong with a pipeline file, or doubtful, and where.
type Problem struct {
	File      string
	Line      int // from 1; 0: the file as a whole
	Column    int // from 1, in characters
	EndColumn int // behind the last character; on the same line
	Rule      string
	Message   string
	Hint      string // what to do; may be empty
	Warning   bool   // doubtful only: the file can be run
	Source    string // the line itself
}

// String is "file:line:column: message; hint [rule]".
func (p Problem) String() string {
	var b strings.Builder
	b.WriteString(p.File)
	if p.Line > 0 {
		fmt.Fprintf(&b, ":%d:%d", p.Line, p.Column)
	}
	b.WriteString(": ")
	if p.Warning {
		b.WriteString("warning: ")
	}
	b.WriteString(p.Message)
	if p.Hint != "" {
		b.WriteString("; " + p.Hint)
	}
	fmt.Fprintf(&b, " [%s]", p.Rule)
	return b.String()
}

// MarshalJSON has the keys file, line, column, end_column, rule, severity, message and hint.
func (p Problem) MarshalJSON() ([]byte, error) {
	severity := "error"
	if p.Warning {
		severity = "warning"
	}
	return json.Marshal(struct {
		File      string `json:"file"`
		Line      int    `json:"line"`
		Column    int    `json:"column"`
		EndColumn int    `json:"end_column"`
		Rule      string `json:"rule"`
		Severity  string `json:"severity"`
		Message   string `json:"message"`
		Hint      string `json:"hint,omitempty"`
	}{p.File, p.Line, p.Column, p.EndColumn, p.Rule, severity, p.Message, p.Hint})
}

// Limits of what is shown of a source line, in characters.
const (
	maxSnippet = 160  // around the place
	maxSource  = 4096 // a longer line is not shown
)

// WriteProblems writes each problem on a line, then the source line with a caret under the place.
func WriteProblems(w io.Writer, problems []Problem) error {
	for _, p := range problems {
		if _, err := fmt.Fprintf(w, "%s\n%s", p, p.snippet()); err != nil {
			return err
		}
	}
	return nil
}

// snippet is the source line, or what is around the place in a long one, and the caret.
func (p Problem) snippet() string {
	line := []rune(strings.ReplaceAll(p.Source, "\t", " "))
	if p.Line == 0 || p.Column < 1 || p.Column > len(line)+1 {
		return ""
	}
	from, to := max(0, min(p.Column-1-maxSnippet/2, len(line)-maxSnippet)), len(line)
	to = min(to, from+maxSnippet)
	shown := slices.Clone(line[from:to])
	if from > 0 {
		shown[0] = '…'
	}
	if to < len(line) {
		shown[len(shown)-1] = '…'
	}
	width := min(p.EndColumn, to+1) - p.Column
	caret := strings.Repeat(" ", p.Column-1-from) + "^" + strings.Repeat("~", max(width-1, 0))
	return fmt.Sprintf("%5d | %s\n      | %s\n", p.Line, string(shown), caret)
}

// Annotation is the problem as a line that GitHub's workflows understand.
func (p Problem) Annotation() string {
	kind, place, text := "error", "", p.Message
	if p.Warning {
		kind = "warning"
	}
	if p.Line > 0 {
		place = fmt.Sprintf(",line=%d,col=%d,endColumn=%d", p.Line, p.Column, p.EndColumn)
	}
	if p.Hint != "" {
		text += "; " + p.Hint
	}
	return fmt.Sprintf("::%s file=%s%s,title=%s::%s", kind, annotationValue.Replace(p.File), place, p.Rule, annotationText.Replace(text))
}

// What stands for characters that have a meaning in annotations.
var (
	annotationText  = strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A")
	annotationValue = strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A", ":", "%3A", ",", "%2C")
)

// maxProblems is how many problems of one file are kept.
const maxProblems = 100

// Problems collects what is found in one file.
type Problems struct {
	File  string
	Lines []string // of the source
	list  []Problem
}

// Add notes a problem at a place.
func (ps *Problems) Add(at Span, rule, message, hint string) {
	ps.note(at, rule, message, hint, false)
}

// Warn notes what is doubtful.
func (ps *Problems) Warn(at Span, rule, message, hint string) {
	ps.note(at, rule, message, hint, true)
}

func (ps *Problems) note(at Span, rule, message, hint string, warning bool) {
	p := Problem{
		File: ps.File, Line: at.Line, Column: at.Column, EndColumn: max(at.End, at.Column+1),
		Rule: rule, Message: message, Hint: hint, Warning: warning, Source: ps.Line(at.Line),
	}
	// A place reached through an alias or a default is read more than once.
	if len(ps.list) < maxProblems && !slices.Contains(ps.list, p) {
		ps.list = append(ps.list, p)
	}
}

// Line is a line of the source, counted from 1; empty when it is not fit to be shown.
func (ps *Problems) Line(n int) string {
	if n < 1 || n > len(ps.Lines) {
		return ""
	}
	line := strings.TrimSuffix(ps.Lines[n-1], "\r")
	if len(line) > maxSource || !utf8.ValidString(line) {
		return ""
	}
	return line
}

// HasErrors reports whether there is more than warnings.
func (ps *Problems) HasErrors() bool {
	return slices.ContainsFunc(ps.list, func(p Problem) bool { return !p.Warning })
}

// Sorted is all problems by place.
func (ps *Problems) Sorted() []Problem {
	slices.SortStableFunc(ps.list, func(a, b Problem) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
	return ps.list
}

// Span is a place in the source: a line, and columns in characters from column to before end.
type Span struct{ Line, Column, End int }
