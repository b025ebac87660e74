package flow

import (
	"fmt"

	"github.com/geartrain/geartrain/flow/expression"
	"github.com/geartrain/geartrain/flow/sources"
	"github.com/geartrain/geartrain/gearman"
)

// If says by a template over params, env, run and stages whether the stage runs. One that does not counts as
// done. Default: it runs.
func If(template string) StageOption {
	return func(s *Stage) { s.If = mustCompile("if", template, expression.RunContexts()...) }
}

// PriorityBy gives each job a priority by a template over item: low, normal or high.
func PriorityBy(template string) StageOption {
	return func(s *Stage) { s.Priorities = mustCompile("priority", template, itemContexts()...) }
}

// TakeLate takes the result of an attempt that comes after its timeout, unless the next attempt's own
// came before. The attempt runs on for that, and the next one joins it. Default: it is ended, and dropped.
func TakeLate() StageOption { return func(s *Stage) { s.Late = AcceptLate } }

// Keeping says where the stage's results are kept. Default: [KeepInline].
func Keeping(k Keep) StageOption { return func(s *Stage) { s.Results.Keep = k } }

// ByArrival has the results in the order in which they come. Default: that of the input.
func ByArrival() StageOption { return func(s *Stage) { s.Results.Arrival = true } }

// Sources makes the contents of files in a folder a part of the keys: a changed file is other work. Each is a
// path or a pattern, and may be a template over item. Paths do not leave the folder.
func Sources(folder string, files ...string) StageOption {
	var all []expression.Template
	for _, name := range files {
		t := mustCompile("sources", name, itemContexts()...)
		if t.IsConstant() {
			if err := sources.Check(name); err != nil {
				panic(fmt.Errorf("Sources: %w", err))
			}
		}
		all = append(all, t)
	}
	return func(s *Stage) { s.Folder, s.Sources = folder, all }
}

// Runs makes a run of another pipeline for each value, driven by the same runner: a job whose result is
// that run's output. The pipeline must take no input, see [ForEach]; what differs from run to run is in
// params, a template over item of what it is given. At most [DefaultParts] are open at once, unless
// [MaxParallel] says otherwise.
func Runs[T, In, Out any](s Stream[T], p *Pipeline[In, Out], params map[string]any, opts ...StageOption) Stream[Out] {
	if p.plan.takesInput() {
		panic(fmt.Errorf("Runs of %s: it takes input, which a part of a pipeline has none of; define it with ForEach", p.plan.Name))
	}
	include := &Include{Plan: p.plan}
	if params != nil {
		include.Params = mustCompile("params", params, itemContexts()...)
	}
	isPart := func(st *Stage) { st.Pipeline, st.Output = include, TextOutput }
	f := gearman.NewFunc[T, Out](p.plan.Name)
	return Stream[Out]{addStage[Out]("Runs", s.edge, f.Name(), append([]StageOption{isPart}, opts...))}
}
