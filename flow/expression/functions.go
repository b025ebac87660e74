package expression

import (
	"cmp"
	"fmt"
	"math"

	"github.com/geartrain/geartrain/flow/value"
)

// function is a function that expressions may call. All are pure. Of the work, do draws what
// goes beyond looking at each argument once.
type function struct {
	usage    string
	min, max int // arguments; max -1: any number
	do       func(w *work, args []any) (any, error)
}

// call is how expr calls it: the work first, then the arguments.
func (f function) call(params ...any) (any, error) {
	if len(params) == 0 {
		return nil, fmt.Errorf("%s needs an argument", f.usage)
	}
	w, ok := params[0].(*work)
	if !ok {
		return nil, fmt.Errorf("%s called without its work", f.usage)
	}
	if err := w.draw(callWork); err != nil {
		return nil, err
	}
	args := make([]any, len(params)-1)
	for i, arg := range params[1:] {
		if text, ok := arg.(string); ok {
			if err := w.draw(len(text)); err != nil {
				return nil, err
			}
		}
		v, err := normalizeCounted(w, arg)
		if err != nil {
			return nil, err
		}
		args[i] = v
	}
	return f.do(w, args)
}

// normalizeCounted draws for the whole value before it is looked at: an expression can make a small
// thing that stands for a very large one.
func normalizeCounted(w *work, v any) (any, error) {
	if err := w.weigh(v, someBytes); err != nil {
		return nil, err
	}
	return value.Normalize(v)
}

// functionTable is the table of all functions by name.
func functionTable() map[string]function {
	return map[string]function{
		"len":      {"len(text, list or map)", 1, 1, lengthOf},
		"keys":     {"keys(map)", 1, 1, keysOf},
		"values":   {"values(map)", 1, 1, valuesOf},
		"sum":      {"sum(list) or sum(list, 'field')", 1, 2, sumOf},
		"min":      {"min(list), min(list, 'field') or min(a, b, ...)", 1, -1, minOf},
		"max":      {"max(list), max(list, 'field') or max(a, b, ...)", 1, -1, maxOf},
		"first":    {"first(list)", 1, 1, firstOf},
		"last":     {"last(list)", 1, 1, lastOf},
		"unique":   {"unique(list) or unique(list, 'field')", 1, 2, uniqueOf},
		"sort":     {"sort(list) or sort(list, 'field')", 1, 2, sortOf},
		"flatten":  {"flatten(list)", 1, 1, flattenOf},
		"zip":      {"zip(list, list, ...)", 2, -1, zipOf},
		"Contains": {"contains(text, list or map, what)", 2, 2, containsOf},

		"lines":      {"lines(text)", 1, 1, linesOf},
		"split":      {"split(text, separator)", 2, 2, splitOf},
		"join":       {"join(list) or join(list, separator)", 1, 2, joinOf},
		"replace":    {"replace(text, old, new)", 3, 3, replaceOf},
		"lower":      {"lower(text)", 1, 1, lowerOf},
		"upper":      {"upper(text)", 1, 1, upperOf},
		"trim":       {"trim(text)", 1, 1, trimOf},
		"StartsWith": {"startsWith(text, start)", 2, 2, startsWithOf},
		"EndsWith":   {"endsWith(text, end)", 2, 2, endsWithOf},
		"format":     {"format('%s has %d', a, b)", 1, -1, formatOf},
		"host":       {"host(address)", 1, 1, hostOf},
		"basename":   {"basename(path)", 1, 1, basenameOf},
		"dirname":    {"dirname(path)", 1, 1, dirnameOf},

		"fromJSON": {"fromJSON(text)", 1, 1, fromJSON},
		"toJSON":   {"toJSON(value)", 1, 1, toJSON},
		"hash":     {"hash(value)", 1, 1, hashOf},
		"default":  {"default(value, other)", 2, 2, defaultOf},
		"date":     {"date(time), date(time, 'YYYY-MM-DD') or date(time, 'YYYY-MM-DD', '-1d')", 1, 3, dateOf},
		"duration": {"duration('5m')", 1, 1, durationOf},
	}
}

// wrongType says what a function wanted and what it was given.
func wrongType(function, wanted string, got any) error {
	return fmt.Errorf("%s wants %s, not %s", function, wanted, value.Describe(got))
}

func textArgument(function string, v any) (string, error) {
	s, ok := v.(string)
	if !ok {
		return "", wrongType(function, "text", v)
	}
	return s, nil
}

func listArgument(function string, v any) ([]any, error) {
	list, ok := v.([]any)
	if !ok {
		return nil, wrongType(function, "a list", v)
	}
	return list, nil
}

// size is how much of a text there is to look at.
func size(v any) int {
	text, _ := v.(string)
	return len(text)
}

// fieldsOf is the list, or with a field's name that field of each of its maps.
func fieldsOf(function string, args []any) ([]any, error) {
	list, err := listArgument(function, args[0])
	if err != nil || len(args) == 1 {
		return list, err
	}
	field, err := textArgument(function, args[1])
	if err != nil {
		return nil, err
	}
	out := make([]any, len(list))
	for i, v := range list {
		m, ok := v.(map[string]any)
		if !ok {
			return nil, fmt.Errorf("%s: element %d is %s and has no %q", function, i, value.Describe(v), field)
		}
		out[i] = m[field]
	}
	return out, nil
}

// add is a + b for numbers; whole numbers stay whole and exact, or it is an error.
func add(a, b any) (any, error) {
	x, xIsInt := a.(int)
	y, yIsInt := b.(int)
	if xIsInt && yIsInt {
		if s := x + y; (s > x) == (y > 0) {
			return s, nil
		}
		return nil, fmt.Errorf("the sum is larger than whole numbers go")
	}
	f, ok := value.Number(a)
	g, ok2 := value.Number(b)
	if !ok || !ok2 {
		return nil, wrongType("sum", "numbers", firstNonNumber(a, b))
	}
	if s := f + g; !math.IsInf(s, 0) {
		return s, nil
	}
	return nil, fmt.Errorf("the sum is larger than numbers go")
}

func firstNonNumber(a, b any) any {
	if _, ok := value.Number(a); !ok {
		return a
	}
	return b
}

// compare orders two numbers or two texts.
func compare(function string, a, b any) (int, error) {
	x, isText := a.(string)
	y, isText2 := b.(string)
	if isText && isText2 {
		return cmp.Compare(x, y), nil
	}
	f, ok := value.Number(a)
	g, ok2 := value.Number(b)
	if !ok || !ok2 {
		return 0, fmt.Errorf("%s cannot order %s and %s", function, value.Describe(a), value.Describe(b))
	}
	if m, ok := a.(int); ok {
		if n, ok := b.(int); ok {
			return cmp.Compare(m, n), nil
		}
	}
	return cmp.Compare(f, g), nil
}
