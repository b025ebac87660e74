package runs

import (
	"bytes"
	"fmt"

	"github.com/geartrain/geartrain/flow/value"
)

// Params are the parameters of a run, as they were when it began: read from JSON, a whole number is whole
// and has all its digits.
type Params map[string]any

// UnmarshalJSON reads a JSON object, or null for none.
func (p *Params) UnmarshalJSON(text []byte) error {
	if bytes.Equal(text, []byte("null")) {
		*p = nil
		return nil
	}
	v, err := value.DecodeJSON(text)
	if err != nil {
		return fmt.Errorf("parameters: %w", err)
	}
	params, ok := v.(map[string]any)
	if !ok {
		return fmt.Errorf("parameters: not a JSON object: %.60s", text)
	}
	*p = params
	return nil
}
