package flow

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/geartrain/geartrain/flow/expression"
	"github.com/geartrain/geartrain/flow/value"
	"github.com/geartrain/geartrain/flow/wording"
)

// settled is the plan with the limits that a run decides in their places. It is the plan itself when
// there are none. A value that is no limit is a [ParamError]: it came from the parameters.
func (p *Plan) settled(scope *expression.Scope) (*Plan, error) {
	isSettled := true
	for stage, w := range p.works() {
		isSettled = isSettled && len(stage.Limits)+len(w.Limits) == 0
	}
	if isSettled {
		return p, nil
	}
	settled := *p
	settled.Stages = slices.Clone(p.Stages)
	for i := range settled.Stages {
		s := &settled.Stages[i]
		s.Tasks = slices.Clone(s.Tasks)
		all := []*Stage{s}
		if len(s.Tasks) > 0 {
			all = append(all, s.Works()...)
		}
		for _, one := range all {
			if err := one.settle(scope); err != nil {
				problem := ParamProblem{Message: fmt.Sprintf("stage %q: %v", s.Name, err)}
				return nil, &ParamError{Pipeline: p.Name, Problems: []ParamProblem{problem}}
			}
		}
	}
	return &settled, nil
}

// settle puts the values of the stage's limits in their places.
func (s *Stage) settle(scope *expression.Scope) error {
	for _, limit := range slices.Sorted(maps.Keys(s.Limits)) {
		v, err := s.Limits[limit].Eval(scope)
		if err == nil {
			err = s.setLimit(limit, v)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", limit, err)
		}
	}
	return nil
}

// setLimit puts a value in the place that it is for. What is behind pointers is copied first.
func (s *Stage) setLimit(limit Limit, v any) (err error) {
	text, err := value.Text(v)
	if err != nil {
		return err
	}
	switch limit {
	case LimitParallel:
		s.MaxParallel, err = parseCount(text)
	case LimitItems:
		if s.Discover == nil {
			return fmt.Errorf("the stage discovers no items")
		}
		d := *s.Discover
		d.MaxItems, err = parseCount(text)
		s.Discover = &d
	case LimitRate:
		r := Rate{}
		if s.Rate != nil {
			r = *s.Rate
		}
		r.Limit, r.Every, err = ParseRate(text)
		s.Rate = &r
	case LimitTimeout:
		if s.Timeout, err = expression.ParseDuration(text); err == nil && s.Timeout == 0 {
			err = fmt.Errorf("a timeout of zero would end every job at once")
		}
	default:
		return fmt.Errorf("it cannot be an expression")
	}
	return err
}

func parseCount(text string) (int, error) {
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		return 0, fmt.Errorf("%q is not a whole number of 1 or more", wording.Shorten(text, 40))
	}
	return n, nil
}

// ParseRate reads how many jobs may start in what time: 10/s, 600/m, 5/2h.
func ParseRate(text string) (limit int, every time.Duration, err error) {
	wrong := fmt.Errorf("%q is not a rate; write 10/s, 600/m or 100/h", wording.Shorten(text, 40))
	count, unit, ok := strings.Cut(text, "/")
	if limit, err = strconv.Atoi(count); !ok || err != nil || limit < 1 {
		return 0, 0, wrong
	}
	if unit != "" && (unit[0] < '0' || unit[0] > '9') {
		unit = "1" + unit
	}
	if every, err = expression.ParseDuration(unit); err != nil || every == 0 {
		return 0, 0, wrong
	}
	return limit, every, nil
}
