package wording

import "unicode/utf8"

// Shorten keeps a message readable when what it quotes is not.
func Shorten(s string, n int) string {
	if utf8.RuneCountInString(s) <= n {
		return s
	}
	return string([]rune(s)[:n]) + "..."
}
