package flow

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"slices"
	"strings"

	"github.com/geartrain/geartrain/flow/expression"
	"github.com/geartrain/geartrain/flow/value"
)

// Pipeline is a plan whose input and output have types. It may be run many times at once.
type Pipeline[In, Out any] struct{ plan *Plan }

// Define builds a pipeline. build is called at once, with a symbol for the input, and gives the symbol
// of the output; the stages that it names on the way are the plan's. A graph that makes no sense panics
// here, when the program starts, and never in the middle of a run.
func Define[In, Out any](name string, build func(Stream[In]) Single[Out], opts ...DefineOption) *Pipeline[In, Out] {
	p := &Plan{Name: name}
	func() {
		defer func() {
			if err, ok := recover().(error); ok {
				panic(fmt.Errorf("flow: pipeline %q: %w", name, err))
			}
		}()
		b := &builder{plan: p}
		input := Input{Kind: FromInput, Encoding: encodingOf[In]()}
		out := build(Stream[In]{edge{builder: b, input: input}})
		for _, option := range opts {
			option(p)
		}
		b.finish(out.edge)
	}()
	return &Pipeline[In, Out]{plan: p}
}

// finish checks the graph and settles the output.
func (b *builder) finish(out edge) {
	if out.builder != b {
		panic(fmt.Errorf("the result does not come from this pipeline"))
	}
	if len(b.plan.Stages) == 0 {
		panic(fmt.Errorf("no stages"))
	}
	if out.input.Kind != FromStages {
		panic(fmt.Errorf("the result is the input: no stage makes it"))
	}
	inputs := 0
	for i, s := range b.plan.Stages {
		b.check(i, s)
		if s.Input.Kind == FromInput {
			inputs++
		}
	}
	if inputs > 1 {
		panic(fmt.Errorf("%d stages take the input; let one take it, and the others its results", inputs))
	}
	last := b.plan.Stages[len(b.plan.Stages)-1].Name
	if out.input.Gather || out.input.From[0] != last {
		b.plan.Output = mustCompile("output", outputOf(out.input), expression.RunContexts()...)
	}
}

func (b *builder) check(i int, s Stage) {
	before := func(name string) bool {
		return slices.ContainsFunc(b.plan.Stages[:i], func(s Stage) bool { return s.Name == name })
	}
	if s.Function == "" {
		panic(fmt.Errorf("stage %d has no function", i+1))
	}
	if !IsName(s.Name) {
		panic(fmt.Errorf("a stage cannot be named %q; give it another flow.Name, of letters, digits, - and _", s.Name))
	}
	if before(s.Name) {
		panic(fmt.Errorf("stage %q is there twice; give one of them another flow.Name", s.Name))
	}
	for _, need := range s.Needs {
		if !before(need) {
			panic(fmt.Errorf("stage %q needs %q, which is no stage before it", s.Name, need))
		}
	}
}

// outputOf is the expression for an output that is not simply the last stage's.
func outputOf(in Input) string {
	if !in.Gather {
		return fmt.Sprintf("${{ stages.%s.result }}", in.From[0])
	}
	lists := make([]string, len(in.From))
	for i, name := range in.From {
		lists[i] = "stages." + name + ".results"
	}
	list := lists[0]
	if len(lists) > 1 {
		list = "flatten([" + strings.Join(lists, ", ") + "])"
	}
	if in.Flatten {
		list = "flatten(" + list + ")"
	}
	return "${{ " + list + " }}"
}

// Plan is the untyped graph, the same that the YAML form becomes.
func (p *Pipeline[In, Out]) Plan() *Plan { return p.plan }

// Run runs the pipeline on all of in, which is iterated over in the caller's goroutine, and waits for
// its end. A pipeline defined with [ForEach] takes no input; in is then nil. For errors see [Plan.Run].
func (p *Pipeline[In, Out]) Run(ctx context.Context, r *Runner, in iter.Seq[In]) (Out, error) {
	run, err := p.Start(ctx, r, RunOptions{})
	if err != nil {
		return *new(Out), err
	}
	if in != nil {
		for v := range in {
			if err := run.Send(ctx, v); err != nil {
				break // the run has ended, and Wait says why
			}
		}
	}
	run.CloseInput()
	return run.Wait()
}

// Start begins a run, for when the input comes slowly or can fail. Input and Output of the options are
// not used.
func (p *Pipeline[In, Out]) Start(ctx context.Context, r *Runner, o RunOptions) (*PipelineRun[In, Out], error) {
	typed := &PipelineRun[In, Out]{}
	o.Output = &typed.output
	run, err := p.plan.Start(ctx, r, o)
	if err != nil {
		return nil, err
	}
	typed.Run = run
	return typed, nil
}

// PipelineRun is a [Run] whose input and output have types.
type PipelineRun[In, Out any] struct {
	*Run
	output bytes.Buffer // written by the run, read when it has ended
}

// Send is [Run.Send] of a value.
func (r *PipelineRun[In, Out]) Send(ctx context.Context, v In) error {
	raw, err := encode(v)
	if err != nil {
		return fmt.Errorf("send to pipeline %q: %w", r.plan.Name, err)
	}
	return r.Run.Send(ctx, raw)
}

// Wait waits for the end of the run and gives the pipeline's output. With an error the output is the
// zero value; the report has what was done.
func (r *PipelineRun[In, Out]) Wait() (Out, error) {
	if _, err := r.Run.Wait(); err != nil {
		return *new(Out), err
	}
	out, err := decode[Out](bytes.TrimSuffix(r.output.Bytes(), []byte("\n")))
	if err != nil {
		return out, fmt.Errorf("output of pipeline %q: %w", r.plan.Name, err)
	}
	return out, nil
}

// Report waits for the end of the run and says what became of each stage.
func (r *PipelineRun[In, Out]) Report() *Report {
	report, _ := r.Run.Wait() // the error is in the report, stage by stage
	return report
}

// encode and decode are how values cross the wire, as [gearman.Func] does it.
func encode[T any](v T) ([]byte, error) {
	switch v := any(v).(type) {
	case string:
		return []byte(v), nil
	case []byte:
		return v, nil
	}
	return value.EncodeJSON(v)
}

func decode[T any](p []byte) (v T, err error) {
	switch to := any(&v).(type) {
	case *string:
		*to = string(p)
		return v, nil
	case *[]byte:
		*to = p
		return v, nil
	}
	err = json.Unmarshal(p, &v)
	return v, err
}
