package expression

import (
	"strings"
	"unicode/utf8"
)

// textPiece is a part of a string: plain text, or what stands between ${{ and }}.
type textPiece struct {
	text         string
	offset       int // in characters from the start of the string
	isExpression bool
}

// splitText takes a string apart at its expressions. The }} that ends one is found outside of
// quotes and of the maps {...} that the expression itself writes.
func splitText(s string) ([]textPiece, error) {
	var pieces []textPiece
	rest, offset := s, 0
	for {
		before, after, found := strings.Cut(rest, "${{")
		if before != "" {
			pieces = append(pieces, textPiece{text: before, offset: offset})
		}
		if !found {
			return pieces, nil
		}
		offset += utf8.RuneCountInString(before)
		n := End(after)
		if n < 0 {
			return nil, &Error{Offset: offset, Message: `"${{" without "}}"`}
		}
		pieces = append(pieces, textPiece{text: after[:n], offset: offset + 3, isExpression: true})
		offset += 3 + utf8.RuneCountInString(after[:n]) + 2
		rest = after[n+2:]
	}
}

// End is where }} closes the expression that s begins with, or -1.
func End(s string) int {
	depth, quote := 0, byte(0)
	for i := 0; i < len(s); i++ {
		c := s[i]
		switch {
		case quote != 0:
			skip, open := passQuoted(c, quote)
			i, quote = i+skip, open
		case c == '\'' || c == '"' || c == '`':
			quote = c
		case c == '{':
			depth++
		case c == '}' && depth > 0:
			depth--
		case c == '}' && strings.HasPrefix(s[i:], "}}"):
			return i
		}
	}
	return -1
}

// passQuoted is for going over a text that begins with quote, character by character: how many characters
// behind c do not count, and the quote that is open after it, 0 for none.
func passQuoted[C byte | rune](c, quote C) (skip int, open C) {
	switch {
	case c == '\\' && quote != '`':
		return 1, quote
	case c == quote:
		return 0, 0
	}
	return 0, quote
}
