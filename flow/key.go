package flow

import (
	"crypto/sha256"
	"encoding/base32"
	"encoding/base64"
	"fmt"
	"strings"
	"time"

	"github.com/geartrain/geartrain/flow/value"
)

// KeyParts are what makes a job the same job. They are kept beside the key, so that it can be said
// which of them changed.
//
//	KeyParts ── Canonical ──► ["f1","fetch","2","run r1.abc","json",{"url":"..."}] ── SHA-256, base32 ──► f1.…
type KeyParts struct {
	Function  string  // the Gearman function
	Version   string  // of the function; another version is other work
	Scope     string  // the run, or empty for keys that hold across runs
	Kind      KeyKind // of Arguments
	Arguments any     // a string, a JSON value, a []byte or nil, as Kind says
}

// KeyKind says what a job's arguments are, so that the text "1" and the number 1 are different work.
type KeyKind string

// The kinds of arguments.
const (
	KeyText  KeyKind = "text"  // a string of UTF-8
	KeyJSON  KeyKind = "json"  // a JSON value
	KeyBytes KeyKind = "bytes" // a []byte
	KeyNone  KeyKind = "none"  // nil: a job without arguments
)

// The first letters of keys and run ids name the form they are derived by. Another form would get
// another number, so that no key is ever read by the wrong rules.
const (
	keyForm   = "f1"
	runIDForm = "r1"
)

// Canonical is the text that the key is the hash of: the [value.Canonical] form of the list
// ["f1", function, version, scope, kind, arguments], with bytes as base64. It is an error when the
// arguments are not of their kind or hold what JSON cannot.
func (p KeyParts) Canonical() ([]byte, error) {
	arguments, err := p.arguments()
	if err != nil {
		return nil, fmt.Errorf("key of %s: %w", p.Function, err)
	}
	text, err := value.Canonical([]any{keyForm, p.Function, p.Version, p.Scope, string(p.Kind), arguments})
	if err != nil {
		return nil, fmt.Errorf("key of %s: %w", p.Function, err)
	}
	return text, nil
}

// Key is the idempotency key: "f1." and 52 characters, 55 in all, of a to z and 2 to 7.
func (p KeyParts) Key() (string, error) {
	text, err := p.Canonical()
	if err != nil {
		return "", err
	}
	return digest(keyForm, text), nil
}

func (p KeyParts) arguments() (any, error) {
	switch a := p.Arguments.(type) {
	case string:
		if p.Kind == KeyText {
			return a, nil
		}
	case []byte:
		if p.Kind == KeyBytes {
			return base64.StdEncoding.EncodeToString(a), nil
		}
	case nil:
		if p.Kind == KeyNone {
			return nil, nil
		}
	}
	if p.Kind == KeyJSON {
		return p.Arguments, nil
	}
	return nil, fmt.Errorf("arguments of kind %q cannot be %T", p.Kind, p.Arguments)
}

// RunID is the id of the run of a pipeline with these parameters at this logical time: "r1." and 52
// characters. The same three give the same id on every machine, so starting a run again finds it.
// The time counts in nanoseconds; its zone does not matter.
func RunID(pipeline string, params map[string]any, scheduledAt time.Time) (string, error) {
	if params == nil {
		params = map[string]any{}
	}
	text, err := value.Canonical([]any{runIDForm, pipeline, params, scheduledAt.UTC().Format(time.RFC3339Nano)})
	if err != nil {
		return "", fmt.Errorf("run id of %s: %w", pipeline, err)
	}
	return digest(runIDForm, text), nil
}

func digest(form string, text []byte) string {
	sum := sha256.Sum256(text)
	encoded := base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(sum[:])
	return form + "." + strings.ToLower(encoded)
}
