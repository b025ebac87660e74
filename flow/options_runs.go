package flow

import (
	"fmt"

	"github.com/geartrain/geartrain/flow/expression"
)

// ScheduledBy says when runs are due. A cron line or a time zone that makes no sense panics.
func ScheduledBy(s Schedule) DefineOption {
	for _, line := range s.Cron {
		if err := CheckCron(line); err != nil {
			panic(fmt.Errorf("ScheduledBy: %w", err))
		}
	}
	if err := CheckTimezone(s.Timezone); err != nil {
		panic(fmt.Errorf("ScheduledBy: %w", err))
	}
	return func(p *Plan) { p.Schedule = &s }
}

// MaxRuns bounds the runs of the pipeline at once. Default: no bound.
func MaxRuns(n int) DefineOption { return func(p *Plan) { p.MaxRuns = n } }

// OneOf puts a run into a group, by a template over params, of which one run at a time is driven. An
// empty template is the pipeline itself.
func OneOf(group string, c Conflict) DefineOption {
	t := expression.Template{}
	if group != "" {
		t = mustCompile("group", group, expression.StartContexts()...)
	}
	return func(p *Plan) { p.Concurrency = &Concurrency{Group: t, OnConflict: c} }
}

// SecretNames names the variables that commands and hooks get from where they run, see [ReadSecrets].
func SecretNames(names ...string) DefineOption {
	return func(p *Plan) { p.Secrets = append(p.Secrets, names...) }
}
