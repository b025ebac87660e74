package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/geartrain/geartrain/flow"
	"github.com/geartrain/geartrain/flow/history"
	"github.com/geartrain/geartrain/gearman"
)

// planCommand is `geartrain plan`: what a run would do.
type planCommand struct{ runCommand }

func newPlanCommand(std *streams, logging *logFlags) *cobra.Command {
	p := &planCommand{runCommand{std: std, logging: logging, concurrency: defaultConcurrency()}}
	cmd := &cobra.Command{
		Use:   "plan FILE",
		Short: "Say what a run would do, stage by stage, before anything runs",
		Long: `Goes through a run without doing it. Of each stage it says how many jobs there are: answered (by the results of an
earlier start of this run, by results that are fresh enough, or by those that a server keeps), attached (queued or
running on a server now), new, and joined (equal to another item of the stage). A stage whose items depend on results
that are not there yet stands "after" the stages that give them. A skipped stage counts as done for those that need it.
The times are those of earlier runs. Nothing is submitted and nothing is written. The flags are those of the run that
is meant.`,
		Example: `  geartrain plan crawl.yaml -p seed=https://example.org/
  geartrain plan crawl.yaml -p seed=https://example.org/ --resume
  geartrain plan nightly.yaml -S queue.example:4730 --at 2026-11-22T00:00:00Z --json`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return p.run(cmd.Context(), args[0]) },
	}
	flags := cmd.Flags()
	p.registerWhich(flags)
	flags.BoolVarP(&p.quiet, "quiet", "q", false, "the table alone")
	flags.BoolVar(&p.asJSON, "json", false, "print one JSON object")
	return cmd
}

func (p *planCommand) run(ctx context.Context, file string) error {
	plan, err := loadPlan(p.std, file)
	if err != nil {
		return err
	}
	k, err := p.openKeeper(file)
	if err != nil {
		return err
	}
	err = p.runKept(ctx, file, plan, k)
	if k.state != nil {
		err = errors.Join(err, k.state.Close())
	}
	return err
}

func (p *planCommand) runKept(ctx context.Context, file string, plan *flow.Plan, k *keeper) error {
	options, err := p.options(plan, k)
	if err != nil {
		return err
	}
	forecast, err := p.forecast(ctx, plan, k, options)
	if err != nil {
		return err
	}
	paces := map[string]history.Pace{}
	if k.state != nil {
		if paces, err = history.Paces(k.state, plan.Name); err != nil {
			return err
		}
	}
	total, stages, known := history.Expected(plan, forecast, paces)
	if p.asJSON {
		return p.writeJSON(forecast, total, stages, known)
	}
	if err := p.writeTable(forecast, stages); err != nil {
		return err
	}
	if !p.quiet {
		p.saySum(forecast, total, known)
		fmt.Fprintf(p.std.err, "run it: %s%s\n", p.again(file, options.ScheduledAt), p.otherFlags())
	}
	return nil
}

// otherFlags are those that a run would need to do just this.
func (p *planCommand) otherFlags() string {
	flags := ""
	if p.noData {
		flags += " --no-data"
	}
	flags += p.sampleFlag()
	for _, stage := range p.force {
		if flags += " --force"; stage != flow.ForceAll {
			flags += "=" + quoteWord(stage)
		}
	}
	return flags
}

// forecast looks the jobs up, in the state folder and on the servers.
func (p *planCommand) forecast(ctx context.Context, plan *flow.Plan, k *keeper, options flow.RunOptions) (*flow.Forecast, error) {
	runner := &flow.Runner{}
	servers := p.servers.forFile(plan)
	if servers != nil {
		logger, err := p.logging.logger(p.std.err)
		if err != nil {
			return nil, err
		}
		if runner.Client, err = gearman.NewClient(gearman.ClientConfig{Servers: servers, Logger: logger}); err != nil {
			return nil, err
		}
		defer runner.Client.Close()
		if err := runner.Client.Connect(ctx); err != nil {
			return nil, err
		}
	}
	if k.state == nil {
		return plan.Forecast(ctx, runner, options, nil)
	}
	known, err := k.state.Lookup(options.ID)
	if err != nil {
		return nil, err
	}
	forecast, err := plan.Forecast(ctx, runner, options, known)
	return forecast, errors.Join(err, known.Close())
}

func (p *planCommand) writeTable(f *flow.Forecast, stages map[string]time.Duration) error {
	var table bytes.Buffer
	w := tabwriter.NewWriter(&table, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "STAGE\tJOBS\tANSWERED\tATTACHED\tNEW\tJOINED\tTIME\t")
	for _, s := range f.Stages {
		counts := "-\t-\t-\t-\t-"
		if s.Kind == flow.ForeseenJobs || s.Jobs > 0 {
			counts = fmt.Sprintf("%d\t%d\t%d\t%d\t%d", s.Jobs, s.Answered, s.Attached, s.New, s.Joined)
		}
		expected := ""
		if d := stages[s.Stage]; d > 0 {
			expected = shortTime(d)
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", s.Stage, counts, expected, remarks(s))
	}
	if err := w.Flush(); err != nil {
		return err
	}
	for line := range strings.Lines(table.String()) {
		if _, err := fmt.Fprintln(p.std.out, strings.TrimRight(line, " \n")); err != nil {
			return err
		}
	}
	return nil
}

// remarks is what is to be said of a stage beside its counts.
func remarks(s flow.StageForecast) string {
	var all []string
	switch s.Kind {
	case flow.ForeseenSkip:
		all = append(all, "skipped ("+s.Reason+"); counts as done")
	case flow.ForeseenLater:
		all = append(all, "after "+strings.Join(s.After, ", "))
	case flow.ForeseenError:
		all = append(all, "cannot go well: "+s.Reason)
	}
	if s.Failed > 0 {
		all = append(all, fmt.Sprintf("%d make no job", s.Failed))
	}
	if s.More {
		all = append(all, "more may be found")
	}
	if s.LeftOut > 0 {
		all = append(all, fmt.Sprintf("%d not in the sample", s.LeftOut))
	}
	return strings.Join(all, "; ")
}

// saySum says what it comes to.
func (p *planCommand) saySum(f *flow.Forecast, total time.Duration, known bool) {
	answered, attached, fresh, isWhole := 0, 0, 0, true
	for _, s := range f.Stages {
		answered, attached, fresh = answered+s.Answered, attached+s.Attached, fresh+s.New
		isWhole = isWhole && s.Kind != flow.ForeseenLater && !s.More
	}
	more := ""
	if !isWhole {
		more = " or more"
	}
	fmt.Fprintf(p.std.err, "run %s: %d answered, %d attached, %d new%s", f.Run, answered, attached, fresh, more)
	if known && total > 0 {
		fmt.Fprintf(p.std.err, "; about %s, by earlier runs", shortTime(total))
	}
	fmt.Fprintln(p.std.err)
	if f.Note != "" {
		fmt.Fprintf(p.std.err, "note: %s\n", f.Note)
	}
}

func (p *planCommand) writeJSON(f *flow.Forecast, total time.Duration, stages map[string]time.Duration, known bool) error {
	type stage struct {
		flow.StageForecast
		Expected *float64 `json:"expected_seconds,omitempty"` // absent: not known
	}
	out := struct {
		*flow.Forecast
		Stages   []stage  `json:"stages"`
		Expected *float64 `json:"expected_seconds,omitempty"`
	}{Forecast: f}
	seconds := func(d time.Duration) *float64 { s := d.Seconds(); return &s }
	for _, s := range f.Stages {
		one := stage{StageForecast: s}
		if d, ok := stages[s.Stage]; ok {
			one.Expected = seconds(d)
		}
		out.Stages = append(out.Stages, one)
	}
	if known {
		out.Expected = seconds(total)
	}
	return json.NewEncoder(p.std.out).Encode(out)
}

// shortTime is a duration to about two digits.
func shortTime(d time.Duration) string {
	switch {
	case d >= time.Minute:
		return d.Round(time.Second).String()
	case d >= time.Second:
		return d.Round(100 * time.Millisecond).String()
	}
	return d.Round(time.Millisecond).String()
}
