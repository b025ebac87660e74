package expression

import "github.com/geartrain/geartrain/flow/value"

// EvalParts is the values of a string's expressions alone, one after the other, each as it stands in text.
// [Template.Fill] puts them in.
func (t Template) EvalParts(scope *Scope) ([]string, error) {
	if t.IsConstant() {
		return nil, nil
	}
	variables, err := scope.values(t.uses)
	if err != nil {
		return nil, err
	}
	variables[workName] = newWork()
	var values []string
	for _, part := range t.root.parts {
		if part.expression == nil {
			continue
		}
		v, err := part.expression.eval(variables)
		if err != nil {
			return nil, err
		}
		text, err := value.Text(v)
		if err != nil {
			return nil, err
		}
		values = append(values, text)
	}
	return values, nil
}

// Fill is a string with values in place of its expressions, and the values that are left over. It is not ok
// when there are too few.
func (t Template) Fill(values []string) (filled string, left []string, ok bool) {
	if t.IsConstant() {
		return t.String(), values, true
	}
	var text []byte
	for _, part := range t.root.parts {
		switch {
		case part.expression == nil:
			text = append(text, part.text...)
		case len(values) == 0:
			return "", nil, false
		default:
			text, values = append(text, values[0]...), values[1:]
		}
	}
	return string(text), values, true
}
