package main

import (
	"errors"
	"fmt"
	"path"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/geartrain/geartrain/server/queue"
)

// policyFlags are the flags that say what holds for functions by the patterns of their names. The first
// one of a kind that matches a function holds for it.
type policyFlags struct {
	retain, guard, retry, late []string
	count                      int
	bytes, one                 byteSize
}

func (f *policyFlags) register(flags *pflag.FlagSet) {
	f.bytes, f.one = 256<<20, 16<<20
	flags.StringArrayVar(&f.retain, "retain", nil, "PATTERN=TIME[,fresh=AGE][,stale=AGE]: how long the result of a job with a key answers further submissions of that key; may be repeated")
	flags.Var(&f.bytes, "retained-max-bytes", "what retained results may take; the first to expire make room")
	flags.IntVar(&f.count, "retained-max-count", 1_000_000, "how many are retained")
	flags.Var(&f.one, "retained-max-one", "a larger result is not retained")
	flags.StringArrayVar(&f.guard, "payload-guard", nil, "PATTERN=count|reject: what becomes of a submission whose key belongs to another payload (default count: it joins); may be repeated")
	flags.StringArrayVar(&f.retry, "retry", nil, "PATTERN=ATTEMPTS[,delay=TIME][,backoff=FACTOR][,max-delay=TIME][,jitter=0..1]: background jobs are tried again by the server; may be repeated")
	flags.StringArrayVar(&f.late, "late", nil, "PATTERN=drop|accept: what becomes of the result of an attempt that took too long, if it comes before another one (default drop); may be repeated")
}

// apply adds the policies. An error names the flag and what it should look like.
func (f *policyFlags) apply(cfg *queue.Config) error {
	cfg.MaxResults, cfg.MaxResultBytes, cfg.MaxResult = f.count, int64(f.bytes), int(f.one)
	for _, kind := range []struct {
		name  string
		texts []string
		parse func(*queue.Policy, *settings) error
		form  string
	}{
		{"retain", f.retain, parseRetain, "PATTERN=TIME[,fresh=AGE][,stale=AGE], as fetch.*=12h,fresh=1h"},
		{"payload-guard", f.guard, parseGuard, "PATTERN=count or PATTERN=reject"},
		{"retry", f.retry, parseRetry, "PATTERN=ATTEMPTS[,delay=TIME][,backoff=FACTOR][,max-delay=TIME][,jitter=0..1], as mail.*=5,delay=10s"},
		{"late", f.late, parseLate, "PATTERN=drop or PATTERN=accept"},
	} {
		for _, text := range kind.texts {
			policy, err := parsePolicy(text, kind.parse)
			if err != nil {
				return usageError("--%s %q: %w; it looks like %s", kind.name, text, err, kind.form)
			}
			cfg.Policies = append(cfg.Policies, policy)
		}
	}
	return nil
}

func parsePolicy(text string, parse func(*queue.Policy, *settings) error) (queue.Policy, error) {
	pattern, rest, found := strings.Cut(text, "=")
	if !found || pattern == "" || rest == "" {
		return queue.Policy{}, errors.New("there must be a pattern, = and a value")
	}
	if _, err := path.Match(pattern, ""); err != nil {
		return queue.Policy{}, fmt.Errorf("%q is no pattern", pattern)
	}
	policy := queue.Policy{Pattern: pattern}
	s := &settings{values: map[string]string{}}
	for i, part := range strings.Split(rest, ",") {
		name, value, found := strings.Cut(part, "=")
		switch {
		case i == 0 && !found:
			s.first = part
		case !found || name == "" || value == "":
			return queue.Policy{}, fmt.Errorf("%q is not name=value", part)
		case s.values[name] != "":
			return queue.Policy{}, fmt.Errorf("%s is there twice", name)
		default:
			s.values[name] = value
		}
	}
	if err := parse(&policy, s); err != nil {
		return queue.Policy{}, err
	}
	for name := range s.values {
		return queue.Policy{}, fmt.Errorf("%s is not known", name)
	}
	return policy, s.err
}

// settings are the values behind a pattern. Those that are read are taken out; the first mistake is kept.
type settings struct {
	first  string
	values map[string]string
	err    error
}

func (s *settings) take(name string) (string, bool) {
	value, found := s.values[name]
	delete(s.values, name)
	return value, found
}

func (s *settings) duration(name string) time.Duration {
	value, found := s.take(name)
	if !found {
		return 0
	}
	return s.time(name, value)
}

func (s *settings) time(name, value string) time.Duration {
	d, err := parseTime(value)
	if err != nil && s.err == nil {
		s.err = fmt.Errorf("%s: %w", name, err)
	}
	return d
}

func (s *settings) factor(name string, low, high float64) float64 {
	value, found := s.take(name)
	if !found {
		return 0
	}
	f, err := strconv.ParseFloat(value, 64)
	if (err != nil || !(f >= low && f <= high)) && s.err == nil {
		s.err = fmt.Errorf("%s: %q is not a number from %g to %g", name, value, low, high)
	}
	return f
}

// parseTime reads a duration above zero, also in days: 7d.
func parseTime(text string) (time.Duration, error) {
	if days, found := strings.CutSuffix(text, "d"); found {
		n, err := strconv.ParseFloat(days, 64)
		if err == nil && n > 0 && n < 100_000 {
			return time.Duration(n * float64(24*time.Hour)), nil
		}
	} else if d, err := time.ParseDuration(text); err == nil && d > 0 {
		return d, nil
	}
	return 0, fmt.Errorf("%q is no time above zero, as 90s, 12h or 7d", text)
}

func parseRetain(p *queue.Policy, s *settings) error {
	p.Retain = s.time("the time", s.first)
	p.Fresh, p.Stale = s.duration("fresh"), s.duration("stale")
	return nil
}

func parseGuard(p *queue.Policy, s *settings) error {
	switch s.first {
	case "count":
		p.Conflict = queue.Count
	case "reject":
		p.Conflict = queue.Reject
	default:
		return fmt.Errorf("%q is neither count nor reject", s.first)
	}
	return nil
}

func parseLate(p *queue.Policy, s *settings) error {
	switch s.first {
	case "drop":
		p.Late = queue.LateDropped
	case "accept":
		p.Late = queue.LateTaken
	default:
		return fmt.Errorf("%q is neither drop nor accept", s.first)
	}
	return nil
}

func parseRetry(p *queue.Policy, s *settings) error {
	n, err := strconv.Atoi(s.first)
	if err != nil || n < 1 {
		return fmt.Errorf("%q is no number of attempts", s.first)
	}
	p.Retry = queue.Retry{
		Attempts: n, Delay: s.duration("delay"), Backoff: s.factor("backoff", 1, 1000),
		MaxDelay: s.duration("max-delay"), Jitter: s.factor("jitter", 0, 1),
	}
	return nil
}
