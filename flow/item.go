package flow

import (
	"bytes"
	"encoding/json"
	"fmt"

	"github.com/geartrain/geartrain/flow/expression"
	"github.com/geartrain/geartrain/flow/value"
)

// item is what a job is made for, and also what it is given: some text, or a JSON value. It is kept
// as bytes, so that what one stage gave can be the next one's payload without being decoded. The
// zero item is none.
type item struct {
	raw  []byte
	form form
}

// form is how an item's bytes are read.
type form uint8

const (
	noItem   form = iota
	textItem      // text, or any bytes
	jsonItem      // one JSON value
)

// itemOf is the item of a JSON value: a string is text, all else JSON.
func itemOf(v any) (item, error) {
	if text, ok := v.(string); ok {
		return item{[]byte(text), textItem}, nil
	}
	raw, err := value.EncodeJSON(v)
	return item{raw, jsonItem}, err
}

// value is the item as a JSON value.
func (it item) value() (any, error) {
	switch it.form {
	case noItem:
		return nil, nil
	case textItem:
		return string(it.raw), nil
	}
	return value.DecodeJSON(it.raw)
}

// elements are the items of a list.
func (it item) elements() ([]item, error) {
	v, err := it.value()
	list, ok := v.([]any)
	if err == nil && !ok {
		err = fmt.Errorf("flatten: want a list, not %s", value.Describe(v))
	}
	items := make([]item, len(list))
	for i := range list {
		if err == nil {
			items[i], err = itemOf(list[i])
		}
	}
	return items, err
}

// appendJSON appends the item as an element of a JSON list.
func (it item) appendJSON(dst []byte) ([]byte, error) {
	switch it.form {
	case noItem:
		return append(dst, "null"...), nil
	case jsonItem:
		return append(dst, it.raw...), nil
	}
	text, err := value.EncodeJSON(string(it.raw))
	return append(dst, text...), err
}

// form is how the results of an encoding are kept: lines have become a JSON list.
func (e Encoding) form() form {
	if e == TextOutput {
		return textItem
	}
	return jsonItem
}

// read makes a stage's result of what a worker sent. The bytes are used, not copied.
func (e Encoding) read(p []byte) (item, error) {
	switch e {
	case JSONOutput:
		p = bytes.TrimSpace(p)
		if json.Valid(p) && isPlainJSON(p) {
			return item{p, jsonItem}, nil
		}
		_, err := value.DecodeJSON(p)
		return item{p, jsonItem}, err
	case LinesOutput:
		return itemOf(expression.Lines(string(p)))
	}
	return item{trimNewline(p), textItem}, nil
}

// isPlainJSON reports whether valid JSON is surely a value: not nested too deep, and without numbers that
// may be out of range, which are those with an exponent or very many digits.
func isPlainJSON(p []byte) bool {
	depth, digits := 0, 0
	for i := 0; i < len(p); i++ {
		c := p[i]
		switch {
		case c >= '0' && c <= '9':
			digits++
		case digits > 0 && (c == 'e' || c == 'E'):
			return false
		case c == '"':
			i += textLength(p[i:]) - 1
		case c == '[' || c == '{':
			depth++
		case c == ']' || c == '}':
			depth--
		case c == ',':
			digits = 0
		}
		if depth > value.MaxDepth || digits > 300 {
			return false
		}
	}
	return true
}

// textLength is how many bytes the text at the start of valid JSON has, quotes included.
func textLength(p []byte) int {
	for i := 1; i < len(p); i++ {
		switch p[i] {
		case '\\':
			i++
		case '"':
			return i + 1
		}
	}
	return len(p)
}

// trimNewline takes off one final line end.
func trimNewline(p []byte) []byte {
	if rest, ok := bytes.CutSuffix(p, []byte("\n")); ok {
		return bytes.TrimSuffix(rest, []byte("\r"))
	}
	return p
}
