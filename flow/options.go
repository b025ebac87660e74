package flow

import (
	"fmt"
	"maps"
	"time"

	"github.com/geartrain/geartrain/flow/expression"
	"github.com/geartrain/geartrain/gearman"
)

// StageOption is an adverb of one stage. The YAML form has a key of the same name for each. One that
// makes no sense panics when the pipeline is defined, at the start of the program.
type StageOption func(*Stage)

// Name names the stage: letters, digits, - and _, the first no digit. Default: the function's name, or what
// is after the last dot, slash or colon in it.
func Name(name string) StageOption { return func(s *Stage) { s.Name = name } }

// Streamed makes the stage begin with the first result of the stage before, instead of waiting for
// all of them at the barrier. Its own results are in the order of those that they are made of, whichever
// came first. A list of all values, see [Gather], waits for the barrier anyway.
func Streamed() StageOption {
	return func(s *Stage) {
		if s.Input.Kind != FromStages {
			panic(fmt.Errorf("stage %q: Streamed needs a stage before it", s.Name))
		}
		s.Input.Stream = true
		s.Needs = nil
	}
}

// After makes the stage wait for other stages too, by name.
func After(stages ...string) StageOption {
	return func(s *Stage) {
		for _, name := range stages {
			s.Needs = appendNew(s.Needs, name)
		}
	}
}

// Timeout bounds one attempt, from when a worker has the job. What then still runs is ended, as it is when
// the run or the stage ends, unless somebody else waits for it or the server cannot. Default: none.
func Timeout(d time.Duration) StageOption { return func(s *Stage) { s.Timeout = d } }

// Attempts is how often a job is tried, the first time included. Default: 1. A further attempt has the
// same key, so it joins the one before if that still runs. After a timeout it does only with [TakeLate], and
// on a server that cannot end jobs.
func Attempts(n int) StageOption { return func(s *Stage) { s.Retry.Attempts = n } }

// Backoff is the delay before the second attempt, and what the delay may grow to. It doubles, with
// 20 % of chance.
func Backoff(delay, max time.Duration) StageOption {
	return func(s *Stage) {
		s.Retry.Delay, s.Retry.MaxDelay = delay, max
		s.Retry.Backoff, s.Retry.Jitter = 2, 0.2
	}
}

// Retry says all about further attempts at once.
func Retry(r gearman.Retry) StageOption { return func(s *Stage) { s.Retry = r } }

// MaxParallel bounds the jobs of the stage that are submitted and unanswered. Default: the runner's
// window.
func MaxParallel(n int) StageOption { return func(s *Stage) { s.MaxParallel = n } }

// AllowFailures is how many jobs may fail before the stage has failed. Default: none.
func AllowFailures(n int) StageOption { return func(s *Stage) { s.AllowFailures = Budget{Count: n} } }

// AllowPercent is the same as a part of all jobs of the stage, from 0 to 100.
func AllowPercent(p float64) StageOption {
	return func(s *Stage) { s.AllowFailures = Budget{Percent: p} }
}

// AllowAllFailures lets the stage end well whatever fails.
func AllowAllFailures() StageOption { return func(s *Stage) { s.AllowFailures = Budget{All: true} } }

// FailFast stops the stage with the first failure that is over the budget. Default: all jobs are tried.
func FailFast() StageOption { return func(s *Stage) { s.FailFast = true } }

// WaitFor lets the stage end well with n results; 1 is the first. What is still open then is cancelled.
func WaitFor(n int) StageOption { return func(s *Stage) { s.Wait = Wait{Count: n} } }

// WaitForPercent is the same as a part of all jobs of the stage, over 0 to 100.
func WaitForPercent(p float64) StageOption { return func(s *Stage) { s.Wait = Wait{Percent: p} } }

// WithHooks says what is done when the stage has ended.
func WithHooks(h Hooks) StageOption { return func(s *Stage) { s.Hooks = h } }

// Priority is the priority of the stage's jobs. Default: [gearman.Normal].
func Priority(p gearman.Priority) StageOption { return func(s *Stage) { s.Priority = p } }

// Key is what makes a job the same job, in place of all of its arguments: a template over item, such
// as ${{ item.url }}. What it gives is hashed with the function, so any length will do.
func Key(template string) StageOption {
	return func(s *Stage) { s.Key = mustCompile("key", template, itemContexts()...) }
}

// Args is what a job is given, in place of its item: a JSON value in whose strings expressions may
// stand. The function's input must fit.
func Args(template any) StageOption {
	return func(s *Stage) { s.Args = mustCompile("args", template, itemContexts()...) }
}

// FreshFor takes an earlier result of the same key that is not older than d, whatever run it came
// from. Default: only results of this run.
func FreshFor(d time.Duration) StageOption { return func(s *Stage) { s.Fresh = Fresh{For: d} } }

// AlwaysFresh takes any earlier result of the same key that the server still has.
func AlwaysFresh() StageOption { return func(s *Stage) { s.Fresh = Fresh{Always: true} } }

// Version is a part of the stage's keys. A new one is for when the function does other work than
// before.
func Version(v string) StageOption { return func(s *Stage) { s.Version = v } }

// RateLimit lets n jobs start in a time, evenly spread.
func RateLimit(n int, every time.Duration) StageOption {
	return func(s *Stage) { s.Rate = &Rate{Limit: n, Every: every} }
}

// RateLimitPer does the same for each value of a template, such as ${{ host(item.url) }}. Groups do not
// wait for each other.
func RateLimitPer(n int, every time.Duration, template string) StageOption {
	return func(s *Stage) {
		s.Rate = &Rate{Limit: n, Every: every, Per: mustCompile("rate", template, itemContexts()...)}
	}
}

// LimitBy lets a template over params decide a limit when a run begins: LimitBy(LimitParallel,
// "${{ params.n }}"). For [LimitRate] per group, say [RateLimitPer] first, with any rate.
func LimitBy(limit Limit, template string) StageOption {
	t := mustCompile(string(limit), template, expression.ContextParams)
	return func(s *Stage) {
		s.Limits = maps.Clone(s.Limits)
		if s.Limits == nil {
			s.Limits = map[Limit]expression.Template{}
		}
		s.Limits[limit] = t
	}
}

// MaxItems bounds the items of a stage that feeds itself. Default: no bound.
func MaxItems(n int) StageOption {
	return func(s *Stage) { discovery(s).MaxItems = n }
}

// DiscoverItems says by a template over result and item what a result adds to its own stage, in place
// of the function that [Recurse] is given: the Go form of discover's items.
func DiscoverItems(template string) StageOption {
	return func(s *Stage) { discovery(s).Items = mustCompile("items", template, resultContexts()...) }
}

// DiscoverIf says by a template over result and item whether a result adds anything.
func DiscoverIf(template string) StageOption {
	return func(s *Stage) { discovery(s).If = mustCompile("if", template, resultContexts()...) }
}

// DiscoverWith puts members into each new item, which must be a map. Values are JSON values in whose
// strings expressions over result and item may stand.
func DiscoverWith(members map[string]any) StageOption {
	return func(s *Stage) {
		d := discovery(s)
		d.With = make(map[string]any, len(members))
		for name, v := range members {
			t := mustCompile("with", v, resultContexts()...)
			d.With[name] = t
			if t.IsConstant() {
				d.With[name] = t.Source()
			}
		}
	}
}

func discovery(s *Stage) *Discover {
	if s.Discover == nil {
		panic(fmt.Errorf("stage %q: only a stage made by Recurse feeds itself", s.Name))
	}
	return s.Discover
}

// DefineOption says something about a whole pipeline.
type DefineOption func(*Plan)

// Description is one line about the pipeline.
func Description(text string) DefineOption { return func(p *Plan) { p.Description = text } }

// Params declares the parameters that expressions may use.
func Params(params ...Param) DefineOption {
	return func(p *Plan) { p.Params = append(p.Params, params...) }
}

// RunTimeout bounds a whole run.
func RunTimeout(d time.Duration) DefineOption { return func(p *Plan) { p.Timeout = d } }

// RunHooks says what is done when a run has ended.
func RunHooks(h Hooks) DefineOption { return func(p *Plan) { p.Hooks = h } }

// ForEach makes the pipeline's input the elements of a value: a list, a map or a number, with
// expressions over params and run. Without it, the input is what is sent to the run.
func ForEach(template any) DefineOption {
	each := mustCompile("for_each", template, expression.RunContexts()...)
	return func(p *Plan) {
		for i := range p.Stages {
			if in := &p.Stages[i].Input; in.Kind == FromInput {
				in.Kind, in.Each, in.Encoding = FromValue, each, TextOutput
			}
		}
	}
}

// ForMatrix makes the pipeline's input the combinations of lists, a map each, in place of what is sent to
// the run. See [Vary].
func ForMatrix(m Matrix) DefineOption {
	return func(p *Plan) {
		for i := range p.Stages {
			if in := &p.Stages[i].Input; in.Kind == FromInput {
				in.Kind, in.Matrix, in.Encoding = FromMatrix, &m, TextOutput
			}
		}
	}
}

// Vary is one axis of a matrix: a list, with expressions over params and run.
func Vary(name string, values any) Axis {
	return Axis{name, mustCompile(name, values, expression.RunContexts()...)}
}

func itemContexts() []string {
	return append(expression.RunContexts(), expression.ContextItem, expression.ContextIndex)
}

func resultContexts() []string { return append(itemContexts(), expression.ContextResult) }

func mustCompile(what string, source any, contexts ...string) expression.Template {
	t, err := expression.Compile(source, contexts...)
	if err != nil {
		panic(fmt.Errorf("%s: %w", what, err))
	}
	return t
}

func appendNew(names []string, name string) []string {
	for _, old := range names {
		if old == name {
			return names
		}
	}
	return append(names, name)
}
