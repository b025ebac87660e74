package document

import (
	"fmt"
	"regexp"
	"strings"
	"unicode/utf8"

	"github.com/geartrain/geartrain/flow/wording"
)

// syntaxScan reads YAML only as far as is needed to say where a mistake begins: quotes, brackets,
// comments, blocks of text and indentation.
type syntaxScan struct {
	lines   []string
	flow    []bracket // those that are open
	quote   byte      // the quote that is open, or 0
	quoteAt Span
	block   int   // the indentation that a block's lines are deeper than; -1: no block
	indents []int // of the lines that this one is inside of

	afterValue bool // a bracket was closed just now on this line, and none is open

	expressions []flowExpression // those inside brackets, where they need quotes

	uneven        int  // the first line whose indentation is that of no line before it; 0: none
	tooDeep       Span // where the nesting is over the limit; line 0: nowhere
	found         bool
	at            Span
	rule, message string
	hint          string
}

type bracket struct {
	at   Span
	char byte
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
		open := s.flow[len(s.flow)-1]
		s.report(open.at, "yaml-syntax", fmt.Sprintf("the bracket %c is never closed", open.char), "")
	}
}

// bracket is the innermost one that is open.
func (s *syntaxScan) bracket() byte { return s.flow[len(s.flow)-1].char }

// report notes the first mistake.
func (s *syntaxScan) report(at Span, rule, message, hint string) {
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
	s.afterValue = false
	start, column := true, indent // start: a value may begin here
	for i := indent; i < len(line); i++ {
		if utf8.RuneStart(line[i]) {
			column++
		}
		if s.quote != 0 {
			end := s.inQuote(line, i, Span{Line: number, Column: column, End: column + 1})
			column += end - i
			i = end
			continue
		}
		at := Span{Line: number, Column: column, End: column + 1}
		if c := line[i]; c == '#' && (i == 0 || line[i-1] == ' ' || line[i-1] == '\t') {
			return
		}
		s.misplaced(line, i, at, start)
		if len(s.flow) > 0 && strings.HasPrefix(line[i:], "${{") {
			at.End = at.Column + 3
			if end := s.expression(line, i, at); end > i {
				column += utf8.RuneCountInString(line[i:end]) - 1
				i = end - 1
				start = false
				continue
			}
		}
		if isBlock := s.opens(line[i], at, start); isBlock {
			s.block = indent
			return
		}
		start = startsValue(line, i, len(s.flow) > 0, start)
	}
}

// opens takes the characters that open and close quotes, brackets and blocks.
func (s *syntaxScan) opens(c byte, at Span, start bool) (isBlock bool) {
	switch {
	case start && (c == '\'' || c == '"'):
		s.quote, s.quoteAt = c, at
	case (c == '{' || c == '[') && (start || len(s.flow) > 0):
		s.flow = append(s.flow, bracket{at, c})
		if len(s.flow) > maxNesting && s.tooDeep.Line == 0 {
			s.tooDeep = at
		}
	case (c == '}' || c == ']') && len(s.flow) > 0:
		if s.flow = s.flow[:len(s.flow)-1]; len(s.flow) == 0 {
			s.afterValue = true
		}
	}
	return start && (c == '|' || c == '>') && len(s.flow) == 0
}

// indentation follows the indentation of lines that are not inside quotes, brackets or blocks.
func (s *syntaxScan) indentation(number, indent int, body string) {
	at := Span{number, indent + 1, indent + 2}
	switch {
	case body[0] == '\t':
		s.report(at, "yaml-syntax", "a tab in the indentation", "YAML is indented with spaces")
		return
	case dashedKey.MatchString(body):
		s.report(at, "yaml-syntax", "a dash without a space after it", "write - "+wording.Shorten(body[1:], 40))
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
	if len(s.indents) > maxNesting && s.tooDeep.Line == 0 {
		s.tooDeep = at
	}
}

// inQuote moves over one character inside quotes, or closes them.
func (s *syntaxScan) inQuote(line string, i int, at Span) int {
	switch {
	case s.quote == '"' && line[i] == '\\':
		if i+1 < len(line) && strings.IndexByte("0abtnvfre \"/\\N_LPxuU\t", line[i+1]) < 0 {
			at.End++
			s.report(at, "yaml-syntax", fmt.Sprintf("there is no escape \\%c", line[i+1]), `write \\ for a backslash, or use single quotes`)
		}
		return i + 1
	case s.quote == '\'' && strings.HasPrefix(line[i:], "''"):
		return i + 1
	case line[i] == s.quote:
		s.quote = 0
		s.afterQuote(line[i+1:], at)
	}
	return i
}

// afterQuote finds text behind a closing quote: there the quote is one too many, or one was left out
// before.
func (s *syntaxScan) afterQuote(rest string, at Span) {
	rest = strings.TrimLeft(rest, " \t")
	if rest == "" || rest[0] == '#' || rest[0] == ':' || len(s.flow) > 0 && strings.IndexByte(",]}", rest[0]) >= 0 {
		return
	}
	quote := s.quoteAt
	switch {
	case quote.Line < at.Line:
		s.report(quote, "yaml-syntax", fmt.Sprintf("the quote that begins here is closed at line %d, where more text follows", at.Line), "is its end missing?")
	default:
		s.report(at, "yaml-syntax", "more text after the closing quote", `inside single quotes a quote is written '', inside double quotes \"`)
	}
}

// misplaced finds characters that cannot stand where they do.
func (s *syntaxScan) misplaced(line string, i int, at Span, start bool) {
	c := line[i]
	switch {
	case c == ' ' || c == '\t':
		return
	case s.afterValue && c != ':' && c != ',':
		s.report(at, "yaml-syntax", fmt.Sprintf("%q after the closing bracket", line[i:i+1]), "put quotes around a text that begins with a bracket")
	case start && strings.IndexByte("@`%", c) >= 0:
		s.report(at, "yaml-syntax", fmt.Sprintf("a value cannot begin with %c", c), "put quotes around it")
	case start && (c == '*' || c == '&') && (i+1 >= len(line) || !isAnchorByte(line[i+1])):
		s.report(at, "yaml-syntax", fmt.Sprintf("a value cannot begin with %c", c), "put quotes around it")
	}
	s.afterValue = false
}

func isAnchorByte(c byte) bool {
	return c == '_' || c == '-' || c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
}

// dashedKey is an element of a list whose dash has no space.
var dashedKey = regexp.MustCompile(`^-[A-Za-z_][\w-]*:( |$)`)

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
