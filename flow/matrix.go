package flow

import (
	"fmt"
	"iter"
	"maps"
	"reflect"

	"github.com/geartrain/geartrain/flow/expression"
	"github.com/geartrain/geartrain/flow/value"
)

// matrixItems gives the combinations of a matrix, one after the other, without ever having all
// of them.
func (s *stageRun) matrixItems(m *Matrix) iter.Seq2[incoming, error] {
	templates := []expression.Template{m.Exclude, m.Include}
	for _, axis := range m.Axes {
		templates = append(templates, axis.Values)
	}
	scope := s.run.scope(templates...)
	p := product{}
	for _, axis := range m.Axes {
		values, err := listValue(axis.Values, scope)
		if err != nil {
			return fails(fmt.Errorf("matrix: %s: %w", axis.Name, err))
		}
		p.names, p.values = append(p.names, axis.Name), append(p.values, values)
	}
	var err error
	if p.exclude, err = mapsOf(m.Exclude, scope); err != nil {
		return fails(fmt.Errorf("matrix: exclude: %w", err))
	}
	include, err := mapsOf(m.Include, scope)
	if err != nil {
		return fails(fmt.Errorf("matrix: include: %w", err))
	}
	return incomingValues(func(yield func(any) bool) {
		if len(p.names) > 0 && !p.give(map[string]any{}, yield) {
			return
		}
		for _, it := range include {
			if !yield(it) {
				return
			}
		}
	})
}

// product is the combinations of lists.
type product struct {
	names   []string
	values  [][]any // of each name
	exclude []map[string]any
}

// give gives all combinations that begin as this one does. It is false when no more are wanted.
func (p *product) give(begun map[string]any, yield func(any) bool) bool {
	n := len(begun)
	if n == len(p.names) {
		return p.excludes(begun) || yield(maps.Clone(begun))
	}
	defer delete(begun, p.names[n])
	for _, v := range p.values[n] {
		begun[p.names[n]] = v
		if !p.give(begun, yield) {
			return false
		}
	}
	return true
}

func (p *product) excludes(it map[string]any) bool {
	for _, members := range p.exclude {
		if hasAll(it, members) {
			return true
		}
	}
	return false
}

func hasAll(it, members map[string]any) bool {
	for name, v := range members {
		if has, ok := it[name]; !ok || !reflect.DeepEqual(has, v) {
			return false
		}
	}
	return true
}

// listValue is the list that a template gives; an absent one gives none.
func listValue(t expression.Template, scope *expression.Scope) ([]any, error) {
	v, err := t.Eval(scope)
	if err != nil {
		return nil, err
	}
	list, ok := v.([]any)
	if !ok && v != nil {
		return nil, fmt.Errorf("want a list, not %s", value.Describe(v))
	}
	return list, nil
}

func mapsOf(t expression.Template, scope *expression.Scope) ([]map[string]any, error) {
	list, err := listValue(t, scope)
	if err != nil {
		return nil, err
	}
	all := make([]map[string]any, len(list))
	for i, v := range list {
		m, ok := v.(map[string]any)
		if !ok {
			return nil, fmt.Errorf("want a list of maps, not of %s", value.Describe(v))
		}
		all[i] = m
	}
	return all, nil
}
