package flow

import (
	"fmt"

	"github.com/geartrain/geartrain/flow/expression"
	"github.com/geartrain/geartrain/flow/value"
)

// discoverTemplates are the templates of a Discover, which see the item and its result.
func discoverTemplates(d *Discover) []expression.Template {
	templates := []expression.Template{d.Items, d.If}
	for _, v := range d.With {
		if t, ok := v.(expression.Template); ok {
			templates = append(templates, t)
		}
	}
	return templates
}

// discover adds the items that a result names to the stage. They are counted before the job that
// found them ends, so the stage's barrier cannot open in between.
func (j *job) discover(result item) error {
	s := j.stage
	if s.frontier == nil {
		return nil
	}
	found, err := j.maker.found(j, result)
	if err != nil {
		return &jobError{"discover", fmt.Errorf("discover: %w", err)}
	}
	for _, it := range found {
		next, err := j.maker.make(it, 0, 0)
		if err != nil {
			return err
		}
		if !s.frontier.admit(next.hash) {
			continue
		}
		if s.sample != nil {
			s.sample.offer(sampled{job: next, hash: next.identity}, s.add)
			continue
		}
		s.add()
		queued, err := s.frontier.push(it)
		if err != nil {
			s.abort(err)
		}
		if !queued {
			s.drop()
		}
	}
	s.bell.ring()
	return nil
}

// found is the items that a result names.
func (m *jobMaker) found(j *job, result item) ([]item, error) {
	d := m.spec.Discover
	scope, err := m.scope(j.item, j.index)
	if err != nil {
		return nil, err
	}
	if m.evaluate {
		if scope.Result, err = result.value(); err != nil {
			return nil, err
		}
	}
	if look, err := holds(d.If, scope); !look || err != nil {
		return nil, err
	}
	if d.More != nil {
		return moreItems(d, result)
	}
	list, err := listValue(d.Items, scope)
	if err != nil {
		return nil, fmt.Errorf("items: %w", err)
	}
	return withMembers(list, d.With, scope)
}

// holds is the value of a condition. One that is absent holds.
func holds(t expression.Template, scope *expression.Scope) (bool, error) {
	if t.IsZero() {
		return true, nil
	}
	v, err := t.Eval(scope)
	if err != nil {
		return false, fmt.Errorf("if: %w", err)
	}
	switch v := v.(type) {
	case bool:
		return v, nil
	case nil:
		return false, nil
	}
	return false, fmt.Errorf("if: want true or false, not %s", value.Describe(v))
}

// moreItems asks the Go form.
func moreItems(d *Discover, result item) ([]item, error) {
	more, err := d.More(result.raw)
	if err != nil {
		return nil, err
	}
	items := make([]item, len(more))
	for i, raw := range more {
		v, err := value.DecodeJSON(raw)
		if err != nil {
			return nil, err
		}
		if items[i], err = itemOf(v); err != nil {
			return nil, err
		}
	}
	return items, nil
}

// withMembers makes items of the elements of a list, each with the members of with put in.
func withMembers(list []any, with map[string]any, scope *expression.Scope) ([]item, error) {
	members, err := evaluatedMembers(with, scope)
	if err != nil {
		return nil, err
	}
	items := make([]item, len(list))
	for i, v := range list {
		if len(members) > 0 {
			if v, err = merged(v, members); err != nil {
				return nil, err
			}
		}
		if items[i], err = itemOf(v); err != nil {
			return nil, err
		}
	}
	return items, nil
}

func evaluatedMembers(with map[string]any, scope *expression.Scope) (map[string]any, error) {
	members := make(map[string]any, len(with))
	for name, v := range with {
		if t, ok := v.(expression.Template); ok {
			var err error
			if v, err = t.Eval(scope); err != nil {
				return nil, fmt.Errorf("with: %s: %w", name, err)
			}
		}
		members[name] = v
	}
	return members, nil
}

func merged(v any, members map[string]any) (any, error) {
	old, ok := v.(map[string]any)
	if !ok {
		return nil, fmt.Errorf("with: a new item must be a map, not %s", value.Describe(v))
	}
	out := make(map[string]any, len(old)+len(members))
	for name, v := range old {
		out[name] = v
	}
	for name, v := range members {
		out[name] = v
	}
	return out, nil
}
