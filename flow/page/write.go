package page

import (
	_ "embed"
	"encoding/json"
	"html/template"
	"io"
	"maps"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/geartrain/geartrain/flow"
)

//go:embed page.html
var source string

// Write writes the page. Whatever the run's data hold is text in it.
func (p *Page) Write(w io.Writer) error {
	t, err := template.New("page").Funcs(template.FuncMap{
		"time": func(t time.Time) string { return t.UTC().Format(time.RFC3339) },
		"took": took, "text": plain, "json": jsonText, "sign": sign, "since": func(t time.Time) string { return took(t.Sub(p.Begin)) },
	}).Parse(source)
	if err != nil {
		return err
	}
	return t.Execute(w, p)
}

// Param is a parameter of the run.
type Param struct{ Name, Value string }

// Params are the run's parameters, by name.
func (p *Page) Params() []Param {
	var all []Param
	for _, name := range slices.Sorted(maps.Keys(p.Run.Params)) {
		text, err := json.Marshal(p.Run.Params[name])
		if err != nil {
			text = []byte("?")
		}
		all = append(all, Param{name, string(text)})
	}
	return all
}

// Took is how long the run took, or has taken until now.
func (p *Page) Took() time.Duration { return p.End.Sub(p.Begin) }

// took is a duration to about three digits.
func took(d time.Duration) string {
	switch {
	case d >= time.Minute:
		d = d.Round(time.Second)
	case d >= time.Second:
		d = d.Round(10 * time.Millisecond)
	default:
		d = d.Round(time.Millisecond)
	}
	return d.String()
}

// sign is a mark for a status, beside its colour and its word.
func sign(state any) string {
	var s flow.Status
	switch v := state.(type) {
	case flow.Status:
		s = v
	case string:
		s = flow.Status(v)
	}
	switch s {
	case flow.Success:
		return "✔"
	case flow.Partial:
		return "◐"
	case flow.Failure, flow.TimedOut:
		return "✖"
	case flow.Cancelled, flow.Blocked:
		return "⊘"
	case flow.Skipped:
		return "⤼"
	case flow.Running:
		return "▶"
	}
	return "…"
}

// plain takes out what would change how the text around it reads: control characters, and marks that turn
// the direction of writing.
func plain(text string) string {
	return strings.Map(func(r rune) rune {
		if r != '\n' && r != '\t' && (unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r)) {
			return unicode.ReplacementChar
		}
		return r
	}, strings.ToValidUTF8(text, string(unicode.ReplacementChar)))
}

func jsonText(raw json.RawMessage) string { return plain(string(raw)) }
