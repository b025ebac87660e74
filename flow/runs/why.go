package runs

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/geartrain/geartrain/flow"
	"github.com/geartrain/geartrain/gearman"
)

// Reason says why a stage has jobs that have not ended.
type Reason struct {
	Stage string `json:"stage"`
	Jobs  int    `json:"jobs"` // that wait for it
	Text  string `json:"text"`
	Stuck bool   `json:"stuck"` // no worker is at it
}

func (r Reason) String() string { return r.Stage + ": " + r.Text }

// function is what the servers together say of a function.
type function struct{ queued, running, workers int }

// Why asks the servers what the stages of a run wait for. Stages that have ended, and those whose needs have
// not, are left out, unless nothing else can be said.
func Why(ctx context.Context, servers []string, plan *flow.Plan, stages []flow.StageProgress) ([]Reason, error) {
	functions, err := askFunctions(ctx, servers)
	if err != nil {
		return nil, err
	}
	ended := map[string]bool{}
	for _, p := range stages {
		ended[p.Stage] = p.Status.Ended()
	}
	var reasons, blocked []Reason
	for _, p := range stages {
		i := slices.IndexFunc(plan.Stages, func(s flow.Stage) bool { return s.Name == p.Stage })
		switch {
		case i < 0 || p.Status.Ended():
		case p.Status == flow.Waiting:
			if needs := slices.DeleteFunc(slices.Clone(plan.Stages[i].Needs), func(n string) bool { return ended[n] }); len(needs) > 0 {
				blocked = append(blocked, Reason{Stage: p.Stage, Text: "waits for " + strings.Join(needs, ", ")})
			}
		default:
			reasons = append(reasons, stageReasons(&plan.Stages[i], p, functions)...)
		}
	}
	if len(reasons) == 0 {
		return blocked, nil
	}
	return reasons, nil
}

// stageReasons is why the jobs of a running stage have not ended.
func stageReasons(s *flow.Stage, p flow.StageProgress, functions map[string]function) (reasons []Reason) {
	say := func(stuck bool, jobs int, format string, args ...any) {
		reasons = append(reasons, Reason{s.Name, jobs, fmt.Sprintf(format, args...), stuck})
	}
	for _, name := range functionsOf(s) {
		f := functions[name]
		queued := min(f.queued, p.Open)
		switch {
		case p.Open == 0:
		case f.workers == 0 && f.running == 0:
			say(true, p.Open, "%d queued: no worker has %s on any server", p.Open, name)
		case queued > 0 && f.running == 0:
			say(true, queued, "%d queued: the workers that have %s are busy with other functions, or it is paused", queued, name)
		case queued > 0:
			say(false, queued, "%d queued: workers do %d jobs of %s at a time", queued, f.running, name)
		case f.running > 0:
			say(false, p.Open, "%d running", min(f.running, p.Open))
		default:
			say(false, p.Open, "%d wait to be tried again", p.Open)
		}
	}
	if p.Waiting > 0 && p.Open == 0 {
		say(false, p.Waiting, "%d not submitted: the rate of the stage lets them wait", p.Waiting)
	}
	if p.Waiting == 0 && p.Open == 0 && !p.InputClosed {
		say(false, 0, "its input has not ended, and brings nothing now")
	}
	return reasons
}

// functionsOf are the functions of a stage's jobs.
func functionsOf(s *flow.Stage) []string {
	if len(s.Tasks) == 0 {
		if s.Function == "" || s.Pipeline != nil {
			return nil
		}
		return []string{s.Function}
	}
	var names []string
	for i := range s.Tasks {
		for _, name := range functionsOf(&s.Tasks[i]) {
			if !slices.Contains(names, name) {
				names = append(names, name)
			}
		}
	}
	return names
}

// askFunctions adds up what the servers say. One that cannot be reached is no error while another can.
func askFunctions(ctx context.Context, servers []string) (map[string]function, error) {
	all := map[string]function{}
	var errs []error
	for _, server := range servers {
		list, err := askServer(ctx, server)
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", server, err))
			continue
		}
		for _, f := range list {
			sum := all[f.Function]
			sum.queued += f.Jobs - f.Running
			sum.running += f.Running
			sum.workers += f.Available
			all[f.Function] = sum
		}
	}
	if len(errs) == len(servers) {
		return nil, errors.Join(errs...)
	}
	return all, nil
}

func askServer(ctx context.Context, server string) ([]gearman.FunctionStatus, error) {
	admin, err := gearman.DialAdmin(ctx, gearman.AdminConfig{Server: server})
	if err != nil {
		return nil, err
	}
	defer admin.Close()
	return admin.Functions(ctx)
}

// HasRunner reports whether some worker of the servers drives runs.
func HasRunner(ctx context.Context, servers []string) (bool, error) {
	functions, err := askFunctions(ctx, servers)
	return functions[Function].workers > 0, err
}
