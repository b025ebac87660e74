package flow

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"
)

// reportSyntax turns the YAML parser's error, which has at best a line, into a problem with a
// place. The usual mistakes are looked for in the source first.
func reportSyntax(source string, err error, ps *problems) {
	s := newSyntaxScan(source)
	if s.scan(); s.found {
		ps.add(s.at, s.rule, s.message, s.hint)
		return
	}
	line, message := parserError(err)
	if line > len(ps.lines) {
		line = len(ps.lines)
	}
	line = max(line, 1)
	at := span{line: line, column: 1}
	text := ps.line(line)
	indent := len(text) - len(strings.TrimLeft(text, " "))
	at.column = indent + 1
	hint := ""
	switch {
	case strings.Contains(message, "mapping values are not allowed"):
		hint = `a ": " inside a value needs quotes around the value`
		if _, after, ok := strings.Cut(text, ": "); ok {
			if i := strings.Index(after, ": "); i >= 0 {
				at.column = utf8.RuneCountInString(text[:len(text)-len(after)+i]) + 1
			}
		}
	case strings.Contains(message, "cannot start any token"):
		hint = "values that begin with @ ` or % need quotes"
	case strings.Contains(message, "did not find expected key"), strings.Contains(message, "did not find expected '-'"):
		hint = "look at the indentation of this line and those before it"
	}
	at.end = utf8.RuneCountInString(text) + 1
	ps.add(at, "yaml-syntax", message, hint)
}

var parserLine = regexp.MustCompile(`^(?:yaml: )?(?:line (\d+): )?`)

func parserError(err error) (line int, message string) {
	text := err.Error()
	m := parserLine.FindStringSubmatch(text)
	line, _ = strconv.Atoi(m[1]) // none: 0
	message = shorten(text[len(m[0]):], 200)
	if i := strings.LastIndex(message, "did not find expected"); i > 0 {
		message = message[i:]
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
	block   int // the indentation that a block's lines are deeper than; -1: no block

	found         bool
	at            span
	rule, message string
	hint          string
}

func newSyntaxScan(source string) *syntaxScan {
	return &syntaxScan{lines: strings.Split(source, "\n"), block: -1}
}

func (s *syntaxScan) scan() {
	for i, line := range s.lines {
		s.line(i+1, strings.TrimSuffix(line, "\r"))
		if s.found {
			return
		}
	}
	switch {
	case s.quote != 0:
		s.report(s.quoteAt, "yaml-syntax", fmt.Sprintf("the quote %c is never closed", s.quote), "")
	case len(s.flow) > 0:
		s.report(s.flow[len(s.flow)-1], "yaml-syntax", "the bracket is never closed", "")
	}
}

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
	if s.quote == 0 && len(s.flow) == 0 && strings.HasPrefix(body, "\t") && strings.TrimSpace(body) != "" && body[0] != '#' {
		s.report(span{number, indent + 1, indent + 2}, "yaml-syntax", "a tab in the indentation", "YAML is indented with spaces")
		return
	}
	start := true // a value may begin here
	for i := indent; i < len(line); i++ {
		at := span{line: number, column: utf8.RuneCountInString(line[:i]) + 1}
		if s.quote != 0 {
			i = s.inQuote(line, i)
			continue
		}
		c := line[i]
		switch {
		case c == '#' && (i == 0 || line[i-1] == ' ' || line[i-1] == '\t'):
			return
		case len(s.flow) > 0 && strings.HasPrefix(line[i:], "${{"):
			at.end = at.column + 3
			s.report(at, "flow-expression", `"${{" inside {...} or [...] needs quotes`, `write "${{ ... }}"`)
			return
		case start && (c == '\'' || c == '"'):
			s.quote, s.quoteAt = c, at
		case (c == '{' || c == '[') && (start || len(s.flow) > 0):
			s.flow = append(s.flow, at)
		case (c == '}' || c == ']') && len(s.flow) > 0:
			s.flow = s.flow[:len(s.flow)-1]
		case start && (c == '|' || c == '>') && len(s.flow) == 0:
			s.block = indent
			return
		}
		start = startsValue(line, i, len(s.flow) > 0, start)
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
