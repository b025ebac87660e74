package value

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"reflect"
	"strconv"
	"strings"

	"github.com/gowebpki/jcs"
)

// MaxDepth is how deep lists and maps may be nested in a value.
const MaxDepth = 200

// DecodeJSON reads one JSON text as a value in the form of this package. Text after it is an error.
func DecodeJSON(text []byte) (any, error) {
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		return nil, fmt.Errorf("not JSON: %w", err)
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, fmt.Errorf("not JSON: more text after the value, at byte %d", d.InputOffset())
	}
	return Normalize(v)
}

// EncodeJSON is the value as JSON on one line, with map keys in order.
func EncodeJSON(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return nil, fmt.Errorf("encode JSON: %w", err)
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}

// Text is how a value stands inside text: a string as it is, null as nothing, all else as JSON.
func Text(v any) (string, error) {
	switch v := v.(type) {
	case nil:
		return "", nil
	case string:
		return v, nil
	case float64:
		return jcs.NumberToJSON(v)
	}
	b, err := EncodeJSON(v)
	return string(b), err
}

// Normalize brings what Go code and expressions produce into the form of this package. Lists and maps that
// are in that form already are returned as they are, not copied.
func Normalize(v any) (any, error) { return normalizeWithin(v, 0) }

// normalizeWithin takes a value that is nested so deep.
func normalizeWithin(v any, depth int) (any, error) {
	if depth > MaxDepth {
		return nil, fmt.Errorf("value is nested more than %d deep", MaxDepth)
	}
	switch v := v.(type) {
	case nil, bool, string, int:
		return v, nil
	case json.Number:
		return NormalizeNumber(v)
	case float64:
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return nil, fmt.Errorf("%v is not a JSON number", v)
		}
		return v, nil
	case []any:
		return normalizeList(v, depth)
	case map[string]any:
		return normalizeMap(v, depth)
	}
	return normalizeOther(reflect.ValueOf(v), depth)
}

func normalizeList(list []any, depth int) (any, error) {
	out := list
	for i, old := range list {
		v, err := normalizeWithin(old, depth+1)
		if err != nil {
			return nil, err
		}
		if isSame(v, old) {
			continue
		}
		if &out[0] == &list[0] {
			out = append([]any(nil), list...)
		}
		out[i] = v
	}
	return out, nil
}

func normalizeMap(m map[string]any, depth int) (any, error) {
	out, copied := m, false
	for key, old := range m {
		v, err := normalizeWithin(old, depth+1)
		if err != nil {
			return nil, err
		}
		if isSame(v, old) {
			continue
		}
		if !copied {
			out, copied = make(map[string]any, len(m)), true
			for k, v := range m {
				out[k] = v
			}
		}
		out[key] = v
	}
	return out, nil
}

// isSame reports whether normalizing gave back what it was given.
func isSame(a, b any) bool {
	switch a := a.(type) {
	case []any:
		b, ok := b.([]any)
		return ok && len(a) == len(b) && (len(a) == 0 || &a[0] == &b[0])
	case map[string]any:
		b, ok := b.(map[string]any)
		return ok && reflect.ValueOf(a).Pointer() == reflect.ValueOf(b).Pointer()
	}
	return a == b
}

// NormalizeNumber is a number as JSON writes it in the form of this package.
func NormalizeNumber(n json.Number) (any, error) {
	text := n.String()
	if !IsNumber(text) {
		return nil, fmt.Errorf("%q is not a JSON number", text)
	}
	if !strings.ContainsAny(text, ".eE") {
		if i, err := strconv.Atoi(text); err == nil {
			return i, nil
		}
		return n, nil
	}
	f, err := strconv.ParseFloat(text, 64)
	if err != nil {
		return nil, fmt.Errorf("%s is out of the range of numbers", text)
	}
	return f, nil
}

// IsNumber reports whether a text is a number as JSON writes it; 010, 1_000, .5 and 0x1F are not.
func IsNumber(text string) bool {
	if text == "" || !strings.ContainsRune("-0123456789", rune(text[0])) || text[len(text)-1] <= ' ' {
		return false
	}
	return json.Valid([]byte(text))
}

// normalizeOther takes the Go types that are no JSON values but stand for one.
func normalizeOther(v reflect.Value, depth int) (any, error) {
	switch v.Kind() {
	case reflect.String:
		return v.String(), nil
	case reflect.Bool:
		return v.Bool(), nil
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return NormalizeNumber(json.Number(strconv.FormatInt(v.Int(), 10)))
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return NormalizeNumber(json.Number(strconv.FormatUint(v.Uint(), 10)))
	case reflect.Float32, reflect.Float64:
		return normalizeWithin(v.Float(), depth)
	case reflect.Slice, reflect.Array:
		if v.Type().Elem().Kind() == reflect.Uint8 {
			break
		}
		list := make([]any, v.Len())
		for i := range list {
			list[i] = v.Index(i).Interface()
		}
		return normalizeList(list, depth)
	case reflect.Map:
		if v.Type().Key().Kind() != reflect.String {
			break
		}
		m := make(map[string]any, v.Len())
		for it := v.MapRange(); it.Next(); {
			m[it.Key().String()] = it.Value().Interface()
		}
		return normalizeMap(m, depth)
	}
	return nil, fmt.Errorf("%s is not a JSON value", v.Type())
}

// Describe names a value's type as the pipeline's author knows it.
func Describe(v any) string {
	switch v.(type) {
	case nil:
		return "null"
	case bool:
		return "a boolean"
	case string:
		return "text"
	case []any:
		return "a list"
	case map[string]any:
		return "a map"
	}
	return "a number"
}

// Number is a number's value as a double, unless it is too large to be computed with.
func Number(v any) (float64, bool) {
	switch v := v.(type) {
	case int:
		return float64(v), true
	case float64:
		return v, true
	}
	return 0, false
}
