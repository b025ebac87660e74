package expression

import (
	"fmt"
	"slices"
	"sort"
	"strings"
	"unicode/utf8"

	"github.com/geartrain/geartrain/flow/value"
)

func lengthOf(_ *work, args []any) (any, error) {
	switch v := args[0].(type) {
	case nil:
		return 0, nil
	case string:
		return utf8.RuneCountInString(v), nil
	case []any:
		return len(v), nil
	case map[string]any:
		return len(v), nil
	}
	return nil, wrongType("len", "text, a list or a map", args[0])
}

func keysOf(w *work, args []any) (any, error) {
	m, ok := args[0].(map[string]any)
	if !ok {
		return nil, wrongType("keys", "a map", args[0])
	}
	if err := w.made(len(m)); err != nil {
		return nil, err
	}
	keys := make([]any, 0, len(m))
	for _, key := range sortedKeys(m) {
		keys = append(keys, key)
	}
	return keys, nil
}

func valuesOf(w *work, args []any) (any, error) {
	m, ok := args[0].(map[string]any)
	if !ok {
		return nil, wrongType("values", "a map", args[0])
	}
	if err := w.made(len(m)); err != nil {
		return nil, err
	}
	values := make([]any, 0, len(m))
	for _, key := range sortedKeys(m) {
		values = append(values, m[key])
	}
	return values, nil
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for key := range m {
		keys = append(keys, key)
	}
	sort.Strings(keys)
	return keys
}

func sumOf(_ *work, args []any) (any, error) {
	list, err := fieldsOf("sum", args)
	if err != nil {
		return nil, err
	}
	var total any = 0
	for _, v := range list {
		if total, err = add(total, v); err != nil {
			return nil, err
		}
	}
	return total, nil
}

func minOf(_ *work, args []any) (any, error) { return extreme("min", -1, args) }
func maxOf(_ *work, args []any) (any, error) { return extreme("max", 1, args) }

// extreme is the smallest or largest; of an empty list null.
func extreme(function string, sign int, args []any) (any, error) {
	list := args
	if _, isList := args[0].([]any); isList {
		if len(args) > 2 {
			return nil, fmt.Errorf("%s wants one list, or numbers", function)
		}
		var err error
		if list, err = fieldsOf(function, args); err != nil {
			return nil, err
		}
	}
	if len(list) == 0 {
		return nil, nil
	}
	best := list[0]
	for _, v := range list {
		order, err := compare(function, v, best)
		if err != nil {
			return nil, err
		}
		if order == sign {
			best = v
		}
	}
	return best, nil
}

func firstOf(_ *work, args []any) (any, error) {
	list, err := listArgument("first", args[0])
	if err != nil || len(list) == 0 {
		return nil, err
	}
	return list[0], nil
}

func lastOf(_ *work, args []any) (any, error) {
	list, err := listArgument("last", args[0])
	if err != nil || len(list) == 0 {
		return nil, err
	}
	return list[len(list)-1], nil
}

// uniqueOf keeps the first of equal elements, or of those with an equal field.
func uniqueOf(w *work, args []any) (any, error) {
	by, err := fieldsOf("unique", args)
	if err != nil {
		return nil, err
	}
	list := args[0].([]any)
	if err := w.made(len(list)); err != nil {
		return nil, err
	}
	seen := make(map[string]bool, len(list))
	out := make([]any, 0, len(list))
	for i, v := range by {
		if err := w.weigh(v, allBytes); err != nil {
			return nil, err
		}
		canonical, err := value.Canonical(v)
		if err != nil {
			return nil, err
		}
		if !seen[string(canonical)] {
			seen[string(canonical)] = true
			out = append(out, list[i])
		}
	}
	return out, nil
}

// sortOf orders texts or numbers, or maps by a field. Equal ones keep their order.
func sortOf(w *work, args []any) (any, error) {
	by, err := fieldsOf("sort", args)
	if err != nil {
		return nil, err
	}
	list := args[0].([]any)
	if err := w.made(len(list)); err != nil {
		return nil, err
	}
	order := make([]int, len(list))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(i, j int) int {
		if err != nil {
			return 0
		}
		if err = w.draw(elementWork + size(by[i])/someBytes); err != nil {
			return 0
		}
		var c int
		c, err = compare("sort", by[i], by[j])
		return c
	})
	if err != nil {
		return nil, err
	}
	out := make([]any, len(list))
	for i, from := range order {
		out[i] = list[from]
	}
	return out, nil
}

// flattenOf joins a list of lists, one level; elements that are no lists stay.
func flattenOf(w *work, args []any) (any, error) {
	list, err := listArgument("flatten", args[0])
	if err != nil {
		return nil, err
	}
	out := make([]any, 0, len(list))
	for _, v := range list {
		inner, ok := v.([]any)
		if !ok {
			inner = []any{v}
		}
		if err := w.made(len(inner)); err != nil {
			return nil, err
		}
		out = append(out, inner...)
	}
	return out, nil
}

// zipOf pairs the elements at the same places, as far as the shortest list goes.
func zipOf(w *work, args []any) (any, error) {
	n := -1
	lists := make([][]any, len(args))
	for i, arg := range args {
		list, err := listArgument("zip", arg)
		if err != nil {
			return nil, err
		}
		lists[i] = list
		if n < 0 || len(list) < n {
			n = len(list)
		}
	}
	if err := w.made(n * (2 + len(lists))); err != nil {
		return nil, err
	}
	out := make([]any, n)
	for i := range out {
		row := make([]any, len(lists))
		for j, list := range lists {
			row[j] = list[i]
		}
		out[i] = row
	}
	return out, nil
}

// containsOf looks for a text in a text, an equal value in a list, or a key in a map.
func containsOf(w *work, args []any) (any, error) {
	switch in := args[0].(type) {
	case string:
		what, err := textArgument("contains", args[1])
		return strings.Contains(in, what), err
	case map[string]any:
		key, err := textArgument("contains", args[1])
		_, ok := in[key]
		return ok, err
	case []any:
		return containsValue(w, in, args[1])
	}
	return nil, wrongType("contains", "text, a list or a map", args[0])
}

func containsValue(w *work, list []any, v any) (any, error) {
	if err := w.weigh(v, allBytes); err != nil {
		return nil, err
	}
	want, err := value.Canonical(v)
	if err != nil {
		return nil, err
	}
	for _, element := range list {
		if err := w.weigh(element, allBytes); err != nil {
			return nil, err
		}
		got, err := value.Canonical(element)
		if err != nil {
			return nil, err
		}
		if string(got) == string(want) {
			return true, nil
		}
	}
	return false, nil
}
