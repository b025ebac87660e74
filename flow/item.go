package flow

import (
	"bytes"
	"unicode/utf8"
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
	raw, err := EncodeJSON(v)
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
	return DecodeJSON(it.raw)
}

// arguments are the item as a part of a key.
func (it item) arguments() (KeyKind, any, error) {
	switch {
	case it.form == noItem:
		return KeyNone, nil, nil
	case it.form == textItem && utf8.Valid(it.raw):
		return KeyText, string(it.raw), nil
	case it.form == textItem:
		return KeyBytes, it.raw, nil
	}
	v, err := DecodeJSON(it.raw)
	return KeyJSON, v, err
}

// appendJSON appends the item as an element of a JSON list.
func (it item) appendJSON(dst []byte) ([]byte, error) {
	switch it.form {
	case noItem:
		return append(dst, "null"...), nil
	case jsonItem:
		return append(dst, it.raw...), nil
	}
	text, err := EncodeJSON(string(it.raw))
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
		if _, err := DecodeJSON(p); err != nil {
			return item{}, err
		}
		return item{p, jsonItem}, nil
	case LinesOutput:
		return itemOf(Lines(string(p)))
	}
	return item{trimNewline(p), textItem}, nil
}

// trimNewline takes off one final line end.
func trimNewline(p []byte) []byte {
	if rest, ok := bytes.CutSuffix(p, []byte("\n")); ok {
		return bytes.TrimSuffix(rest, []byte("\r"))
	}
	return p
}
