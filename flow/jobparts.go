package flow

import (
	"errors"
	"fmt"

	"github.com/geartrain/geartrain/flow/value"
	"github.com/geartrain/geartrain/flow/wording"
)

// JobParts is what the keys are made of that a run's stage gives its jobs for one item: one job, or one of
// each task. Of the options ID, Params and ScheduledAt are used. A stage whose items are all in one job takes
// them as a JSON list; one that has none takes an item of kind [KeyNone].
func (p *Plan) JobParts(o RunOptions, stage string, it Datum, index int) ([]KeyParts, error) {
	r := &Run{plan: p, runner: &Runner{}}
	err := r.identify(o)
	if err == nil {
		err = r.addStages()
	}
	if err != nil {
		return nil, fmt.Errorf("pipeline %q: %w", p.Name, err)
	}
	defer func() {
		for _, s := range r.stages {
			s.close()
		}
	}()
	s := r.stage(stage)
	if s == nil {
		var names []string
		for _, s := range r.stages {
			names = append(names, s.spec.Name)
		}
		err := fmt.Errorf("%q is no stage of pipeline %q", stage, p.Name)
		if hint := wording.DidYouMean(stage, names); hint != "" {
			err = fmt.Errorf("%w; %s", err, hint)
		}
		return nil, err
	}
	return s.jobParts(it, index)
}

func (s *stageRun) jobParts(it Datum, index int) ([]KeyParts, error) {
	var all []KeyParts
	for _, spec := range s.spec.Works() {
		parts, err := s.workParts(spec, it, index)
		if err != nil {
			return nil, fmt.Errorf("stage %q: %w", s.spec.Name, err)
		}
		all = append(all, parts)
	}
	return all, nil
}

// workParts is what the key of one job is made of, by way of the job itself.
func (s *stageRun) workParts(spec *Stage, it Datum, index int) (KeyParts, error) {
	hasItems := s.spec.Input.Kind != Once || spec.Input.Kind != Once
	switch {
	case hasItems && it.Kind == KeyNone:
		return KeyParts{}, errors.New("it has items, and a key is that of one of them")
	case !hasItems && it.Kind != KeyNone:
		return KeyParts{}, errors.New("it has no items")
	}
	m, err := newJobMaker(s, spec)
	if err != nil {
		return KeyParts{}, err
	}
	for _, t := range m.templates {
		if names := t.Stages(); len(names) > 0 {
			return KeyParts{}, fmt.Errorf("its keys depend on the results of stage %q, which only a run has", names[0])
		}
	}
	given, err := it.item()
	if err != nil {
		return KeyParts{}, err
	}
	j, err := m.make(given, 0, index)
	if err != nil {
		return KeyParts{}, err
	}
	arguments, err := j.arguments.datum().arguments()
	return KeyParts{spec.Function, spec.Version, s.run.scopeOf(spec), j.arguments.datum().Kind, arguments}, err
}

// item is item.datum undone. A JSON text is the text, as in a list of items.
func (d Datum) item() (item, error) {
	switch d.Kind {
	case KeyNone:
		return item{}, nil
	case KeyJSON:
		v, err := value.DecodeJSON(d.Raw)
		if err != nil {
			return item{}, fmt.Errorf("item: %w", err)
		}
		return itemOf(v)
	}
	return item{d.Raw, textItem}, nil
}

// arguments are those of [KeyParts].
func (d Datum) arguments() (any, error) {
	switch d.Kind {
	case KeyNone:
		return nil, nil
	case KeyJSON:
		return value.DecodeJSON(d.Raw)
	case KeyText:
		return string(d.Raw), nil
	}
	return d.Raw, nil
}
