package document

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// byteOrderMark is what some editors begin a file with. It means nothing in UTF-8.
const byteOrderMark = "\ufeff"

// isReadable refuses what no parser should be given.
func isReadable(source []byte, ps *Problems) bool {
	if len(source) > MaxSize {
		ps.Add(Span{}, "limit", fmt.Sprintf("the file is over %d MiB", MaxSize>>20), "give large lists to a run as a parameter or let a stage make them")
		return false
	}
	line, start := 1, 0
	for i := 0; i < len(source); {
		r, n := utf8.DecodeRune(source[i:])
		message, hint := "", ""
		switch {
		case r == utf8.RuneError && n == 1:
			message = "the file is not UTF-8 text"
		case r < ' ' && r != '\n' && r != '\t' && r != '\r' || r == 0x7f:
			message, hint = fmt.Sprintf("control character U+%04X", r), "in double quotes it can be written as an escape"
		case r == '\n':
			line, start = line+1, i+1
		}
		if message != "" {
			column := utf8.RuneCount(source[start:i]) + 1
			ps.Add(Span{line, column, column + 1}, "yaml-syntax", message, hint)
			return false
		}
		i += n
	}
	return true
}

// sourceLines is the text line by line, as YAML counts them.
func sourceLines(text string) []string {
	text = strings.TrimPrefix(text, byteOrderMark)
	if strings.ContainsAny(text, "\r\u0085\u2028\u2029") {
		text = strings.NewReplacer("\r\n", "\n", "\r", "\n", "\u0085", "\n", "\u2028", "\n", "\u2029", "\n").Replace(text)
	}
	return strings.Split(text, "\n")
}
