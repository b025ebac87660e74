package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/geartrain/geartrain/flow"
	"github.com/geartrain/geartrain/flow/runs"
)

// lookCommand is what the commands that look at kept runs have in common.
type lookCommand struct {
	std    *streams
	state  stateFlags
	asJSON bool
}

func (l *lookCommand) register(cmd *cobra.Command) *cobra.Command {
	l.state.register(cmd.Flags())
	cmd.Flags().BoolVar(&l.asJSON, "json", false, "print JSON")
	return cmd
}

// runEntry is one run in the list.
type runEntry struct {
	runs.Record
	State  string               `json:"state"`
	Driver *runs.Holder         `json:"driver,omitempty"` // who drives it now
	Stages []flow.StageProgress `json:"stages"`
}

func newPsCommand(std *streams) *cobra.Command {
	l := &lookCommand{std: std}
	var all bool
	var limit int
	cmd := &cobra.Command{
		Use:   "ps",
		Short: "List the runs that are kept, the one started last first",
		Long: `Lists runs: their state is running while some process drives them, unfinished when none does and they did not come to
their end, else how they ended. A run's id may be shortened wherever one is asked for; "last" is the first of the list.`,
		Example: `  geartrain ps
  geartrain ps --all --json`,
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error { return l.list(all, limit) },
	}
	cmd.Flags().BoolVarP(&all, "all", "a", false, "all runs, not the last ones alone")
	cmd.Flags().IntVarP(&limit, "number", "n", 20, "so many runs")
	return l.register(cmd)
}

func (l *lookCommand) list(all bool, limit int) error {
	state, err := l.state.open()
	if err != nil {
		return err
	}
	defer state.Close()
	list, err := state.List()
	if err != nil {
		return err
	}
	if !all && len(list) > limit {
		list = list[:max(limit, 0)]
	}
	entries := make([]runEntry, len(list))
	for i, run := range list {
		if entries[i], err = entryOf(run); err != nil {
			return err
		}
	}
	if l.asJSON {
		return printJSON(l.std.out, entries)
	}
	if len(entries) == 0 {
		fmt.Fprintf(l.std.err, "no runs in %s; geartrain run FILE makes one\n", state.Dir())
		return nil
	}
	rows := make([]adminRow, len(entries))
	for i, e := range entries {
		rows[i] = e
	}
	return printTable(l.std.out, "RUN PIPELINE STATE JOBS FAILED STARTED TOOK FOR", rows)
}

func entryOf(run *runs.Run) (runEntry, error) {
	e := runEntry{Record: run.Record, State: run.State()}
	stages, err := run.Progress()
	e.Stages = stages
	if e.Stages == nil {
		e.Stages = []flow.StageProgress{}
	}
	if e.State == runs.StateRunning {
		if h, err := run.Driver(); err == nil {
			e.Driver = &h
		}
	}
	return e, err
}

func (e runEntry) cells() []string {
	done, added, failed := 0, 0, 0
	for _, s := range e.Stages {
		done, added, failed = done+s.Ended(), added+s.Added, failed+s.Failed
	}
	return []string{
		shortID(e.ID), e.Pipeline, e.State, fmt.Sprintf("%d/%d", done, added), fmt.Sprint(failed),
		e.StartedAt.Local().Format("2006-01-02 15:04:05"), e.took(time.Now()), e.ScheduledAt.UTC().Format(time.RFC3339),
	}
}

// took is how long the last start took, or has taken.
func (e runEntry) took(now time.Time) string {
	switch {
	case e.State == runs.StateRunning:
	case e.Ended():
		now = e.EndedAt
	default:
		return "-" // nobody knows when it was killed
	}
	return now.Sub(e.StartedAt).Round(100 * time.Millisecond).String()
}

// shortID is enough of an id to find the run by.
func shortID(id string) string {
	form, bare, _ := strings.Cut(id, ".")
	return form + "." + bare[:min(len(bare), 10)]
}
