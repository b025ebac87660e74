package document

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/geartrain/geartrain/flow/wording"
)

// isTooDeep reports nesting that the YAML parser would take minutes for, before it is asked.
func isTooDeep(lines []string, ps *Problems) bool {
	s := newSyntaxScan(lines)
	s.scan()
	if s.tooDeep.Line == 0 {
		return false
	}
	ps.Add(s.tooDeep, "limit", fmt.Sprintf("values are nested more than %d deep", maxNesting), "")
	return true
}

// reportSyntax turns the YAML parser's error, which has at best a line, into a problem with a
// place. The usual mistakes are looked for in the source first.
func reportSyntax(err error, lines []string, ps *Problems) {
	s := newSyntaxScan(lines)
	if s.scan(); s.found {
		ps.Add(s.at, s.rule, s.message, s.hint)
		return
	}
	line, message := parserError(err)
	if strings.HasPrefix(message, "did not find expected") && s.uneven > line {
		line = s.uneven
	}
	line = max(min(line, len(lines)), 1)
	if value := bareFlowValue(lines, line); value.Line > 0 {
		ps.Add(value, "yaml-syntax", "a value inside {...} with quotes, brackets or commas in it", "write quotes around all of it, or each key on a line of its own")
		return
	}
	text := strings.TrimSuffix(lines[line-1], "\r")
	at := Span{Line: line, Column: indentOf(text) + 1}
	hint := ""
	switch {
	case strings.Contains(message, "mapping values are not allowed"):
		if before := keyWithoutColon(lines, line); before.Line > 0 {
			ps.Add(before, "yaml-syntax", "no colon with a space after it", "write NAME: value")
			return
		}
		hint = `a ": " inside a value needs quotes around the value`
		at.Column = secondColon(text, at.Column)
	case strings.HasPrefix(message, "unknown anchor"):
		if alias := aliasOf(message, lines); alias.Line > 0 {
			at, text = alias, lines[alias.Line-1][:alias.End-1]
		}
		hint = "an anchor is written &NAME before the value that it marks, above its first use"
	case strings.Contains(message, "did not find expected"):
		hint = "look at the indentation of this line and those before it"
	}
	at.End = utf8.RuneCountInString(text) + 1
	ps.Add(at, "yaml-syntax", message, hint)
}

// flowValue is a member of a map in {...} whose value has no quotes around it, but has some, or brackets,
// further on, where YAML takes them for its own.
var flowValue = regexp.MustCompile(`[{,]\s*[A-Za-z_][\w-]*:\s+([^\s"'{\[&*|>!%@#][^,{}\[\]"']*["'{\[])`)

// bareFlowValue is the first such value from a line on.
func bareFlowValue(lines []string, line int) Span {
	for n := line; n <= min(len(lines), line+50); n++ {
		text := lines[n-1]
		if m := flowValue.FindStringSubmatchIndex(text); m != nil && !strings.HasPrefix(text[m[2]:], "${{") {
			column := utf8.RuneCountInString(text[:m[2]]) + 1
			return Span{n, column, column + utf8.RuneCountInString(text[m[2]:m[3]])}
		}
	}
	return Span{}
}

func indentOf(line string) int { return len(line) - len(strings.TrimLeft(line, " ")) }

// keyWithoutColon is the line before, when it should have been a key like this one: "name x" or
// "name:x".
func keyWithoutColon(lines []string, line int) Span {
	indent := indentOf(lines[line-1])
	for n := line - 1; n > 0; n-- {
		text := strings.TrimRight(lines[n-1], " \r")
		if body := strings.TrimLeft(text, " -"); body == "" || body[0] == '#' {
			continue
		}
		start := len(text) - len(strings.TrimLeft(text, " -"))
		if start != indent || strings.Contains(text, ": ") || strings.HasSuffix(text, ":") {
			return Span{}
		}
		return Span{n, start + 1, utf8.RuneCountInString(text) + 1}
	}
	return Span{}
}

// aliasOf is where the alias stands that the parser says has no anchor.
func aliasOf(message string, lines []string) Span {
	_, rest, _ := strings.Cut(message, "'")
	name, _, _ := strings.Cut(rest, "'")
	for n, line := range lines {
		if i := strings.Index(line, "*"+name); i >= 0 && name != "" {
			column := utf8.RuneCountInString(line[:i]) + 1
			return Span{n + 1, column, column + 1 + utf8.RuneCountInString(name)}
		}
	}
	return Span{}
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
	message = wording.Shorten(text[len(m[0]):], 200)
	if strings.HasPrefix(message, "did not find expected") {
		line++ // these count lines from 0
	}
	return line, message
}
