package document

import (
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/geartrain/geartrain/flow/expression"
	"github.com/geartrain/geartrain/flow/wording"
)

// position is a line and a column in characters, both from 1.
type position struct{ line, column int }

// flowExpression is a value with ${{ in it that stands inside brackets without the quotes it needs.
type flowExpression struct {
	at         Span // of ${{
	start, end int  // of the whole value, in bytes of its line
	bracket    byte // that is open around it
}

// quoteRepair is a file with quotes in place of such values, each as long as what it stands for. So the
// rest of the file can be read, and places stay.
type quoteRepair struct {
	lines  []string
	found  []flowExpression
	quoted map[position]string // what the values were, by where they begin
}

func quoteExpressions(lines []string) *quoteRepair {
	s := newSyntaxScan(lines)
	s.scan()
	r := &quoteRepair{lines: slices.Clone(lines), found: s.expressions, quoted: map[position]string{}}
	for _, e := range slices.Backward(r.found) { // offsets before e stay
		line := r.lines[e.at.Line-1]
		text := line[e.start:e.end]
		column := utf8.RuneCountInString(line[:e.start]) + 1
		r.quoted[position{e.at.Line, column}] = text
		inside := strings.Repeat("x", utf8.RuneCountInString(text)-2)
		r.lines[e.at.Line-1] = line[:e.start] + `"` + inside + `"` + line[e.end:]
	}
	return r
}

// report says what each value should look like.
func (r *quoteRepair) report(ps *Problems) {
	for _, e := range r.found {
		brackets := "{...}"
		if e.bracket == '[' {
			brackets = "[...]"
		}
		text, quote := ps.Lines[e.at.Line-1][e.start:e.end], `"`
		if strings.Contains(text, `"`) {
			quote, text = "'", strings.ReplaceAll(text, "'", "''")
		}
		ps.Add(e.at, "flow-expression", fmt.Sprintf(`"${{" inside %s needs quotes`, brackets), "write "+quote+wording.Shorten(text, 80)+quote)
	}
}

// expression notes the value around the ${{ at byte i of a line inside brackets, and gives where it
// ends; i when the expression does not end on this line.
func (s *syntaxScan) expression(line string, i int, at Span) int {
	start := valueStart(line, i)
	end := i
	for strings.HasPrefix(line[end:], "${{") {
		n := expression.End(line[end+3:])
		if n < 0 {
			return i
		}
		end += 3 + n + 2
		for end < len(line) && !endsPlainValue(line, end) && !strings.HasPrefix(line[end:], "${{") {
			end++
		}
	}
	end = start + len(strings.TrimRight(line[start:end], " \t"))
	s.expressions = append(s.expressions, flowExpression{at: at, start: start, end: end, bracket: s.bracket()})
	return end
}

// valueStart is where the value without quotes begins that goes on at byte i.
func valueStart(line string, i int) int {
	start := i
	for start > 0 && !strings.ContainsRune("{}[],", rune(line[start-1])) && !strings.HasSuffix(line[:start], ": ") {
		start--
	}
	for start < i && (line[start] == ' ' || line[start] == '\t') {
		start++
	}
	return start
}

func endsPlainValue(line string, i int) bool {
	return strings.IndexByte(",]}", line[i]) >= 0 || strings.HasPrefix(line[i:], ": ") || strings.HasPrefix(line[i:], " #")
}
