package form

import (
	"fmt"
	"slices"
	"strings"

	"github.com/geartrain/geartrain/flow"
	"github.com/geartrain/geartrain/flow/expression"
	"github.com/geartrain/geartrain/flow/form/document"
	"github.com/geartrain/geartrain/flow/wording"
)

// runs reads what the pipeline says about its runs: when they are due, how many at once, with what secrets.
func (l *loader) runs(f fields) {
	l.plan.MaxRuns = l.positive(f["max_runs"], "max_runs")
	l.plan.Schedule = l.schedule(f["schedule"])
	l.plan.Concurrency = l.concurrency(f["concurrency"])
	l.secrets(f["secrets"])
}

func (l *loader) schedule(n *document.Node) *flow.Schedule {
	if n == nil {
		return nil
	}
	f := l.read(n, schedulePlace, "")
	s := &flow.Schedule{
		Cron:    l.cron(f["cron"]),
		CatchUp: l.duration(f["catch_up"]),
		Overlap: flow.Conflict(f["overlap"].String()),
	}
	if zone := f["timezone"]; zone != nil {
		if err := flow.CheckTimezone(zone.Text); err != nil {
			l.Add(zone.Span, "value", err.Error(), "")
		}
		s.Timezone = zone.Text
	}
	if n.Kind == document.Map && n.Get("cron") == nil {
		l.Add(n.Span, "missing", `"schedule" does not say when`, `write cron: "30 2 * * *" for half past two each night`)
	}
	return s
}

// cron reads one line, or a list of them.
func (l *loader) cron(n *document.Node) []string {
	if n == nil {
		return nil
	}
	if n.Kind == document.List && len(n.List) == 0 {
		l.Add(n.Span, "value", `"cron" is empty`, "")
	}
	var lines []string
	for _, line := range l.names(n, "cron") {
		if err := flow.CheckCron(line.Text); err != nil {
			l.Add(line.Span, "value", err.Error(), "")
			continue
		}
		lines = append(lines, line.Text)
	}
	return lines
}

func (l *loader) concurrency(n *document.Node) *flow.Concurrency {
	if n == nil {
		return nil
	}
	f := l.read(n, concurrencyPlace, "")
	return &flow.Concurrency{
		Group:      l.template(f["group"], "group", nil, expression.StartContexts()),
		OnConflict: flow.Conflict(f["on_conflict"].String()),
	}
}

// secrets reads the names of variables. Their values are not in the file.
func (l *loader) secrets(n *document.Node) {
	if n == nil {
		return
	}
	for _, name := range l.names(n, "secrets") {
		switch {
		case !validEnv.MatchString(name.Text):
			l.Add(name.Span, "value", fmt.Sprintf("%q cannot be an environment variable", wording.Shorten(name.Text, 60)), "a name has letters, digits and _")
		case strings.HasPrefix(name.Text, "GEARTRAIN_") || name.Text == "ITEM":
			l.Add(name.Span, "value", fmt.Sprintf("%q is what a command is told about its job", name.Text), "choose another name")
		case slices.Contains(l.plan.Secrets, name.Text):
			l.Add(name.Span, "duplicate-key", fmt.Sprintf("the secret %q is there twice", name.Text), "")
		default:
			l.plan.Secrets = append(l.plan.Secrets, name.Text)
		}
	}
}
