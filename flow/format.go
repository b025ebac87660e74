package flow

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"time"
	"unicode"

	"github.com/geartrain/geartrain/flow/expression"
	"github.com/geartrain/geartrain/flow/value"
)

// Format is the plan as indented JSON, the same for equal plans, whatever form they were written in.
// Names are as in YAML, durations are text, templates stand as they were written, and what has its
// zero value is left out.
func Format(p *Plan) (string, error) {
	text, err := value.EncodeJSON(plain(reflect.ValueOf(*p)))
	if err != nil {
		return "", fmt.Errorf("format plan %s: %w", p.Name, err)
	}
	var b bytes.Buffer
	if err := json.Indent(&b, text, "", "  "); err != nil {
		return "", fmt.Errorf("format plan %s: %w", p.Name, err)
	}
	b.WriteByte('\n')
	return b.String(), nil
}

// MarshalJSON gives the plan as [Format] does, on one line.
func (p *Plan) MarshalJSON() ([]byte, error) {
	return value.EncodeJSON(plain(reflect.ValueOf(*p)))
}

// String is the kind as a word.
func (k InputKind) String() string {
	switch k {
	case Once:
		return "once"
	case FromValue:
		return "value"
	case FromStages:
		return "stages"
	}
	return "input"
}

// plain turns the plan's types into JSON values.
func plain(v reflect.Value) any {
	if v.CanInterface() {
		switch x := v.Interface().(type) {
		case expression.Template:
			return x.Source()
		case time.Duration:
			return expression.FormatDuration(x)
		case fmt.Stringer:
			return x.String()
		}
	}
	switch v.Kind() {
	case reflect.Struct:
		return plainStruct(v)
	case reflect.Pointer, reflect.Interface:
		if v.IsNil() {
			return nil
		}
		return plain(v.Elem())
	case reflect.Slice:
		list := make([]any, v.Len())
		for i := range list {
			list[i] = plain(v.Index(i))
		}
		return list
	case reflect.Map:
		m := make(map[string]any, v.Len())
		for it := v.MapRange(); it.Next(); {
			m[it.Key().String()] = plain(it.Value())
		}
		return m
	}
	return v.Interface()
}

// plainStruct leaves out zero fields, and functions, which cannot be compared.
func plainStruct(v reflect.Value) map[string]any {
	m := map[string]any{}
	for i := range v.NumField() {
		field := v.Type().Field(i)
		value := v.Field(i)
		isEmpty := value.IsZero() || (value.Kind() == reflect.Map || value.Kind() == reflect.Slice) && value.Len() == 0
		if !field.IsExported() || field.Type.Kind() == reflect.Func || isEmpty {
			continue
		}
		m[snake(field.Name)] = plain(value)
	}
	return m
}

// snake turns MaxParallel into max_parallel.
func snake(name string) string {
	var b strings.Builder
	for i, r := range name {
		if unicode.IsUpper(r) && i > 0 {
			b.WriteByte('_')
		}
		b.WriteRune(unicode.ToLower(r))
	}
	return b.String()
}
