package expression

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/geartrain/geartrain/flow/wording"
)

// dateOf writes a time with YYYY MM DD HH mm ss, after moving it by a duration. A time is text: a
// date, or RFC 3339. Without a layout it stays what it is. Days move the calendar, so -1d is
// yesterday at the same hour.
func dateOf(_ *work, args []any) (any, error) {
	text, err := textArgument("date", args[0])
	if err != nil {
		return nil, err
	}
	at, layout, err := parseTime(text)
	if err != nil {
		return nil, err
	}
	if len(args) == 3 {
		move, err := textArgument("date", args[2])
		if err != nil {
			return nil, err
		}
		if at, err = moveTime(at, move); err != nil {
			return nil, err
		}
	}
	if len(args) >= 2 {
		form, err := textArgument("date", args[1])
		if err != nil {
			return nil, err
		}
		return writeTime(at, form), nil
	}
	return at.Format(layout), nil
}

func parseTime(text string) (time.Time, string, error) {
	for _, layout := range []string{time.DateOnly, time.RFC3339Nano} {
		if at, err := time.Parse(layout, text); err == nil {
			return at, layout, nil
		}
	}
	return time.Time{}, "", fmt.Errorf("%q is neither a date such as 2026-01-31 nor a time such as 2026-01-31T02:30:00Z", wording.Shorten(text, 60))
}

func writeTime(at time.Time, form string) string {
	return strings.NewReplacer(
		"YYYY", at.Format("2006"), "YY", at.Format("06"), "MM", at.Format("01"), "DD", at.Format("02"),
		"HH", at.Format("15"), "mm", at.Format("04"), "ss", at.Format("05"),
	).Replace(form)
}

func moveTime(at time.Time, by string) (time.Time, error) {
	sign := 1
	text := by
	if rest, ok := strings.CutPrefix(by, "-"); ok {
		sign, text = -1, rest
	}
	if days, ok := strings.CutSuffix(text, "d"); ok {
		if n, err := strconv.Atoi(days); err == nil && n >= 0 && n < 1e6 {
			return at.AddDate(0, 0, sign*n), nil
		}
	}
	d, err := ParseDuration(text)
	if err != nil {
		return at, err
	}
	return at.Add(time.Duration(sign) * d), nil
}

// durationOf is a duration in seconds.
func durationOf(_ *work, args []any) (any, error) {
	text, err := textArgument("duration", args[0])
	if err != nil {
		return nil, err
	}
	d, err := ParseDuration(text)
	if err != nil {
		return nil, err
	}
	if d%time.Second == 0 {
		return int(d / time.Second), nil
	}
	return d.Seconds(), nil
}

// ParseDuration reads a duration as pipelines write it: as Go does, and with d for days of 24
// hours: 90s, 1h30m, 2d, 1d12h. It is never negative.
func ParseDuration(text string) (time.Duration, error) {
	wrong := fmt.Errorf("%q is not a duration; write 90s, 5m, 1h30m or 2d", wording.Shorten(text, 40))
	rest, days := text, time.Duration(0)
	if before, after, ok := strings.Cut(text, "d"); ok {
		n, err := strconv.ParseUint(before, 10, 16)
		if err != nil {
			return 0, wrong
		}
		days, rest = time.Duration(n)*24*time.Hour, after
		if rest == "" {
			return days, nil
		}
	}
	if rest == "" || rest[0] == '-' || rest[0] == '+' {
		return 0, wrong
	}
	d, err := time.ParseDuration(rest)
	if err != nil || rest == "0" || days+d < 0 {
		return 0, wrong
	}
	return days + d, nil
}

// FormatDuration writes a duration as [ParseDuration] reads it, in its shortest form.
func FormatDuration(d time.Duration) string {
	if d <= 0 {
		return "0s"
	}
	text := ""
	if days := d / (24 * time.Hour); days > 0 {
		text, d = fmt.Sprintf("%dd", days), d%(24*time.Hour)
		if d == 0 {
			return text
		}
	}
	rest := d.String()
	if strings.HasSuffix(rest, "m0s") {
		rest = strings.TrimSuffix(rest, "0s")
	}
	if strings.HasSuffix(rest, "h0m") {
		rest = strings.TrimSuffix(rest, "0m")
	}
	return text + rest
}
