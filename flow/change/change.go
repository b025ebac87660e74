// Package change says how two JSON values differ, by the places where they do.
package change

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"

	"github.com/geartrain/geartrain/flow/value"
)

// Change is one place where two values differ.
type Change struct {
	Path string          `json:"path"`          // such as .page.links[3]; empty: the value itself
	Old  json.RawMessage `json:"old,omitempty"` // absent: there was nothing
	New  json.RawMessage `json:"new,omitempty"` // absent: there is nothing
}

// maxShown is how many characters of a value stand in a text.
const maxShown = 60

// String is the change for people: url: "a" is now "b".
func (c Change) String() string {
	path := c.Path
	if len(path) > 1 && path[0] == '.' {
		path = path[1:]
	}
	if path != "" {
		path += ": "
	}
	switch {
	case c.Old == nil:
		return path + "new: " + Short(c.New)
	case c.New == nil:
		return path + Short(c.Old) + " is gone"
	}
	return path + Short(c.Old) + " is now " + Short(c.New)
}

// Short is JSON cut to a length that fits into a line.
func Short(raw json.RawMessage) string {
	letters := []rune(string(raw))
	if len(letters) > maxShown {
		return string(letters[:maxShown-1]) + "…"
	}
	return string(letters)
}

// Between gives the first limit places where two JSON values, as [value.DecodeJSON] gives them, differ, and
// how many there are in all. Members of maps are compared by name and elements of lists by place.
func Between(old, new any, limit int) (changes []Change, count int) {
	c := comparison{limit: limit}
	c.values("", old, new)
	return c.changes, c.count
}

type comparison struct {
	limit   int
	changes []Change
	count   int
}

func (c *comparison) values(path string, old, new any) {
	switch old := old.(type) {
	case map[string]any:
		if new, ok := new.(map[string]any); ok {
			c.maps(path, old, new)
			return
		}
	case []any:
		if new, ok := new.([]any); ok {
			c.lists(path, old, new)
			return
		}
	}
	a, b := canonical(old), canonical(new)
	if string(a) != string(b) {
		c.add(Change{path, a, b})
	}
}

func (c *comparison) maps(path string, old, new map[string]any) {
	all := maps.Clone(old)
	maps.Copy(all, new)
	for _, name := range slices.Sorted(maps.Keys(all)) {
		place := path + member(name)
		a, isOld := old[name]
		b, isNew := new[name]
		switch {
		case !isNew:
			c.add(Change{place, canonical(a), nil})
		case !isOld:
			c.add(Change{place, nil, canonical(b)})
		default:
			c.values(place, a, b)
		}
	}
}

func (c *comparison) lists(path string, old, new []any) {
	for i := range max(len(old), len(new)) {
		place := fmt.Sprintf("%s[%d]", path, i)
		switch {
		case i >= len(new):
			c.add(Change{place, canonical(old[i]), nil})
		case i >= len(old):
			c.add(Change{place, nil, canonical(new[i])})
		default:
			c.values(place, old[i], new[i])
		}
	}
}

func (c *comparison) add(one Change) {
	c.count++
	if len(c.changes) < c.limit {
		c.changes = append(c.changes, one)
	}
}

// member is a map's member as a part of a path.
func member(name string) string {
	for i, r := range name {
		isLetter := r == '_' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z'
		if !isLetter && (i == 0 || r < '0' || r > '9') {
			return "[" + strconv.Quote(name) + "]"
		}
	}
	if name == "" {
		return `[""]`
	}
	return "." + name
}

// canonical is a JSON value as text. What is none, which no caller has, is null.
func canonical(v any) json.RawMessage {
	text, err := value.Canonical(v)
	if err != nil {
		return json.RawMessage("null")
	}
	return text
}
