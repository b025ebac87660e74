package flow

import (
	"fmt"
	"slices"
	"strings"

	"github.com/geartrain/geartrain/flow/expression"
	"github.com/geartrain/geartrain/flow/wording"
)

// runs reads what the pipeline says about its runs: when they are due, how many at once, with what secrets.
func (l *loader) runs(f fields) {
	l.plan.MaxRuns = l.positive(f["max_runs"], "max_runs")
	l.plan.Schedule = l.schedule(f["schedule"])
	l.plan.Concurrency = l.concurrency(f["concurrency"])
	l.secrets(f["secrets"])
}

func (l *loader) schedule(n *node) *Schedule {
	if n == nil {
		return nil
	}
	f := l.read(n, schedulePlace, "")
	s := &Schedule{
		Cron:    l.cron(f["cron"]),
		CatchUp: l.duration(f["catch_up"]),
		Overlap: Conflict(f["overlap"].string()),
	}
	if zone := f["timezone"]; zone != nil {
		if err := checkTimezone(zone.text); err != nil {
			l.add(zone.span, "value", err.Error(), "")
		}
		s.Timezone = zone.text
	}
	if n.kind == mapNode && n.get("cron") == nil {
		l.add(n.span, "missing", `"schedule" does not say when`, `write cron: "30 2 * * *" for half past two each night`)
	}
	return s
}

// cron reads one line, or a list of them.
func (l *loader) cron(n *node) []string {
	if n == nil {
		return nil
	}
	if n.kind == listNode && len(n.list) == 0 {
		l.add(n.span, "value", `"cron" is empty`, "")
	}
	var lines []string
	for _, line := range l.names(n, "cron") {
		if _, err := parseCron(line.text); err != nil {
			l.add(line.span, "value", err.Error(), "")
			continue
		}
		lines = append(lines, line.text)
	}
	return lines
}

func (l *loader) concurrency(n *node) *Concurrency {
	if n == nil {
		return nil
	}
	f := l.read(n, concurrencyPlace, "")
	return &Concurrency{
		Group:      l.template(f["group"], "group", nil, expression.StartContexts()),
		OnConflict: Conflict(f["on_conflict"].string()),
	}
}

// secrets reads the names of variables. Their values are not in the file.
func (l *loader) secrets(n *node) {
	if n == nil {
		return
	}
	for _, name := range l.names(n, "secrets") {
		switch {
		case !validEnv.MatchString(name.text):
			l.add(name.span, "value", fmt.Sprintf("%q cannot be an environment variable", wording.Shorten(name.text, 60)), "a name has letters, digits and _")
		case strings.HasPrefix(name.text, "GEARTRAIN_") || name.text == "ITEM":
			l.add(name.span, "value", fmt.Sprintf("%q is what a command is told about its job", name.text), "choose another name")
		case slices.Contains(l.plan.Secrets, name.text):
			l.add(name.span, "duplicate-key", fmt.Sprintf("the secret %q is there twice", name.text), "")
		default:
			l.plan.Secrets = append(l.plan.Secrets, name.text)
		}
	}
}
