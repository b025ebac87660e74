package form

import (
	"encoding/json"
	"fmt"
)

// Schema is the form of pipeline files as a JSON Schema (2020-12), for editors. It is made from the table
// that the reader goes by. What takes more than one value to judge, such as names and expressions, is for
// [Load] only.
func Schema() ([]byte, error) {
	definitions := map[string]any{}
	for _, p := range []place{paramPlace, defaultsPlace, functionPlace, stagePlace, discoverPlace, retryPlace, ratePlace, hookPlace, schedulePlace, concurrencyPlace, taskPlace, resultsPlace} {
		definitions[string(p)] = schemaOfPlace(p)
	}
	schema := schemaOfPlace(topPlace)
	schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
	schema["title"] = "a geartrain pipeline"
	schema["required"] = []string{"name", "stages"}
	schema["patternProperties"] = map[string]any{"^x-": map[string]any{}}
	schema["$defs"] = definitions
	text, err := json.MarshalIndent(schema, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("schema: %w", err)
	}
	return append(text, '\n'), nil
}

func schemaOfPlace(p place) map[string]any {
	properties := map[string]any{}
	for _, spec := range keysOfPlace(p) {
		properties[spec.name] = spec.schema()
	}
	return map[string]any{"type": "object", "properties": properties, "additionalProperties": false}
}

// schema is that of one key's value. What takes scalars only besides a map of its own has both as
// alternatives.
func (spec keySpec) schema() map[string]any {
	s := map[string]any{"description": spec.doc}
	shape := spec.shape
	if spec.limit != "" {
		shape |= textShape // an expression
	}
	switch {
	case spec.is != "" && shape == mapShape:
		s["$ref"] = reference(spec.is)
		return s
	case spec.is != "":
		scalar := map[string]any{"type": (shape &^ mapShape).jsonTypes()}
		if len(spec.allowed) > 0 {
			scalar["enum"] = spec.allowed
		}
		s["anyOf"] = []any{scalar, map[string]any{"$ref": reference(spec.is)}}
		return s
	}
	if shape != anyShape {
		s["type"] = shape.jsonTypes()
	}
	switch {
	case spec.perJob:
		s["anyOf"] = []any{map[string]any{"enum": spec.allowed}, map[string]any{"pattern": `\$\{\{`}}
	case len(spec.allowed) > 0:
		s["enum"] = spec.allowed
	}
	if spec.holds == "" {
		return s
	}
	element := map[string]any{"$ref": reference(spec.holds)}
	switch {
	case spec.shape == listShape:
		s["items"] = element
	case spec.holds == paramPlace: // a parameter may be its default
		s["additionalProperties"] = map[string]any{"anyOf": []any{element, map[string]any{"type": (scalarShape | listShape).jsonTypes()}}}
	default:
		s["additionalProperties"] = element
	}
	return s
}

func reference(p place) string { return "#/$defs/" + string(p) }

func (s shape) jsonTypes() []string {
	var types []string
	for _, one := range []struct {
		bit  shape
		name string
	}{
		{textShape, "string"}, {integerShape, "integer"}, {numberShape, "number"}, {booleanShape, "boolean"},
		{nullShape, "null"}, {listShape, "array"}, {mapShape, "object"},
	} {
		if s&one.bit != 0 {
			types = append(types, one.name)
		}
	}
	return types
}
