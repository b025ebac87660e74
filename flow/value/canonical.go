package value

import (
	"encoding/json"
	"fmt"
	"math"
	"math/big"
	"slices"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/gowebpki/jcs"

	"github.com/geartrain/geartrain/flow/wording"
)

// Canonical is the value in the one form that keys are computed from: RFC 8785, the JSON
// Canonicalization Scheme, with one extension. The scheme knows numbers only as doubles, so beyond
// 2^53 two neighbouring whole numbers would be written alike. Here
//
//   - a number written as a whole number (no fraction, no exponent) stands as all its digits, however large;
//   - a double with a whole value from 2^53 up to below 1e21 stands as all its digits too.
//
// For every other value the bytes are those of RFC 8785. Different values never have the same bytes;
// the order of a map's keys never matters. NaN, infinities, and text that is not UTF-8 are errors.
func Canonical(v any) ([]byte, error) {
	v, err := Normalize(v)
	if err != nil {
		return nil, err
	}
	return AppendCanonical(nil, v)
}

// AppendCanonical appends the canonical form of a value that is in the form of this package.
func AppendCanonical(b []byte, v any) ([]byte, error) {
	switch v := v.(type) {
	case nil:
		return append(b, "null"...), nil
	case bool:
		return strconv.AppendBool(b, v), nil
	case int:
		return strconv.AppendInt(b, int64(v), 10), nil
	case json.Number:
		return append(b, v...), nil
	case float64:
		return appendCanonicalFloat(b, v)
	case string:
		return AppendCanonicalText(b, v)
	case []any:
		return appendCanonicalList(b, v)
	case map[string]any:
		return appendCanonicalMap(b, v)
	}
	return nil, fmt.Errorf("%T is not a JSON value", v)
}

func appendCanonicalFloat(b []byte, f float64) ([]byte, error) {
	if a := math.Abs(f); a >= 1<<53 && a < 1e21 {
		whole, _ := new(big.Float).SetFloat64(f).Int(nil)
		return whole.Append(b, 10), nil
	}
	text, err := jcs.NumberToJSON(f)
	if err != nil {
		return nil, fmt.Errorf("%v is not a JSON number", f)
	}
	return append(b, text...), nil
}

// AppendCanonicalText appends the canonical form of a text.
func AppendCanonicalText(b []byte, s string) ([]byte, error) {
	if !utf8.ValidString(s) {
		return nil, fmt.Errorf("text is not UTF-8: %q", wording.Shorten(s, 40))
	}
	b = append(b, '"')
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '"' || c == '\\':
			b = append(b, '\\', c)
		case c >= 0x20:
			b = append(b, c)
		case c >= '\b' && c <= '\r' && c != '\v':
			b = append(b, '\\', "btn?fr"[c-'\b'])
		default:
			b = fmt.Appendf(b, `\u%04x`, c)
		}
	}
	return append(b, '"'), nil
}

func appendCanonicalList(b []byte, list []any) (_ []byte, err error) {
	b = append(b, '[')
	for i, v := range list {
		if i > 0 {
			b = append(b, ',')
		}
		if b, err = AppendCanonical(b, v); err != nil {
			return nil, err
		}
	}
	return append(b, ']'), nil
}

func appendCanonicalMap(b []byte, m map[string]any) (_ []byte, err error) {
	keys := make([]string, 0, len(m))
	for key := range m {
		keys = append(keys, key)
	}
	slices.SortFunc(keys, compareUTF16)
	b = append(b, '{')
	for i, key := range keys {
		if i > 0 {
			b = append(b, ',')
		}
		if b, err = AppendCanonicalText(b, key); err != nil {
			return nil, err
		}
		b = append(b, ':')
		if b, err = AppendCanonical(b, m[key]); err != nil {
			return nil, err
		}
	}
	return append(b, '}'), nil
}

// compareUTF16 orders by UTF-16 code units, as RFC 8785 asks; it differs from the order of bytes
// only between characters beyond U+FFFF and those from U+E000 to U+FFFF.
func compareUTF16(a, b string) int {
	if isASCII(a) && isASCII(b) {
		return strings.Compare(a, b)
	}
	return slices.Compare(utf16.Encode([]rune(a)), utf16.Encode([]rune(b)))
}

func isASCII(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}
