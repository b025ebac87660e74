package form

import (
	"fmt"

	"github.com/geartrain/geartrain/flow"
	"github.com/geartrain/geartrain/flow/expression"
	"github.com/geartrain/geartrain/flow/form/document"
	"github.com/geartrain/geartrain/flow/value"
	"github.com/geartrain/geartrain/flow/wording"
	"github.com/geartrain/geartrain/gearman"
)

// field is the stage's own value for a key, or that of defaults.
func (l *loader) field(s *stageSource, key string) *document.Node {
	if n := l.own(s, key); n != nil {
		return n
	}
	return l.defaults[key]
}

// own is what a stage says for a key. What it says holds for its tasks too, where they say nothing else.
func (l *loader) own(s *stageSource, key string) *document.Node {
	if n := s.fields[key]; n != nil || s.of == nil {
		return n
	}
	return s.of.fields[key]
}

func (l *loader) readLimits(s *stageSource) {
	if s.of == nil {
		l.readStageLimits(s)
	}
	s.Fresh = l.fresh(l.field(s, "fresh"))
	if s.Fresh != (flow.Fresh{}) && s.fields["tasks"] == nil {
		l.needsServer(needsRetention, "", s, l.field(s, "fresh"))
	}
	if s.Late = l.late(l.field(s, "late")); s.Late == flow.AcceptLate {
		l.needsServer(needsLate, "", s, l.field(s, "late"))
	}
	l.readPriority(s, l.field(s, "priority"))
	// A declared function's own timeout stands between the stage's and that of defaults.
	if own := l.own(s, "timeout"); own != nil || s.Timeout == 0 {
		n := l.field(s, "timeout")
		if s.Timeout = 0; !l.limit(n, flow.LimitTimeout, s) {
			s.Timeout = l.duration(n)
		}
	}
	if n := l.field(s, "retry"); n != nil {
		s.Retry = l.retry(n)
	}
}

// readStageLimits reads what a stage says about all of its jobs together.
func (l *loader) readStageLimits(s *stageSource) {
	if n := l.field(s, "max_parallel"); !l.limit(n, flow.LimitParallel, s) {
		s.MaxParallel = l.positive(n, "max_parallel")
	}
	s.AllowFailures = l.budget(l.field(s, "allow_failures"))
	s.Rate = l.rate(l.field(s, "rate"), s.contexts(), s)
	if n := l.field(s, "fail_fast"); n != nil {
		if s.FailFast = n.Value == true; s.FailFast {
			l.needsServer(needsCancel, "", s, n)
		}
	}
	if s.Wait = l.wait(s.fields["wait"]); s.Wait != (flow.Wait{}) {
		l.needsServer(needsCancel, "", s, s.fields["wait"])
	}
}

// readPriority reads a word, or an expression that gives one for each job.
func (l *loader) readPriority(s *stageSource, n *document.Node) {
	if n == nil {
		return
	}
	if hasExpression(n) {
		s.Priorities = l.template(n, "priority", s, s.contexts())
		return
	}
	s.Priority, _ = flow.ParsePriority(n.Text)
}

func (l *loader) late(n *document.Node) flow.Late {
	if n.String() == "accept" {
		return flow.AcceptLate
	}
	return flow.DropLate
}

// limit takes a limit that is an expression, and reports whether it is one.
func (l *loader) limit(n *document.Node, name flow.Limit, s *stageSource) bool {
	if n == nil || !hasExpression(n) {
		return false
	}
	t := l.template(n, string(name), s, expression.StartContexts())
	if s.Limits == nil {
		s.Limits = map[flow.Limit]expression.Template{}
	}
	s.Limits[name] = t
	return true
}

// wait reads all, first, 3 and 50%.
func (l *loader) wait(n *document.Node) flow.Wait {
	if n == nil || n.Text == "all" {
		return flow.Wait{}
	}
	if n.Text == "first" {
		return flow.Wait{Count: 1}
	}
	if count, ok := n.Value.(int); ok && count > 0 {
		return flow.Wait{Count: count}
	}
	if p, ok := percent(n.Text); ok && p > 0 {
		return flow.Wait{Percent: p}
	}
	l.Add(n.Span, "value", fmt.Sprintf(`"wait" cannot be %q`, wording.Shorten(n.Text, 60)), "it is all, first, a number of results, or a percentage such as 50%")
	return flow.Wait{}
}

func (l *loader) retry(n *document.Node) gearman.Retry {
	f := l.read(n, retryPlace, "")
	r := gearman.Retry{
		Attempts: l.positive(f["attempts"], "attempts"),
		Delay:    l.duration(f["delay"]),
		Backoff:  l.number(f["backoff"]),
		MaxDelay: l.duration(f["max_delay"]),
		Jitter:   l.jitter(f["jitter"]),
	}
	if f["attempts"] == nil && n.Kind == document.Map && n.Get("attempts") == nil {
		l.Add(n.Span, "unbounded", `"retry" does not say how often`, "write attempts: 3, the first one included")
	}
	if b := f["backoff"]; b != nil && r.Backoff < 1 {
		l.Add(b.Span, "value", fmt.Sprintf(`"backoff" cannot be %s`, b.Text), "it is 1 for constant delays, 2 to double them")
	}
	if m := f["max_delay"]; m != nil && r.MaxDelay < r.Delay {
		l.Add(m.Span, "value", `"max_delay" is below "delay"`, "")
	}
	for _, name := range l.names(f["on"], "on") {
		reasons, ok := retryReasons()[name.Text]
		if !ok {
			l.Add(name.Span, "value", fmt.Sprintf(`"on" cannot be %q`, wording.Shorten(name.Text, 60)), "it is a list of fail, exception, timeout, refused, lost")
			continue
		}
		r.On = append(r.On, reasons...)
	}
	return r
}

// retryReasons are the words of on. A command that ends with another exit code than 0 has thrown an
// exception on the wire, for its reason to come along; to who wrote it, it has failed.
func retryReasons() map[string][]gearman.Reason {
	reasons := map[string][]gearman.Reason{}
	for _, r := range []gearman.Reason{gearman.Failed, gearman.Exception, gearman.TimedOut, gearman.Refused, gearman.Lost} {
		reasons[r.String()] = []gearman.Reason{r}
	}
	fail := gearman.Failed.String()
	reasons[fail] = append(reasons[fail], gearman.Exception)
	return reasons
}

// jitter reads 20% or 0.2 as 0.2.
func (l *loader) jitter(n *document.Node) float64 {
	if n == nil {
		return 0
	}
	if p, ok := percent(n.Text); ok {
		return p / 100
	}
	if f, ok := value.Number(n.Value); ok && f >= 0 && f <= 1 {
		return f
	}
	l.Add(n.Span, "value", fmt.Sprintf(`"jitter" cannot be %s`, wording.Shorten(n.Text, 60)), "it is a percentage such as 20%")
	return 0
}
