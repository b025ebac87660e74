package flow

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/geartrain/geartrain/flow/expression"
	"github.com/geartrain/geartrain/flow/value"
	"github.com/geartrain/geartrain/gearman"
	"github.com/geartrain/geartrain/gearman/command"
)

// errOtherFile: the job was made from another pipeline than the one the worker has.
var errOtherFile = errors.New("the job does not fit this worker's pipeline file; " +
	"do runner and worker have the same version of it?")

// maxVariable is the largest value that a variable of a command's environment gets. Systems refuse to
// start a program with much more.
const maxVariable = 96 << 10

// CommandOptions are how the commands of a pipeline are run. The zero value is good.
type CommandOptions struct {
	Params map[string]any // for expressions in the env of functions and in timeouts. Default: none
	Stderr io.Writer      // gets the commands' log lines; safe for concurrent use. Default: discarded

	// Log gives the writer for the log lines of one job, by its stage, as far as that is known, and its key.
	// Default: Stderr for all.
	Log func(stage, key string) io.Writer

	// MaxOutput bounds what one command may print, in bytes. Default: as much as fits into a packet.
	MaxOutput int64

	// Secrets are the values of the plan's secrets, for the environment of every command. Default: none, and
	// the jobs of a plan that has some fail.
	Secrets *Secrets

	// Guard ends the commands if this process is killed. Default: they go on alone then.
	Guard *command.Guard

	// Run is the id of the only run that the worker works for, when it is inside that run's process.
	// Commands of functions then get GEARTRAIN_RUN, and GEARTRAIN_STAGE when one stage alone has the
	// function. Default: not known.
	Run string
}

// HandleCommands makes w serve every command of the plan: its Functions, and the stages that bring
// their own. It must be called before w runs.
//
// A command is found in the plan only, never in a job: a job brings values, which reach a script
// through its environment and its standard input, and an argument vector in the places where the
// plan has expressions. Of the environment that a job brings, the names that the plan does not have
// are left out.
//
//	ITEM                 the item, or the arguments of a function: text, or JSON if it is no text
//	GEARTRAIN_ARGS       the arguments, likewise; also standard input, unless the stage has a stdin
//	GEARTRAIN_RUN        the run's id, when the job belongs to one run only; of a function see CommandOptions
//	GEARTRAIN_STAGE      the stage's name; of a function likewise
//	GEARTRAIN_ATTEMPT    the number of the attempt at this key, from 1: the server's, or one more than that of
//	                     the last attempt that failed in this worker, whichever is higher
//	GEARTRAIN_FENCE      another text for each attempt, and a later attempt's sorts later: a UUID of version 7,
//	                     from the worker's clock. What is written with it can refuse one that is lower.
//	NAME                 each of the plan's secrets
//	GEARTRAIN_FUNCTION, GEARTRAIN_KEY, GEARTRAIN_HANDLE, GEARTRAIN_DEADLINE
//	                     see [command.JobEnv]
//
// ITEM and GEARTRAIN_ARGS are left out when they are over 96 KiB or hold a NUL byte, which no
// environment can carry; standard input has them in any case.
//
// The timeout of a stage or function holds in the worker too: the command and all it started are
// killed when it is over.
func HandleCommands(w *gearman.Worker, p *Plan, o CommandOptions) {
	h := commandHandlers{worker: w, options: o, attempts: &attempts{}, served: map[string]bool{}}
	for i, plan := range p.Plans() {
		if i > 0 { // the parameters and the run of a part are not known here
			h.options.Params, h.options.Run = nil, ""
		}
		if settled, err := plan.settled(&expression.Scope{Params: h.options.Params}); err == nil { // else some timeouts are not known here
			plan = settled
		}
		h.add(plan)
	}
}

// commandHandlers serve the commands of a plan and of its parts. A function that two of them declare is
// the same in both.
type commandHandlers struct {
	worker   *gearman.Worker
	options  CommandOptions
	attempts *attempts
	served   map[string]bool
}

func (h *commandHandlers) add(p *Plan) {
	for i := range p.Functions {
		f := &p.Functions[i]
		c := newCommandRunner(p, &f.Command, h.options, f.Env)
		c.run, c.stage = h.options.Run, p.onlyStage(f.Name)
		h.serve(f.Name, gearman.FunctionConfig{Timeout: p.functionTimeout(f), MaxParallel: f.MaxParallel}, c, c.function)
	}
	for i := range p.Stages {
		for _, s := range p.Stages[i].Works() {
			if s.Command == nil {
				continue
			}
			c := newCommandRunner(p, s.Command, h.options, s.Env)
			c.stage = p.Stages[i].Name
			h.serve(s.Function, gearman.FunctionConfig{Timeout: s.Timeout}, c, c.job)
		}
	}
}

func (h *commandHandlers) serve(name string, config gearman.FunctionConfig, c *commandRunner, do gearman.HandlerFunc) {
	if h.served[name] {
		return
	}
	h.served[name] = true
	c.attempts = h.attempts
	h.worker.HandleWith(name, config, do)
}

// onlyStage is the stage that has a function, if no other has it.
func (p *Plan) onlyStage(function string) string {
	name := ""
	for stage, w := range p.works() {
		switch {
		case w.Function != function || stage.Name == name:
		case name != "":
			return ""
		default:
			name = stage.Name
		}
	}
	return name
}

// functionTimeout is how long a declared function may take: as it says, else as long as the most patient
// of the stages that use it, none of which may be without a limit.
func (p *Plan) functionTimeout(f *Function) time.Duration {
	if f.Timeout > 0 {
		return f.Timeout
	}
	longest := time.Duration(0)
	for _, w := range p.works() {
		if w.Function == f.Name {
			if w.Timeout == 0 {
				return 0
			}
			longest = max(longest, w.Timeout)
		}
	}
	return longest
}

// patience is how long the client waits for an attempt of a stage. Where a worker of this package ends
// the attempt itself, that comes first: a retry would only join what is being killed.
func (p *Plan) patience(s *Stage) time.Duration {
	if s.Timeout == 0 {
		return 0
	}
	own := s.Command != nil || slices.ContainsFunc(p.Functions, func(f Function) bool {
		return f.Name == s.Function && p.functionTimeout(&f) == s.Timeout
	})
	if own {
		return s.Timeout + gearman.TimeoutSlack
	}
	return s.Timeout
}

// HasCommands reports whether there is anything for [HandleCommands] to serve.
func (p *Plan) HasCommands() bool {
	for _, plan := range p.Plans() {
		if len(plan.Functions) > 0 {
			return true
		}
		for _, w := range plan.works() {
			if w.Command != nil {
				return true
			}
		}
	}
	return false
}

// HasCommandHooks reports whether commands are done at an end of a stage or a run. They run where the
// runner is.
func (p *Plan) HasCommandHooks() bool {
	return slices.ContainsFunc(p.Plans(), func(part *Plan) bool {
		return slices.ContainsFunc(part.AllHooks(), func(h Hook) bool { return h.Command != nil })
	})
}

// AllHooks are the hooks of the plan's stages and of its runs.
func (p *Plan) AllHooks() []Hook {
	var all []Hook
	add := func(h Hooks) { all = slices.Concat(all, h.Success, h.Failure, h.Cancel, h.Exit) }
	for i := range p.Stages {
		add(p.Stages[i].Hooks)
	}
	add(p.Hooks)
	return all
}

// commandRunner runs one command of a plan for jobs.
type commandRunner struct {
	spec     *Command
	program  command.Command
	params   map[string]any
	env      map[string]expression.Template // of the pipeline, and of the function or stage
	attempts *attempts
	log      func(stage, key string) io.Writer
	secrets  *Secrets
	names    []string // of the plan's secrets
	stage    string   // empty: not known
	run      string   // likewise
}

func newCommandRunner(p *Plan, spec *Command, o CommandOptions, env map[string]expression.Template) *commandRunner {
	c := &commandRunner{spec: spec, params: o.Params, log: o.Log, secrets: o.Secrets, names: p.Secrets, env: map[string]expression.Template{}}
	maps.Copy(c.env, p.Env)
	maps.Copy(c.env, env)
	c.program = command.Command{Dir: spec.Dir, Stderr: o.Stderr, MaxOutput: o.MaxOutput, Guard: o.Guard}
	if o.Secrets != nil {
		c.program.Mask = o.Secrets.MaskBytes
	}
	return c
}

// job runs a stage's own command. The payload is an envelope.
func (c *commandRunner) job(ctx context.Context, job *gearman.Job) ([]byte, error) {
	var e envelope
	if err := json.Unmarshal(job.Payload(), &e); err != nil {
		return nil, gearman.NoRetry(fmt.Errorf("%w (%v)", errOtherFile, err))
	}
	argv, err := fillArgv(c.spec.Argv, e.Values)
	if err != nil {
		return nil, gearman.NoRetry(err)
	}
	it := e.Item.item()
	args, stdin := it, it
	if e.Args != nil {
		args, stdin = e.Args.item(), e.Args.item()
	}
	if e.Stdin != nil {
		stdin = e.Stdin.item()
	}
	env := c.declared(e.Env)
	env = appendVariable(env, "ITEM", it.raw)
	env = appendVariable(env, "GEARTRAIN_ARGS", args.raw)
	return c.do(ctx, job, argv, append(env, c.place(e.Run)...), stdin.raw)
}

// function runs the command of a function. The payload is its arguments, as they are.
func (c *commandRunner) function(ctx context.Context, job *gearman.Job) ([]byte, error) {
	args := job.Payload()
	scope := &expression.Scope{Params: c.params, Item: argumentsValue(args)}
	values, err := argvValues(c.spec.Argv, scope)
	if err != nil {
		return nil, gearman.NoRetry(fmt.Errorf("run: %w", err))
	}
	argv, err := fillArgv(c.spec.Argv, values)
	if err != nil {
		return nil, gearman.NoRetry(err)
	}
	maker := commandMaker{env: c.env}
	variables, err := maker.environ(scope)
	if err != nil {
		return nil, gearman.NoRetry(err)
	}
	env := c.declared(variables)
	env = appendVariable(env, "ITEM", args)
	env = appendVariable(env, "GEARTRAIN_ARGS", args)
	return c.do(ctx, job, argv, append(env, c.place(c.run)...), args)
}

// place says which stage of which run a job belongs to, as far as that is known.
func (c *commandRunner) place(run string) (env []string) {
	if c.stage != "" {
		env = append(env, "GEARTRAIN_STAGE="+c.stage)
	}
	if run != "" {
		env = append(env, "GEARTRAIN_RUN="+run)
	}
	return env
}

// argumentsValue is a payload as expressions see it. Whether it was sent as text or as JSON is not
// said, so a map or a list is taken as such, and all else is text.
func argumentsValue(args []byte) any {
	v, err := value.DecodeJSON(args)
	if err != nil {
		return string(args)
	}
	switch v.(type) {
	case map[string]any, []any:
		return v
	}
	return string(args)
}

// declared are the variables whose names the worker's own plan has, in order.
func (c *commandRunner) declared(variables map[string]string) []string {
	env := []string{}
	for _, name := range slices.Sorted(maps.Keys(c.env)) {
		if v, ok := variables[name]; ok {
			env = append(env, name+"="+v)
		}
	}
	return env
}

func (c *commandRunner) do(ctx context.Context, job *gearman.Job, argv, env []string, stdin []byte) ([]byte, error) {
	if err := checkWords(argv, env); err != nil {
		return nil, err
	}
	if c.spec.Script != "" {
		argv = scriptArgv(c.spec.Script)
	}
	secrets, err := c.secrets.environ(c.names)
	if err != nil {
		return nil, gearman.NoRetry(err)
	}
	env = slices.Concat(env, command.JobEnv(ctx, job), secrets)
	return c.attempts.do(job, func(attempt []string) ([]byte, error) {
		in := command.Input{Argv: argv, Env: append(env, attempt...), Stdin: stdin, Progress: job}
		if c.log != nil {
			in.Stderr = c.log(c.stage, job.Key())
		}
		result, err := c.program.Run(ctx, in)
		return result.Stdout, c.secrets.maskError(err)
	})
}

// scriptArgv is how a script is run.
func scriptArgv(script string) []string { return []string{"sh", "-eu", "-c", script} }

// checkWords finds what no argument and no variable can carry.
func checkWords(argv, env []string) error {
	for _, text := range slices.Concat(argv, env) {
		if strings.IndexByte(text, 0) >= 0 {
			return gearman.NoRetry(errors.New("an argument or a variable holds a NUL byte"))
		}
	}
	return nil
}

// appendVariable leaves out what cannot be in an environment.
func appendVariable(env []string, name string, value []byte) []string {
	if len(value) > maxVariable || strings.IndexByte(string(value), 0) >= 0 {
		return env
	}
	return append(env, name+"="+string(value))
}
