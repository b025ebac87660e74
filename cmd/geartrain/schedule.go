package main

import (
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/geartrain/geartrain/flow"
	"github.com/geartrain/geartrain/flow/form"
	"github.com/geartrain/geartrain/flow/runs"
)

func newScheduleCommand(std *streams, logging *logFlags) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "schedule",
		Short: "Runs that are started by the clock",
		Long: `Runs that are started by the clock, as the schedule of their file says. Runners with the same state folder start them:
"geartrain worker --runner" and "geartrain server --runner". The file is read again each time.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newScheduleAddCommand(std, logging), newScheduleListCommand(std), newScheduleRemoveCommand(std))
	return cmd
}

func newScheduleAddCommand(std *streams, logging *logFlags) *cobra.Command {
	r := &runCommand{std: std, logging: logging}
	var name string
	cmd := &cobra.Command{
		Use: "add FILE", Short: "Have runners start the runs of a file when they are due", Args: cobra.ExactArgs(1),
		Example: "  geartrain schedule add nightly.yaml\n  geartrain schedule add nightly.yaml --name nightly-eu -p region=eu",
		RunE:    func(_ *cobra.Command, args []string) error { return r.addSchedule(args[0], name) },
	}
	flags := cmd.Flags()
	r.state.register(flags)
	flags.StringVar(&name, "name", "", "of the schedule (default the pipeline's)")
	flags.StringArrayVarP(&r.params, "param", "p", nil, "a parameter, name=value; may be repeated")
	flags.StringVar(&r.paramsFile, "params", "", "JSON file with parameters; -p wins")
	return cmd
}

func (r *runCommand) addSchedule(file, name string) error {
	plan, err := loadPlan(r.std, file)
	if err != nil {
		return err
	}
	if plan.Schedule == nil {
		return usageError("%s has no schedule; add one, such as schedule: {cron: \"30 2 * * *\", timezone: Europe/Berlin}; nothing was changed", file)
	}
	path, _, err := sourceOf(file)
	if err != nil {
		return err
	}
	given, err := r.givenParams()
	if err != nil {
		return err
	}
	now := time.Now().UTC()
	next, err := plan.Schedule.Next(now)
	if err != nil {
		return err
	}
	if _, err := flow.ParseParams(plan, given, next); err != nil {
		return fmt.Errorf("%w; give them with -p NAME=VALUE; nothing was changed", err)
	}
	state, err := r.state.open()
	if err != nil {
		return err
	}
	defer state.Close()
	if name == "" {
		name = plan.Name
	}
	if err := state.AddSchedule(runs.Schedule{Name: name, File: path, Params: given, AddedAt: now, Seen: now}); err != nil {
		return usageError("%w; nothing was changed", err)
	}
	_, err = fmt.Fprintf(r.std.out, "added %s: due next at %s\n", name, next.Format(time.RFC3339))
	return err
}

// scheduleEntry is a schedule in the list.
type scheduleEntry struct {
	runs.Schedule
	Next      time.Time `json:"next,omitzero"`
	LastState string    `json:"last_state,omitempty"`
}

func newScheduleListCommand(std *streams) *cobra.Command {
	l := &lookCommand{std: std}
	return l.register(&cobra.Command{
		Use: "list", Short: "List schedules: when their next run is due, and how the last one is", Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error { return l.schedules() },
	})
}

func (l *lookCommand) schedules() error {
	state, err := l.state.open()
	if err != nil {
		return err
	}
	defer state.Close()
	all, err := state.Schedules()
	if err != nil {
		return err
	}
	entries := make([]scheduleEntry, len(all))
	rows := make([]adminRow, len(all))
	for i, s := range all {
		entries[i] = l.scheduleEntry(state, s)
		rows[i] = entries[i]
	}
	if l.asJSON {
		return printJSON(l.std.out, entries)
	}
	if len(entries) == 0 {
		fmt.Fprintf(l.std.err, "no schedules in %s; geartrain schedule add FILE makes one\n", state.Dir())
		return nil
	}
	return printTable(l.std.out, "NAME NEXT LAST STATE PENDING FILE TROUBLE", rows)
}

func (l *lookCommand) scheduleEntry(state *runs.State, s runs.Schedule) scheduleEntry {
	e := scheduleEntry{Schedule: s}
	file, err := form.LoadFile(s.File)
	if err == nil && file.Plan.Schedule == nil {
		err = errors.New("the file has no schedule any more")
	}
	if err == nil {
		e.Next, err = file.Plan.Schedule.Next(time.Now())
	}
	if err != nil {
		e.Error = err.Error()
	}
	if run, err := state.Find(s.Last); s.Last != "" && err == nil {
		e.LastState = run.State()
	}
	return e
}

func (e scheduleEntry) cells() []string {
	next, last := "", ""
	if !e.Next.IsZero() {
		next = e.Next.Format(time.RFC3339)
	}
	if e.Last != "" {
		last = shortID(e.Last)
	}
	return []string{e.Name, next, last, e.LastState, strconv.Itoa(len(e.Pending)), e.File, e.Error}
}

func newScheduleRemoveCommand(std *streams) *cobra.Command {
	var flags stateFlags
	cmd := &cobra.Command{
		Use: "remove NAME", Short: "Remove a schedule; its runs stay", Args: cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			state, err := flags.open()
			if err != nil {
				return err
			}
			defer state.Close()
			if err := state.RemoveSchedule(args[0]); err != nil {
				if errors.Is(err, runs.ErrNoSchedule) {
					err = &codedError{exitNotFound, fmt.Errorf("%w; geartrain schedule list lists them; nothing was changed", err)}
				}
				return err
			}
			_, err = fmt.Fprintf(std.out, "removed %s\n", args[0])
			return err
		},
	}
	flags.register(cmd.Flags())
	return cmd
}
