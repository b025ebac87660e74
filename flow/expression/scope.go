package expression

import (
	"fmt"
	"strings"
	"time"
)

// The contexts: the names that an expression can begin with. Which of them stand for something
// depends on the place; [Compile] is told.
const (
	ContextParams = "params" // params.NAME
	ContextEnv    = "env"    // env.NAME: only what the pipeline declares
	ContextItem   = "item"   // the item of the job, also under the stage's "as" name
	ContextIndex  = "index"  // the place of the item in the stage, from 0
	ContextResult = "result" // in discover: the result just arrived
	ContextStages = "stages" // stages.NAME.results, result, failures, count, status
	ContextRun    = "run"    // run.id, name, scheduled_at, attempt
	ContextError  = "error"  // in hooks: what went wrong
)

// StartContexts is all that is known when a run begins. Limits may be made of it.
func StartContexts() []string { return []string{ContextParams, ContextEnv, ContextRun} }

// RunContexts is what may be used wherever there is no item.
func RunContexts() []string { return append(StartContexts(), ContextStages) }

// Scope is what the expressions of a template are evaluated over. Only what a template uses is
// looked at. A Scope may be shared by many goroutines while nobody changes it.
type Scope struct {
	Params map[string]any
	Env    map[string]string
	Item   any
	Index  int
	Result any
	Error  any
	Run    RunValues
	Stages map[string]StageValues
}

// RunValues is the context run.
type RunValues struct {
	ID          string
	Name        string    // the pipeline's
	ScheduledAt time.Time // the logical time; the text of it in expressions is RFC 3339, in UTC
	Attempt     int
}

// StageValues is the context stages.NAME. Results and Failures are called only when an expression
// uses them, once for each evaluation of the template: who evaluates one often should remember
// what they gave. The lists are not changed. A nil function stands for an empty list.
type StageValues struct {
	Results  func() ([]any, error) // in input order
	Failures func() ([]any, error) // maps with item, reason, message
	Count    int                   // of all jobs
	Status   string                // a Status that has ended: success, partial, failure, skip, blocked, cancellation, timeout
}

// values builds the variables of one template's expressions.
func (s *Scope) values(uses []Use) (map[string]any, error) {
	out := make(map[string]any, 4)
	for _, u := range uses {
		if u.Context == ContextStages {
			if err := s.addStage(out, u); err != nil {
				return nil, err
			}
			continue
		}
		s.add(out, u)
	}
	return out, nil
}

func (s *Scope) add(out map[string]any, u Use) {
	switch u.Context {
	case ContextParams:
		s.addParam(out, u.Name)
	case ContextEnv:
		out[ContextEnv] = s.env()
	case ContextIndex:
		out[ContextIndex] = s.Index
	case ContextResult:
		out[ContextResult] = s.Result
	case ContextError:
		out[ContextError] = s.Error
	case ContextRun:
		out[ContextRun] = s.Run.values()
	default: // item, or its other name
		out[u.Context] = s.Item
	}
}

// addParam puts in one parameter, or with no name all of them.
func (s *Scope) addParam(out map[string]any, name string) {
	params, ok := out[ContextParams].(map[string]any)
	if !ok {
		params = make(map[string]any, len(s.Params))
		out[ContextParams] = params
	}
	if name != "" {
		params[name] = s.Params[name]
		return
	}
	for name, v := range s.Params {
		params[name] = v
	}
}

func (s *Scope) addStage(out map[string]any, u Use) error {
	stages, ok := out[ContextStages].(map[string]any)
	if !ok {
		stages = map[string]any{}
		out[ContextStages] = stages
	}
	values, ok := s.Stages[u.Name]
	if !ok {
		return fmt.Errorf("stage %q has no values here", u.Name)
	}
	stage, ok := stages[u.Name].(map[string]any)
	if !ok {
		stage = map[string]any{}
		stages[u.Name] = stage
	}
	if _, ok := stage[u.Field]; ok {
		return nil
	}
	v, err := values.field(u.Field)
	if err != nil {
		return fmt.Errorf("stages.%s.%s: %w", u.Name, u.Field, err)
	}
	stage[u.Field] = v
	return nil
}

func (s *Scope) env() map[string]any {
	env := make(map[string]any, len(s.Env))
	for name, v := range s.Env {
		env[name] = v
	}
	return env
}

func (r RunValues) values() map[string]any {
	return map[string]any{
		"id":           r.ID,
		"name":         r.Name,
		"scheduled_at": r.ScheduledAt.UTC().Format(time.RFC3339),
		"attempt":      r.Attempt,
	}
}

func (v StageValues) field(name string) (any, error) {
	switch name {
	case "count":
		return v.Count, nil
	case "status":
		return v.Status, nil
	case "failures":
		return listOf(v.Failures)
	}
	results, err := listOf(v.Results)
	if err != nil || name == "results" {
		return results, err
	}
	switch len(results) {
	case 0:
		return nil, nil
	case 1:
		return results[0], nil
	}
	return nil, fmt.Errorf("the stage has %d results; use results for the list", len(results))
}

func listOf(read func() ([]any, error)) ([]any, error) {
	if read == nil {
		return []any{}, nil
	}
	return read()
}

// A dash in the name of a stage or parameter would read as a minus, so while an expression is parsed it
// is replaced by a letter that no such name contains. One character stands for one: columns stay.
const dashLetter = 'ー'

func showDash(name string) string { return strings.ReplaceAll(name, string(dashLetter), "-") }
