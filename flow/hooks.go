package flow

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/geartrain/geartrain/flow/expression"
	"github.com/geartrain/geartrain/flow/value"
	"github.com/geartrain/geartrain/flow/wording"
	"github.com/geartrain/geartrain/gearman"
	"github.com/geartrain/geartrain/gearman/command"
)

// DefaultHookTimeout is how long a hook may take that does not say.
const DefaultHookTimeout = time.Minute

// ending is the end of a run or of a stage, for which hooks are done. The end of the run's context does
// not touch them: that is what some of them are for.
//
//	ended ──► on_success | on_failure | on_cancel, one after the other ──► on_exit ──► the run returns
type ending struct {
	run    *Run
	stage  string // empty: the run
	status Status
	err    error
	news   bool   // some job was run, so it is not the end that was told before
	report any    // becomes JSON
	text   string // the report for people
}

// doHooks does the run's own hooks.
func (r *Run) doHooks() error {
	e := &ending{run: r, status: r.report.Status, err: r.err, report: r.report}
	for _, s := range r.report.Stages {
		e.text += s.summary() + "\n"
		e.news = e.news || s.hasNews()
	}
	if r.journal != nil { // who cannot keep that the run has ended must not tell it either
		if err := r.journal.Flush(); err != nil {
			return err
		}
	}
	var err error
	r.report.Hooks, err = e.do(r.plan.Hooks)
	return err
}

// doHooks does the stage's hooks. One that did not begin has none to do.
func (s *stageRun) doHooks() {
	report := s.stageReport()
	if report.StartedAt.IsZero() {
		return
	}
	e := &ending{run: s.run, stage: s.spec.Name, status: report.Status, err: s.endError(), report: report, text: report.summary(), news: report.hasNews()}
	s.setHooks(e.do(s.spec.Hooks))
}

func (s *stageRun) setHooks(done []HookReport, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hooks, s.hookErr = done, err
}

// hookError is what the hooks of the stages came to grief with.
func (r *Run) hookError() error {
	var errs []error
	for _, s := range r.stages {
		s.mu.Lock()
		errs = append(errs, s.hookErr)
		s.mu.Unlock()
	}
	return errors.Join(errs...)
}

// of names the list of hooks for a way to end, and gives it.
func (h *Hooks) of(s Status) (on string, hooks []Hook) {
	switch s {
	case Success, Partial:
		return "on_success", h.Success
	case Failure, TimedOut:
		return "on_failure", h.Failure
	case Cancelled:
		return "on_cancel", h.Cancel
	}
	return "", nil
}

func (e *ending) do(h Hooks) (done []HookReport, err error) {
	if e.run.runner.Tape != nil || e.run.foresight != nil {
		return nil, nil
	}
	on, hooks := h.of(e.status)
	var errs []error
	each := func(on string, hooks []Hook) {
		for i := range hooks {
			report, err := e.once(&hooks[i], HookID{e.stage, on, i, e.status})
			if err != nil {
				errs = append(errs, fmt.Errorf("%w: %s: %w", ErrHook, e.name(on), err))
			}
			done = append(done, report)
		}
	}
	each(on, hooks)
	each("on_exit", h.Exit)
	return done, errors.Join(errs...)
}

// once does a hook, unless this very end has been told before: in this attempt at the run, or in an earlier
// one, and no job has run since.
func (e *ending) once(h *Hook, id HookID) (HookReport, error) {
	journal, attempt := e.run.journal, e.run.values.Attempt
	if journal != nil {
		old, ok := journal.Hook(id)
		switch {
		case ok && old.Attempt == attempt && old.Report.Error != "":
			return old.Report, errors.New(old.Report.Error)
		case ok && old.Report.Error == "" && (old.Attempt == attempt || !e.news):
			return old.Report, nil
		}
	}
	report := HookReport{On: id.On, Hook: h.String(), StartedAt: time.Now()}
	err := e.run.runner.Secrets.maskError(e.hook(h, fmt.Sprintf("%s.%d", id.On, id.Index)))
	if err != nil {
		report.Error = printable([]byte(err.Error()))
	}
	report.EndedAt = time.Now()
	if journal != nil {
		err = errors.Join(err, journal.HookDone(&HookRecord{id, attempt, report}))
	}
	return report, err
}

func (e *ending) name(on string) string {
	if e.stage == "" {
		return on
	}
	return on + " of stage " + e.stage
}

// hook does one hook. place tells it from the others of the same end.
func (e *ending) hook(h *Hook, place string) error {
	timeout := cmp.Or(h.Timeout, DefaultHookTimeout)
	ctx, cancel := context.WithTimeoutCause(e.run.hooks, timeout, fmt.Errorf("not done after %s", timeout))
	defer cancel()
	report, err := value.EncodeJSON(e.report)
	if err != nil {
		return err
	}
	scope := e.run.scope(h.templates()...)
	scope.Error = e.errorValue()
	if h.Command != nil {
		return e.command(ctx, h, scope, report)
	}
	args, err := evaluated(h.Args, scope, item{report, jsonItem})
	if err != nil {
		return fmt.Errorf("args: %w", err)
	}
	return e.submit(ctx, h.Function, place, args.raw)
}

func (h *Hook) templates() []expression.Template {
	all := append([]expression.Template{h.Args}, slices.Collect(maps.Values(h.Env))...)
	if h.Command != nil {
		all = append(all, h.Command.Argv...)
	}
	return all
}

// String is the function, or the first line of the command.
func (h *Hook) String() string {
	switch {
	case h.Command == nil:
		return h.Function
	case h.Command.Script != "":
		line, _, _ := strings.Cut(strings.TrimSpace(h.Command.Script), "\n")
		return wording.Shorten(line, 100)
	}
	words := make([]string, len(h.Command.Argv))
	for i, t := range h.Command.Argv {
		words[i] = t.String()
	}
	return wording.Shorten(strings.Join(words, " "), 100)
}

// command runs a hook in this process. What it prints is log: the standard output belongs to the
// pipeline.
func (e *ending) command(ctx context.Context, h *Hook, scope *expression.Scope, report []byte) error {
	argv, err := hookArgv(h.Command, scope)
	if err != nil {
		return err
	}
	env, err := e.environ(h, scope)
	if err != nil {
		return err
	}
	if err := checkWords(argv, env); err != nil {
		return err
	}
	secrets, err := e.run.runner.Secrets.environ(e.run.plan.Secrets)
	if err != nil {
		return err
	}
	env = append(env, secrets...)
	program := command.Command{Dir: h.Command.Dir, Stderr: e.run.runner.Stderr, Guard: e.run.runner.Guard}
	if e.run.runner.Secrets != nil {
		program.Mask = e.run.runner.Secrets.MaskBytes
	}
	result, err := program.Run(ctx, command.Input{Argv: argv, Env: env, Stdin: report})
	if w := program.Stderr; w != nil && len(result.Stdout) > 0 {
		_, _ = w.Write(append(bytes.TrimSuffix(result.Stdout, []byte("\n")), '\n')) // as with all log lines
	}
	return err
}

func hookArgv(c *Command, scope *expression.Scope) ([]string, error) {
	if c.Script != "" {
		return scriptArgv(c.Script), nil
	}
	values, err := argvValues(c.Argv, scope)
	if err != nil {
		return nil, fmt.Errorf("run: %w", err)
	}
	return fillArgv(c.Argv, values)
}

// environ is the pipeline's env, the hook's, and what is known of the end.
func (e *ending) environ(h *Hook, scope *expression.Scope) ([]string, error) {
	maker := commandMaker{env: h.Env}
	own, err := maker.environ(scope)
	if err != nil {
		return nil, err
	}
	all := maps.Clone(e.run.env)
	maps.Copy(all, own)
	var env []string
	for _, name := range slices.Sorted(maps.Keys(all)) {
		env = append(env, name+"="+all[name])
	}
	env = append(env, "GEARTRAIN_RUN="+e.run.id, "GEARTRAIN_PIPELINE="+e.run.plan.Name, "GEARTRAIN_STATUS="+string(e.status))
	if e.stage != "" {
		env = append(env, "GEARTRAIN_STAGE="+e.stage)
	}
	env = appendVariable(env, "GEARTRAIN_REASON", []byte(e.reason()))
	return appendVariable(env, "GEARTRAIN_SUMMARY", []byte(strings.TrimSuffix(e.text, "\n"))), nil
}

// reason is why it did not end well, empty if it did.
func (e *ending) reason() string {
	if e.err == nil {
		return ""
	}
	return printable([]byte(e.err.Error()))
}

// errorValue is the context error.
func (e *ending) errorValue() any {
	if e.err == nil {
		return nil
	}
	return map[string]any{"message": e.reason(), "status": string(e.status)}
}

// submit makes a job of a hook. Its key is that of the hook in this run: where the server retains
// results, a run that is started again after its hooks does not do them again.
func (e *ending) submit(ctx context.Context, function, place string, payload []byte) error {
	id := []any{"hook", e.stage, place, string(e.status)}
	if attempt := e.run.values.Attempt; attempt > 1 {
		id = append(id, attempt)
	}
	parts := KeyParts{Function: function, Scope: e.run.id, Kind: KeyJSON, Arguments: id}
	key, err := parts.Key()
	if err != nil {
		return err
	}
	set := e.run.submitter.open(ctx, 1)
	set.add(gearman.Task{
		Function: function, Payload: payload, Key: key, Retain: e.run.retention,
		Labels: gearman.Labels{Run: e.run.id, Stage: e.stage}, EndUnwanted: true,
		OnComplete: func(gearman.Result) {}, OnFail: func(failed error) { err = failed },
	})
	set.wait()
	return err
}

// hasNews reports whether the stage did anything that it had no answer for.
func (s StageReport) hasNews() bool { return s.Done-s.Answered-s.Joined > 0 || s.Failed+s.Dropped > 0 }

// summary is the stage in one line, for people.
func (s StageReport) summary() string {
	text := fmt.Sprintf("%s: %s, %d done, %d failed", s.Stage, s.Status, s.Done, s.Failed)
	if s.Dropped > 0 {
		text += fmt.Sprintf(", %d dropped", s.Dropped)
	}
	if len(s.Reasons) > 0 {
		text += fmt.Sprintf(" (%d: %s)", s.Reasons[0].Count, s.Reasons[0].Message)
	}
	return text
}
