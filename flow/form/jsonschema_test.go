package form

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/geartrain/geartrain/flow/form/document"
	"github.com/geartrain/geartrain/flow/value"
)

// schemaCheck is as much of JSON Schema as Schema uses.
type schemaCheck struct{ root map[string]any }

func (c schemaCheck) check(s map[string]any, v any, at string) error {
	for word := range s {
		known := []string{"$schema", "$defs", "$ref", "title", "description", "type", "enum", "anyOf", "properties", "patternProperties", "additionalProperties", "items", "required", "pattern"}
		if !slices.Contains(known, word) {
			return fmt.Errorf("%s: the test does not know %q", at, word)
		}
	}
	if ref, ok := s["$ref"].(string); ok {
		definition := c.root["$defs"].(map[string]any)[strings.TrimPrefix(ref, "#/$defs/")]
		return c.check(definition.(map[string]any), v, at)
	}
	if anyOf, ok := s["anyOf"].([]any); ok {
		var last error
		for _, one := range anyOf {
			if last = c.check(one.(map[string]any), v, at); last == nil {
				return nil
			}
		}
		return last
	}
	if !hasSchemaType(s["type"], v) {
		return fmt.Errorf("%s: %v is not %v", at, v, s["type"])
	}
	if enum, ok := s["enum"].([]any); ok && !slices.Contains(enum, v) {
		return fmt.Errorf("%s: %v is none of %v", at, v, enum)
	}
	if pattern, ok := s["pattern"].(string); ok {
		if text, isText := v.(string); !isText || !regexp.MustCompile(pattern).MatchString(text) {
			return fmt.Errorf("%s: %v does not match %s", at, v, pattern)
		}
	}
	switch v := v.(type) {
	case []any:
		items, _ := s["items"].(map[string]any)
		for i, element := range v {
			if err := c.check(items, element, fmt.Sprintf("%s[%d]", at, i)); err != nil {
				return err
			}
		}
	case map[string]any:
		return c.members(s, v, at)
	}
	return nil
}

func (c schemaCheck) members(s, v map[string]any, at string) error {
	properties, _ := s["properties"].(map[string]any)
	patterns, _ := s["patternProperties"].(map[string]any)
	required, _ := s["required"].([]any)
	for _, name := range required {
		if _, ok := v[name.(string)]; !ok {
			return fmt.Errorf("%s: no %v", at, name)
		}
	}
	for key, member := range v {
		next, ok := properties[key].(map[string]any)
		for pattern := range patterns {
			ok = ok || regexp.MustCompile(pattern).MatchString(key)
		}
		if additional, isMap := s["additionalProperties"].(map[string]any); !ok && isMap {
			next, ok = additional, true
		}
		if !ok && s["additionalProperties"] == false {
			return fmt.Errorf("%s: unknown key %q", at, key)
		}
		if err := c.check(next, member, at+"."+key); err != nil {
			return err
		}
	}
	return nil
}

func hasSchemaType(types, v any) bool {
	list, ok := types.([]any)
	if text, isText := types.(string); isText {
		list, ok = []any{text}, true
	}
	if !ok {
		return true
	}
	is := map[string]bool{}
	switch v.(type) {
	case nil:
		is["null"] = true
	case bool:
		is["boolean"] = true
	case string:
		is["string"] = true
	case int:
		is["integer"], is["number"] = true, true
	case []any:
		is["array"] = true
	case map[string]any:
		is["object"] = true
	default:
		is["number"] = true
	}
	return slices.ContainsFunc(list, func(t any) bool { return is[t.(string)] })
}

func readSchema(t *testing.T) map[string]any {
	t.Helper()
	text, err := Schema()
	require.NoError(t, err)
	schema, err := value.DecodeJSON(text)
	require.NoError(t, err)
	return schema.(map[string]any)
}

func plainValue(t *testing.T, text string) any {
	t.Helper()
	root := document.Parse([]byte(text), &document.Problems{})
	require.NotNil(t, root)
	return root.JSON()
}

// TestSchemaTakesValidFiles: whatever the reader takes is in the form of the schema.
func TestSchemaTakesValidFiles(t *testing.T) {
	t.Parallel()
	c := schemaCheck{readSchema(t)}
	var files []string
	for _, pattern := range []string{filepath.Join(flowsFolder, "*.yaml"), "../../examples/*/*.yaml"} {
		found, err := filepath.Glob(pattern)
		require.NoError(t, err)
		files = append(files, found...)
	}
	checked := 0
	for _, file := range files {
		if _, err := LoadFile(file); err != nil {
			continue
		}
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		require.NoError(t, c.check(c.root, plainValue(t, string(text)), file))
		checked++
	}
	require.Greater(t, checked, 5)
}

func TestSchemaRefuses(t *testing.T) {
	t.Parallel()
	c := schemaCheck{readSchema(t)}
	one := "name: x\nstages:\n  - name: a\n    function: f\n    "
	for text, message := range map[string]string{
		"name: x":                                "no stages",
		"name: x\nstages: {a: {run: x}}":         "stages",
		one + "withItems: [1]":                   `unknown key "withItems"`,
		one + "timeout: 5":                       "timeout",
		one + "priority: urgent":                 "priority",
		one + "retry: 3":                         "retry",
		one + "retry: {attempt: 3}":              `unknown key "attempt"`,
		one + "rate: {limits: 5/s}":              `unknown key "limits"`,
		one + "discover: [1]":                    "discover",
		one + "on_exit: [{runs: x}]":             `unknown key "runs"`,
		"name: x\nsteps: []\nstages: []":         `unknown key "steps"`,
		"name: x\nparams: [a]\nstages: []":       "params",
		"name: x\nfunctions: {f: x}\nstages: []": "functions.f",
	} {
		require.ErrorContains(t, c.check(c.root, plainValue(t, text), "file"), message, text)
	}
}
