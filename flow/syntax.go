package flow

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"
)

// isTooDeep reports nesting that the YAML parser would take minutes for, before it is asked.
func isTooDeep(lines []string, ps *problems) bool {
	s := newSyntaxScan(lines)
	s.scan()
	if s.tooDeep.line == 0 {
		return false
	}
	ps.add(s.tooDeep, "limit", fmt.Sprintf("values are nested more than %d deep", maxNesting), "")
	return true
}

// reportSyntax turns the YAML parser's error, which has at best a line, into a problem with a
// place. The usual mistakes are looked for in the source first.
func reportSyntax(err error, ps *problems) {
	s := newSyntaxScan(ps.lines)
	if s.scan(); s.found {
		ps.add(s.at, s.rule, s.message, s.hint)
		return
	}
	line, message := parserError(err)
	if strings.HasPrefix(message, "did not find expected") && s.uneven > line {
		line = s.uneven
	}
	line = max(min(line, len(ps.lines)), 1)
	text := ps.line(line)
	at := span{line: line, column: len(text) - len(strings.TrimLeft(text, " ")) + 1}
	hint := ""
	switch {
	case strings.Contains(message, "mapping values are not allowed"):
		hint = `a ": " inside a value needs quotes around the value`
		at.column = secondColon(text, at.column)
	case strings.Contains(message, "cannot start any token"):
		hint = "values that begin with @ ` or % need quotes"
	case strings.Contains(message, "did not find expected"):
		hint = "look at the indentation of this line and those before it"
	}
	at.end = utf8.RuneCountInString(text) + 1
	ps.add(at, "yaml-syntax", message, hint)
}

// secondColon is the column of the second ": " of a line, or the column given.
func secondColon(line string, column int) int {
	first := strings.Index(line, ": ")
	if first < 0 {
		return column
	}
	second := strings.Index(line[first+2:], ": ")
	if second < 0 {
		return column
	}
	return utf8.RuneCountInString(line[:first+2+second]) + 1
}

var parserLine = regexp.MustCompile(`^(?:yaml: )?(?:line (\d+): )?`)

func parserError(err error) (line int, message string) {
	text := err.Error()
	m := parserLine.FindStringSubmatch(text)
	line, _ = strconv.Atoi(m[1]) // none: 0
	message = shorten(text[len(m[0]):], 200)
	if strings.HasPrefix(message, "did not find expected") {
		line++ // these count lines from 0
	}
	return line, message
}

// syntaxScan reads YAML only as far as is needed to say where a mistake begins: quotes, brackets,
// comments, blocks of text and indentation.
type syntaxScan struct {
	lines   []string
	flow    []span // where the brackets that are open began
	quote   byte   // the quote that is open, or 0
	quoteAt span
	block   int   // the indentation that a block's lines are deeper than; -1: no block
	indents []int // of the lines that this one is inside of

	uneven        int  // the first line whose indentation is that of no line before it; 0: none
	tooDeep       span // where the nesting is over the limit; line 0: nowhere
	found         bool
	at            span
	rule, message string
	hint          string
}

func newSyntaxScan(lines []string) *syntaxScan {
	return &syntaxScan{lines: lines, block: -1}
}

func (s *syntaxScan) scan() {
	for i, line := range s.lines {
		s.line(i+1, strings.TrimSuffix(line, "\r"))
	}
	switch {
	case s.quote != 0:
		s.report(s.quoteAt, "yaml-syntax", fmt.Sprintf("the quote %c is never closed", s.quote), "")
	case len(s.flow) > 0:
		s.report(s.flow[len(s.flow)-1], "yaml-syntax", "the bracket is never closed", "")
	}
}

// report notes the first mistake.
func (s *syntaxScan) report(at span, rule, message, hint string) {
	if !s.found {
		s.found, s.at, s.rule, s.message, s.hint = true, at, rule, message, hint
	}
}

func (s *syntaxScan) line(number int, line string) {
	body := strings.TrimLeft(line, " ")
	indent := len(line) - len(body)
	if s.block >= 0 {
		if body == "" || indent > s.block {
			return
		}
		s.block = -1
	}
	if s.quote == 0 && len(s.flow) == 0 && strings.TrimSpace(body) != "" && body[0] != '#' {
		s.indentation(number, indent, body)
	}
	start, column := true, indent // start: a value may begin here
	for i := indent; i < len(line); i++ {
		if utf8.RuneStart(line[i]) {
			column++
		}
		if s.quote != 0 {
			end := s.inQuote(line, i)
			column += end - i
			i = end
			continue
		}
		at := span{line: number, column: column}
		if c := line[i]; c == '#' && (i == 0 || line[i-1] == ' ' || line[i-1] == '\t') {
			return
		}
		if len(s.flow) > 0 && strings.HasPrefix(line[i:], "${{") {
			at.end = at.column + 3
			s.report(at, "flow-expression", `"${{" inside {...} or [...] needs quotes`, `write "${{ ... }}"`)
		}
		if isBlock := s.opens(line[i], at, start); isBlock {
			s.block = indent
			return
		}
		start = startsValue(line, i, len(s.flow) > 0, start)
	}
}

// opens takes the characters that open and close quotes, brackets and blocks.
func (s *syntaxScan) opens(c byte, at span, start bool) (isBlock bool) {
	switch {
	case start && (c == '\'' || c == '"'):
		s.quote, s.quoteAt = c, at
	case (c == '{' || c == '[') && (start || len(s.flow) > 0):
		s.flow = append(s.flow, at)
		if len(s.flow) > maxNesting && s.tooDeep.line == 0 {
			s.tooDeep = at
		}
	case (c == '}' || c == ']') && len(s.flow) > 0:
		s.flow = s.flow[:len(s.flow)-1]
	}
	return start && (c == '|' || c == '>') && len(s.flow) == 0
}

// indentation follows the indentation of lines that are not inside quotes, brackets or blocks.
func (s *syntaxScan) indentation(number, indent int, body string) {
	at := span{number, indent + 1, indent + 2}
	if body[0] == '\t' {
		s.report(at, "yaml-syntax", "a tab in the indentation", "YAML is indented with spaces")
		return
	}
	popped := false
	for n := len(s.indents); n > 0 && s.indents[n-1] > indent; n-- {
		s.indents, popped = s.indents[:n-1], true
	}
	n := len(s.indents)
	if n == 0 || s.indents[n-1] < indent {
		if popped && s.uneven == 0 {
			s.uneven = number
		}
		s.indents = append(s.indents, indent)
	}
	for strings.HasPrefix(body, "- ") {
		rest := strings.TrimLeft(body[1:], " ")
		indent += len(body) - len(rest)
		s.indents, body = append(s.indents, indent), rest
	}
	if len(s.indents) > maxNesting && s.tooDeep.line == 0 {
		s.tooDeep = at
	}
}

// inQuote moves over one character inside quotes, or closes them.
func (s *syntaxScan) inQuote(line string, i int) int {
	switch {
	case s.quote == '"' && line[i] == '\\':
		return i + 1
	case s.quote == '\'' && strings.HasPrefix(line[i:], "''"):
		return i + 1
	case line[i] == s.quote:
		s.quote = 0
	}
	return i
}

// startsValue reports whether a value may begin after the character at i.
func startsValue(line string, i int, inFlow, before bool) bool {
	switch c := line[i]; {
	case c == ' ' || c == '\t':
		return before
	case c == ':' || before && (c == '-' || c == '?'):
		return i+1 >= len(line) || line[i+1] == ' ' || line[i+1] == '\t'
	case inFlow:
		return c == ',' || c == '[' || c == '{'
	}
	return false
}
