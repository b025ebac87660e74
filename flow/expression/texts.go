package expression

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/url"
	"path"
	"regexp"
	"strings"

	"github.com/geartrain/geartrain/flow/value"
	"github.com/geartrain/geartrain/flow/wording"
)

// linesOf is the lines of a text, without their ends; a final newline begins no further line.
func linesOf(w *work, args []any) (any, error) {
	text, err := textArgument("lines", args[0])
	if err != nil {
		return nil, err
	}
	if err := w.made(2 * strings.Count(text, "\n")); err != nil {
		return nil, err
	}
	return Lines(text), nil
}

// Lines is the lines of a text as a list of texts, without LF or CRLF. A final newline begins no
// further line, so the empty text has no lines.
func Lines(text string) []any {
	list := []any{}
	for line := range strings.Lines(text) {
		list = append(list, strings.TrimSuffix(strings.TrimSuffix(line, "\n"), "\r"))
	}
	return list
}

func splitOf(w *work, args []any) (any, error) {
	text, separator, err := twoTexts("split", args)
	if err != nil {
		return nil, err
	}
	if separator == "" {
		return nil, fmt.Errorf("split wants a separator that is not empty")
	}
	if err := w.made(2 * strings.Count(text, separator)); err != nil {
		return nil, err
	}
	list := []any{}
	for part := range strings.SplitSeq(text, separator) {
		list = append(list, part)
	}
	return list, nil
}

func joinOf(w *work, args []any) (any, error) {
	list, err := listArgument("join", args[0])
	if err != nil {
		return nil, err
	}
	separator := ""
	if len(args) == 2 {
		if separator, err = textArgument("join", args[1]); err != nil {
			return nil, err
		}
	}
	var b strings.Builder
	for i, v := range list {
		if err := w.weigh(v, allBytes); err != nil {
			return nil, err
		}
		text, err := value.Text(v)
		if err != nil {
			return nil, err
		}
		if err := w.draw(len(separator)); err != nil {
			return nil, err
		}
		if i > 0 {
			b.WriteString(separator)
		}
		b.WriteString(text)
	}
	return b.String(), nil
}

func replaceOf(w *work, args []any) (any, error) {
	text, old, err := twoTexts("replace", args)
	if err != nil {
		return nil, err
	}
	with, err := textArgument("replace", args[2])
	if err != nil {
		return nil, err
	}
	if old == "" {
		return nil, fmt.Errorf("replace wants an old text that is not empty")
	}
	// Counted before it is made: each place may put a long text for a short one.
	if err := w.draw(strings.Count(text, old) * len(with)); err != nil {
		return nil, err
	}
	return strings.ReplaceAll(text, old, with), nil
}

func lowerOf(_ *work, args []any) (any, error) {
	text, err := textArgument("lower", args[0])
	return strings.ToLower(text), err
}

func upperOf(_ *work, args []any) (any, error) {
	text, err := textArgument("upper", args[0])
	return strings.ToUpper(text), err
}

func trimOf(_ *work, args []any) (any, error) {
	text, err := textArgument("trim", args[0])
	return strings.TrimSpace(text), err
}

func startsWithOf(_ *work, args []any) (any, error) {
	text, start, err := twoTexts("startsWith", args)
	return strings.HasPrefix(text, start), err
}

func endsWithOf(_ *work, args []any) (any, error) {
	text, end, err := twoTexts("endsWith", args)
	return strings.HasSuffix(text, end), err
}

func twoTexts(function string, args []any) (a, b string, err error) {
	if a, err = textArgument(function, args[0]); err != nil {
		return "", "", err
	}
	b, err = textArgument(function, args[1])
	return a, b, err
}

// hostOf is the host name of an address, in lower case and without the port.
func hostOf(_ *work, args []any) (any, error) {
	address, err := textArgument("host", args[0])
	if err != nil {
		return nil, err
	}
	u, err := url.Parse(address)
	if err != nil || u.Hostname() == "" {
		return nil, fmt.Errorf("host wants an address such as https://example.org/a, not %q", wording.Shorten(address, 60))
	}
	return strings.ToLower(u.Hostname()), nil
}

func basenameOf(_ *work, args []any) (any, error) {
	name, err := textArgument("basename", args[0])
	return path.Base(name), err
}

func dirnameOf(_ *work, args []any) (any, error) {
	name, err := textArgument("dirname", args[0])
	return path.Dir(name), err
}

// formatOf knows the verbs s d f e g x q v of C and Go with flags, width and precision.
func formatOf(w *work, args []any) (any, error) {
	layout, err := textArgument("format", args[0])
	if err != nil {
		return nil, err
	}
	rest, next := args[1:], 0
	verb := regexp.MustCompile(`%[-+ 0#]*\d{0,3}(\.\d{1,2})?[a-zA-Z%]?`)
	text := verb.ReplaceAllStringFunc(layout, func(v string) string {
		if v == "%%" || err != nil {
			return "%"
		}
		if next == len(rest) {
			err = fmt.Errorf("format has more verbs than values: %q", wording.Shorten(layout, 60))
			return ""
		}
		next++
		var out string
		if out, err = formatOne(v, rest[next-1]); err == nil {
			err = w.draw(len(out))
		}
		return out
	})
	if err == nil && next < len(rest) {
		err = fmt.Errorf("format has %s for %s", plural(len(rest), "value"), plural(next, "verb"))
	}
	return text, err
}

func formatOne(verb string, v any) (string, error) {
	switch verb[len(verb)-1] {
	case 's', 'q', 'v':
		text, err := value.Text(v)
		return fmt.Sprintf(verb, text), err
	case 'd', 'x':
		if f, ok := v.(float64); ok && f == float64(int(f)) {
			v = int(f)
		}
		if n, ok := v.(json.Number); ok && verb == "%d" {
			return n.String(), nil
		}
		if n, ok := v.(int); ok {
			return fmt.Sprintf(verb, n), nil
		}
		return "", wrongType("format with "+verb, "a whole number", v)
	case 'f', 'e', 'g':
		f, ok := value.Number(v)
		if !ok {
			return "", wrongType("format with "+verb, "a number", v)
		}
		return fmt.Sprintf(verb, f), nil
	}
	return "", fmt.Errorf("format does not know %q; it knows %%s %%d %%f %%e %%g %%x %%q %%v and %%%%", verb)
}

func fromJSON(w *work, args []any) (any, error) {
	text, err := textArgument("fromJSON", args[0])
	if err != nil {
		return nil, err
	}
	if err := w.draw(len(text) * 8); err != nil {
		return nil, err
	}
	return value.DecodeJSON([]byte(text))
}

// toJSON is on one line with keys in order.
func toJSON(w *work, args []any) (any, error) {
	if err := w.weigh(args[0], allBytes); err != nil {
		return nil, err
	}
	text, err := value.EncodeJSON(args[0])
	if err != nil {
		return nil, err
	}
	return string(text), w.draw(len(text))
}

// hashOf is the SHA-256 of the value's canonical form in hexadecimal, so 1 and "1" differ.
func hashOf(w *work, args []any) (any, error) {
	if err := w.weigh(args[0], allBytes); err != nil {
		return nil, err
	}
	text, err := value.Canonical(args[0])
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:]), w.draw(len(text))
}

// defaultOf is the value, or the other one when it is null or the empty text.
func defaultOf(_ *work, args []any) (any, error) {
	if args[0] == nil || args[0] == "" {
		return args[1], nil
	}
	return args[0], nil
}
