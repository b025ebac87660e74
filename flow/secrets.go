package flow

import (
	"bytes"
	"cmp"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"slices"
	"strings"

	"github.com/geartrain/geartrain/flow/value"
)

// Bounds of a secret's value, in bytes. A shorter one would be found everywhere, and no environment holds a
// longer one.
const (
	minSecret = 4
	maxSecret = 64 << 10
)

// mask is what a secret is shown as.
const mask = "***"

// Secrets are values that commands find in their environment and that nobody else is to see. They are in
// no job, so in no key and no store; where one is about to be shown or kept, as a part of a result, a line of
// log, an error or a report, *** stands in its place. A nil *Secrets has none.
type Secrets struct {
	values map[string]string
	hide   *strings.Replacer
	forms  [][]byte
}

// ReadSecrets finds the values of all secrets of a plan and of its parts. lookup is that of an environment,
// such as [os.LookupEnv]. The value of NAME is, whichever is there first:
//
//	GEARTRAIN_SECRET_NAME_FILE   names a file that holds it; one line end after it is left out
//	GEARTRAIN_SECRET_NAME        it is this
//	NAME                         it is this
//
// The error names all that are not there or cannot be used.
func ReadSecrets(p *Plan, lookup func(string) (string, bool)) (*Secrets, error) {
	s := &Secrets{values: map[string]string{}}
	var errs []error
	for _, part := range p.Plans() {
		for _, name := range part.Secrets {
			if _, isKnown := s.values[name]; isKnown {
				continue
			}
			value, err := readSecret(name, lookup)
			if err != nil {
				errs = append(errs, err)
			}
			s.values[name] = value
		}
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	if len(s.values) == 0 {
		return nil, nil
	}
	s.prepare()
	return s, nil
}

func readSecret(name string, lookup func(string) (string, bool)) (string, error) {
	const prefix = "GEARTRAIN_SECRET_"
	value := ""
	if file, ok := lookup(prefix + name + "_FILE"); ok {
		text, err := readSecretFile(file)
		if err != nil {
			return "", fmt.Errorf("the secret %q: %w", name, err)
		}
		value = text
	} else if text, ok := lookup(prefix + name); ok {
		value = text
	} else if text, ok := lookup(name); ok {
		value = text
	} else {
		return "", fmt.Errorf("the secret %q is not set; give it as the variable %s, or %s%s_FILE with the name of a file", name, name, prefix, name)
	}
	switch {
	case len(value) < minSecret:
		return "", fmt.Errorf("the secret %q has less than %d characters, and could not be told from other text", name, minSecret)
	case len(value) > maxSecret:
		return "", fmt.Errorf("the secret %q is over %s", name, byteSize(maxSecret))
	case strings.IndexByte(value, 0) >= 0:
		return "", fmt.Errorf("the secret %q holds a NUL byte, which no environment can", name)
	}
	return value, nil
}

func readSecretFile(name string) (string, error) {
	f, err := os.Open(name)
	if err != nil {
		return "", err
	}
	text, err := io.ReadAll(io.LimitReader(f, maxSecret+2))
	return string(trimNewline(text)), errors.Join(err, f.Close())
}

// prepare settles what is hidden: the values, what they look like inside of other texts, and the lines of
// those that have some. Longer forms come first, so that nothing is left of them.
func (s *Secrets) prepare() {
	var forms []string
	for _, secret := range s.values {
		forms = append(forms, secret, url.QueryEscape(secret), url.PathEscape(secret), base64.StdEncoding.EncodeToString([]byte(secret)))
		if quoted, err := value.EncodeJSON(secret); err == nil {
			forms = append(forms, string(quoted[1:len(quoted)-1]))
		}
		for line := range strings.SplitSeq(secret, "\n") {
			if line = strings.TrimSpace(line); len(line) >= 2*minSecret {
				forms = append(forms, line)
			}
		}
	}
	slices.SortFunc(forms, func(a, b string) int { return cmp.Or(len(b)-len(a), strings.Compare(a, b)) })
	forms = slices.Compact(forms)
	pairs := make([]string, 0, 2*len(forms))
	for _, form := range forms {
		pairs = append(pairs, form, mask)
		s.forms = append(s.forms, []byte(form))
	}
	s.hide = strings.NewReplacer(pairs...)
}

// Mask is the text with *** in place of each secret.
func (s *Secrets) Mask(text string) string {
	if s == nil {
		return text
	}
	return s.hide.Replace(text)
}

// MaskBytes is the same for bytes. Without a secret in them they are given back as they are.
func (s *Secrets) MaskBytes(p []byte) []byte {
	if s == nil || !slices.ContainsFunc(s.forms, func(form []byte) bool { return bytes.Contains(p, form) }) {
		return p
	}
	return []byte(s.hide.Replace(string(p)))
}

// isIn reports whether a secret is part of a value.
func (s *Secrets) isIn(v any) bool {
	if s == nil {
		return false
	}
	text, err := value.Text(v)
	return err == nil && s.Mask(text) != text
}

// environ is the variables of these names.
func (s *Secrets) environ(names []string) ([]string, error) {
	var env []string
	for _, name := range names {
		if s == nil || s.values[name] == "" {
			return nil, fmt.Errorf("the secret %q is not known where this command runs; nothing was run", name)
		}
		env = append(env, name+"="+s.values[name])
	}
	return env, nil
}

// maskError is the error with *** in place of each secret in its text. It is still found by errors.Is and
// errors.As.
func (s *Secrets) maskError(err error) error {
	if s == nil || err == nil {
		return err
	}
	text := err.Error()
	if masked := s.Mask(text); masked != text {
		return &maskedError{masked, err}
	}
	return err
}

type maskedError struct {
	text string
	err  error
}

func (e *maskedError) Error() string { return e.text }
func (e *maskedError) Unwrap() error { return e.err }
