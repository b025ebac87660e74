package flow

import (
	"bytes"
	"context"
	"fmt"
	"iter"
	"slices"

	"github.com/geartrain/geartrain/flow/value"
)

// Works are what makes the stage's jobs: its tasks, or the stage itself.
func (s *Stage) Works() []*Stage {
	if len(s.Tasks) == 0 {
		return []*Stage{s}
	}
	works := make([]*Stage, len(s.Tasks))
	for i := range s.Tasks {
		works[i] = &s.Tasks[i]
	}
	return works
}

// Plans are the plan and all that are parts of it, directly or not, each once, the plan itself first.
func (p *Plan) Plans() []*Plan {
	all := []*Plan{p}
	for i := 0; i < len(all); i++ {
		for j := range all[i].Stages {
			for _, w := range all[i].Stages[j].Works() {
				if w.Pipeline != nil && !slices.Contains(all, w.Pipeline.Plan) {
					all = append(all, w.Pipeline.Plan)
				}
			}
		}
	}
	return all
}

// works are all that make jobs of the plan's own stages, each with its stage.
func (p *Plan) works() iter.Seq2[*Stage, *Stage] {
	return func(yield func(stage, work *Stage) bool) {
		for i := range p.Stages {
			for _, w := range p.Stages[i].Works() {
				if !yield(&p.Stages[i], w) {
					return
				}
			}
		}
	}
}

// waitsFor is the stages that must have ended: those that it needs, and those whose results its tasks read.
func (s *Stage) waitsFor() []string {
	names := slices.Clone(s.Needs)
	for i := range s.Tasks {
		for _, name := range s.Tasks[i].Input.From {
			names = appendNew(names, name)
		}
	}
	return names
}

// hasParts reports whether jobs of the stage are runs of other pipelines.
func (s *Stage) hasParts() bool {
	return slices.ContainsFunc(s.Works(), func(w *Stage) bool { return w.Pipeline != nil })
}

// taskItems gives the items of a stage of unlike tasks. Those of the stage are for each of its tasks, one
// after the other; in a stage without any, each task has its own, or is done once.
func (s *stageRun) taskItems(ctx context.Context, items iter.Seq2[incoming, error]) iter.Seq2[incoming, error] {
	tasks, err := s.chosenTasks()
	if err != nil {
		return fails(err)
	}
	if s.spec.Input.Kind == Once {
		return s.ownItems(ctx, tasks)
	}
	return func(yield func(incoming, error) bool) {
		index := 0
		for e, err := range items {
			e.index, e.tasked = index, true
			if s.streams() && len(s.from) == 1 && !s.spec.Input.Flatten && s.spec.Input.Batch == 0 {
				e.index = e.origin.place // the order in which they arrive is chance
			}
			index++
			for _, task := range tasks {
				e.task = task
				if !yield(e, err) || err != nil {
					return
				}
			}
		}
	}
}

func (s *stageRun) ownItems(ctx context.Context, tasks []int) iter.Seq2[incoming, error] {
	return func(yield func(incoming, error) bool) {
		for _, task := range tasks {
			index := 0
			for e, err := range s.inputItems(ctx, &s.spec.Tasks[task].Input) {
				e.task, e.index, e.tasked = task, index, true
				index++
				if !yield(e, err) || err != nil {
					return
				}
			}
		}
	}
}

// chosenTasks are the tasks whose condition holds.
func (s *stageRun) chosenTasks() (chosen []int, err error) {
	for i := range s.spec.Tasks {
		t := &s.spec.Tasks[i]
		run, err := holds(t.If, s.run.scope(t.If))
		if err != nil {
			return nil, fmt.Errorf("task %d: %w", i+1, err)
		}
		if run {
			chosen = append(chosen, i)
		}
	}
	return chosen, nil
}

// read makes an item of what a worker gave, or a run of another pipeline.
func (j *job) read(p []byte) (item, error) {
	if j.maker.spec.Pipeline != nil {
		return mixedItem(p)
	}
	return j.maker.spec.Output.read(p)
}

// keep is how a result is kept. Where their forms differ, text is a JSON string.
func (s *stageRun) keep(it item) ([]byte, error) {
	if !s.mixed || it.form == jsonItem {
		return it.raw, nil
	}
	return it.appendJSON(nil)
}

// kept is the result that was kept so.
func (s *stageRun) kept(p []byte) item {
	if !s.mixed {
		return item{p, s.spec.Output.form()}
	}
	it, err := mixedItem(p)
	if err != nil { // it was JSON when it was kept
		return item{p, jsonItem}
	}
	return it
}

// mixedItem is the item of a JSON value that may be text.
func mixedItem(p []byte) (item, error) {
	if !bytes.HasPrefix(p, []byte{'"'}) {
		return item{p, jsonItem}, nil
	}
	v, err := value.DecodeJSON(p)
	if err != nil {
		return item{}, err
	}
	return itemOf(v)
}

// put keeps the result of a place, if the stage keeps any.
func (s *stageRun) put(place int, p []byte) error {
	if s.spec.Results.Keep == KeepNone {
		return nil
	}
	return s.results.put(place, p)
}
