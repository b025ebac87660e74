package transcript

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Word is one argument as it was written: pieces of known bytes and holes.
type Word []piece

// piece is a part of a word: exactly one of its kinds.
type piece struct {
	text  []byte        // known bytes
	hole  bool          // any bytes; with a name: bound to it
	name  string        // of the hole
	clock bool          // Unix seconds, shift from now
	shift time.Duration // of the clock
}

// Bindings are the values of names, shared by a whole conversation.
type Bindings map[string][]byte

// literal is the word's text when it has no holes, else empty.
func (w Word) literal() string {
	if len(w) == 1 && !w[0].hole && !w[0].clock {
		return string(w[0].text)
	}
	return ""
}

// Expand gives the bytes of a word that is sent. All its names must be bound.
func (w Word) Expand(b Bindings, now time.Time) ([]byte, error) {
	var out []byte
	for _, p := range w {
		value, known := p.value(b, now)
		switch {
		case known:
			out = append(out, value...)
		case p.name != "":
			return nil, fmt.Errorf("$%s is not bound yet", p.name)
		default:
			return nil, errors.New("* cannot be sent")
		}
	}
	return out, nil
}

// Match compares a word with bytes that came, and binds the names that are new. After a mismatch
// nothing is bound.
func (w Word) Match(got []byte, b Bindings, now time.Time) bool {
	if len(w) == 0 {
		return len(got) == 0
	}
	first, rest := w[0], w[1:]
	if value, known := first.value(b, now); known {
		return bytes.HasPrefix(got, value) && rest.Match(got[len(value):], b, now)
	}
	shortest := 0
	if first.name != "" {
		shortest = 1
	}
	for n := len(got); n >= shortest; n-- {
		if first.name != "" {
			b[first.name] = bytes.Clone(got[:n])
		}
		if rest.Match(got[n:], b, now) {
			return true
		}
	}
	delete(b, first.name)
	return false
}

// value is what a piece stands for; known is false for a hole without a value.
func (p *piece) value(b Bindings, now time.Time) (value []byte, known bool) {
	switch {
	case p.clock:
		return strconv.AppendInt(nil, now.Add(p.shift).Unix(), 10), true
	case p.hole && p.name == "":
		return nil, false
	case p.hole:
		value, known = b[p.name]
		return value, known
	}
	return p.text, true
}

// parseWords cuts a line into words.
func parseWords(text string) ([]Word, error) {
	var words []Word
	for {
		text = strings.TrimLeft(text, " \t")
		if text == "" {
			return words, nil
		}
		var w wordReader
		rest, err := w.read(text)
		if err != nil {
			return nil, err
		}
		words = append(words, w.word())
		text = rest
	}
}

// wordReader builds one word.
type wordReader struct {
	pieces Word
	text   []byte // known bytes since the last hole
}

func (w *wordReader) word() Word {
	if len(w.text) > 0 || len(w.pieces) == 0 {
		w.hole(piece{text: w.text})
	}
	return w.pieces
}

// hole ends the known bytes and adds p.
func (w *wordReader) hole(p piece) {
	if len(w.text) > 0 && p.text == nil {
		w.pieces = append(w.pieces, piece{text: w.text})
	}
	w.text = nil
	w.pieces = append(w.pieces, p)
}

// read takes bytes of s up to a blank outside quotes and returns what is left.
func (w *wordReader) read(s string) (rest string, err error) {
	quoted := false
	for s != "" && err == nil {
		c := s[0]
		switch {
		case c == '"':
			quoted = !quoted
			s = s[1:]
		case c == '\\':
			s, err = w.escape(s)
		case quoted:
			w.text = append(w.text, c)
			s = s[1:]
		case c == ' ' || c == '\t':
			return s, nil
		case strings.IndexByte("*$@{", c) >= 0:
			s, err = w.special(s)
		default:
			w.text = append(w.text, c)
			s = s[1:]
		}
	}
	if quoted && err == nil {
		err = errors.New("a quote is not closed")
	}
	return s, err
}

// escape reads a backslash and what belongs to it.
func (w *wordReader) escape(s string) (rest string, err error) {
	if len(s) < 2 {
		return s, errors.New("nothing after a backslash")
	}
	if s[1] == '0' {
		w.text = append(w.text, 0)
		return s[2:], nil
	}
	if strings.IndexByte("\"$*{@ ", s[1]) >= 0 {
		w.text = append(w.text, s[1])
		return s[2:], nil
	}
	c, multi, rest, err := strconv.UnquoteChar(s, 0)
	if err != nil {
		return s, fmt.Errorf("no such escape: %.4s", s)
	}
	if multi {
		w.text = append(w.text, string(c)...)
	} else {
		w.text = append(w.text, byte(c))
	}
	return rest, nil
}

// special reads a hole, a time or a repetition.
func (w *wordReader) special(s string) (rest string, err error) {
	switch s[0] {
	case '*':
		w.hole(piece{hole: true})
		return s[1:], nil
	case '$':
		name, rest := span(s[1:], isName)
		if name == "" {
			return s, errors.New("a name is missing after $")
		}
		w.hole(piece{hole: true, name: name})
		return rest, nil
	case '@':
		shift, rest := span(s[1:], func(c byte) bool { return isName(c) || c == '+' || c == '-' || c == '.' })
		d, err := time.ParseDuration(shift)
		if err != nil {
			return s, err
		}
		w.hole(piece{clock: true, shift: d})
		return rest, nil
	}
	return w.repeat(s)
}

// repeat reads {N}: the last known byte N times.
func (w *wordReader) repeat(s string) (rest string, err error) {
	count, rest, ok := strings.Cut(s[1:], "}")
	n, err := strconv.Atoi(count)
	if !ok || err != nil || n < 1 || n > 1<<24 || len(w.text) == 0 {
		return s, errors.New("a repetition is x{N} with N from 1 to 2^24")
	}
	last := w.text[len(w.text)-1:]
	w.text = append(w.text, bytes.Repeat(last, n-1)...)
	return rest, nil
}

// span cuts the longest beginning of s whose bytes are all in the set.
func span(s string, in func(byte) bool) (head, rest string) {
	n := 0
	for n < len(s) && in(s[n]) {
		n++
	}
	return s[:n], s[n:]
}

func isName(c byte) bool {
	return c == '_' || '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
}
