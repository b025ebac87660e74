package cassette

import (
	"bytes"
	"cmp"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"unicode/utf8"

	"github.com/geartrain/geartrain/flow"
	"github.com/geartrain/geartrain/flow/value"
)

// line is a recording as it stands in a file. One of JSON, Text, Bytes and Failed is set.
type line struct {
	Task      *StageInfo      `json:"task,omitempty"` // of a job with another function or version than the first
	Key       string          `json:"key,omitempty"`  // absent in a line that somebody wrote: that of the arguments
	Kind      flow.KeyKind    `json:"kind,omitempty"` // of the arguments; absent: as they look
	Arguments json.RawMessage `json:"arguments"`

	JSON   json.RawMessage `json:"json,omitempty"` // a result that is JSON and in this very form
	Text   *string         `json:"text,omitempty"`
	Bytes  []byte          `json:"bytes,omitempty"` // a result that is no UTF-8 text
	Failed *failure        `json:"failed,omitempty"`
}

// newEnd is an end without a result yet.
func newEnd(info StageInfo, arguments flow.Datum) (*end, error) {
	e := &end{info: info, kind: arguments.Kind}
	parts := flow.KeyParts{Function: info.Function, Version: info.Version, Kind: arguments.Kind}
	switch arguments.Kind {
	case flow.KeyJSON:
		v, err := value.DecodeJSON(arguments.Raw)
		if err != nil {
			return nil, err
		}
		parts.Arguments, e.arguments = v, v
	case flow.KeyText:
		parts.Arguments, e.arguments = string(arguments.Raw), string(arguments.Raw)
	case flow.KeyBytes:
		parts.Arguments, e.arguments = arguments.Raw, base64.StdEncoding.EncodeToString(arguments.Raw)
	}
	canonical, err := value.Canonical(e.arguments)
	if err != nil {
		return nil, err
	}
	e.canonical = string(canonical)
	e.key, err = parts.Key()
	return e, err
}

// sorted is the recordings in the order of their arguments.
func (t *track) sorted() []*end {
	all := make([]*end, 0, len(t.ends))
	for _, e := range t.ends {
		all = append(all, e)
	}
	slices.SortFunc(all, func(a, b *end) int {
		return cmp.Or(cmp.Compare(a.canonical, b.canonical), cmp.Compare(a.kind, b.kind), cmp.Compare(a.key, b.key))
	})
	return all
}

// line is the end as it is written in a track of this function and version.
func (e *end) line(info StageInfo) line {
	l := line{Key: e.key, Arguments: json.RawMessage(e.canonical), Failed: e.failed}
	if e.kind != looksLike(e.arguments) {
		l.Kind = e.kind
	}
	if e.info != info {
		l.Task = &e.info
	}
	result := withoutLineEnd(e.result)
	switch {
	case e.failed != nil:
	case isCompactJSON(result):
		l.JSON = result
	case utf8.Valid(result):
		text := string(result)
		l.Text = &text
	default:
		l.Bytes = result
	}
	return l
}

// withoutLineEnd takes off the one final line end that is no part of a result, unless another one before it
// would then be taken for it.
func withoutLineEnd(p []byte) []byte {
	rest, ok := bytes.CutSuffix(p, []byte("\n"))
	if !ok || bytes.HasSuffix(rest, []byte("\n")) || bytes.HasSuffix(rest, []byte("\r")) {
		return p
	}
	return rest
}

// looksLike is the kind of arguments that nobody named.
func looksLike(v any) flow.KeyKind {
	switch v.(type) {
	case nil:
		return flow.KeyNone
	case string:
		return flow.KeyText
	}
	return flow.KeyJSON
}

// isCompactJSON reports whether a result is a map or a list that looks the same when it is written as
// JSON. Anything else is better read as text.
func isCompactJSON(p []byte) bool {
	if len(p) == 0 || p[0] != '{' && p[0] != '[' || !json.Valid(p) {
		return false
	}
	again, err := value.EncodeJSON(json.RawMessage(p))
	return err == nil && bytes.Equal(again, p)
}

// end is what a line says.
func (l *line) end(info StageInfo) (*end, error) {
	datum, err := l.datum()
	if err != nil {
		return nil, fmt.Errorf("arguments: %w", err)
	}
	if l.Task != nil {
		info = *l.Task
	}
	e, err := newEnd(info, datum)
	if err != nil {
		return nil, err
	}
	if l.Key != "" && l.Key != e.key {
		return nil, errors.New("the key is not that of these arguments; in a line that was changed by hand, leave the key out")
	}
	count := 0
	if l.JSON != nil {
		e.result, count = l.JSON, count+1
	}
	if l.Text != nil {
		e.result, count = []byte(*l.Text), count+1
	}
	if l.Bytes != nil {
		e.result, count = l.Bytes, count+1
	}
	if l.Failed != nil {
		e.failed, count = l.Failed, count+1
	}
	if count != 1 {
		return nil, errors.New("want one of json, text, bytes and failed")
	}
	return e, nil
}

func (l *line) datum() (flow.Datum, error) {
	v, err := value.DecodeJSON(l.Arguments)
	if err != nil {
		return flow.Datum{}, err
	}
	kind := cmp.Or(l.Kind, looksLike(v))
	text, isText := v.(string)
	switch {
	case kind == flow.KeyJSON:
		return flow.Datum{Kind: kind, Raw: l.Arguments}, nil
	case kind == flow.KeyText && isText:
		return flow.Datum{Kind: kind, Raw: []byte(text)}, nil
	case kind == flow.KeyNone && v == nil:
		return flow.Datum{Kind: kind}, nil
	case kind == flow.KeyBytes && isText:
		raw, err := base64.StdEncoding.DecodeString(text)
		return flow.Datum{Kind: kind, Raw: raw}, err
	}
	return flow.Datum{}, fmt.Errorf("%s is not of kind %q", l.Arguments, kind)
}
