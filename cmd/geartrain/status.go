package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/geartrain/geartrain/flow"
	"github.com/geartrain/geartrain/flow/runs"
)

func newStatusCommand(std *streams) *cobra.Command {
	l := &lookCommand{std: std}
	return l.register(&cobra.Command{
		Use:     "status RUN",
		Short:   "Say how far a run is, or how it ended, stage by stage",
		Example: "  geartrain status last\n  geartrain status r1.abcdef --json",
		Args:    cobra.ExactArgs(1),
		RunE:    func(_ *cobra.Command, args []string) error { return l.status(args[0]) },
	})
}

// runStatus is the JSON of status.
type runStatus struct {
	runEntry
	Report *flow.Report `json:"report,omitempty"` // of the last start that ended
}

func (l *lookCommand) status(text string) error {
	state, run, err := l.state.find(text)
	if err != nil {
		return err
	}
	defer state.Close()
	s := runStatus{}
	if s.runEntry, err = entryOf(run); err != nil {
		return err
	}
	if s.State != runs.StateRunning {
		if s.Report, err = run.Report(); err != nil {
			return err
		}
	}
	if l.asJSON {
		return printJSON(l.std.out, s)
	}
	return s.print(l.std.out)
}

func (s *runStatus) print(w io.Writer) error {
	fmt.Fprintf(w, "run      %s of %s\n", s.ID, visible(s.Pipeline))
	fmt.Fprintf(w, "state    %s\n", s.State)
	if s.Driver != nil {
		fmt.Fprintf(w, "driver   %s\n", s.Driver)
	}
	if s.File != "" {
		fmt.Fprintf(w, "file     %s\n", visible(s.File))
	}
	if params, err := json.Marshal(s.Params); err == nil && len(s.Params) > 0 {
		fmt.Fprintf(w, "params   %s\n", params)
	}
	fmt.Fprintf(w, "for      %s\n", s.ScheduledAt.UTC().Format(time.RFC3339Nano))
	fmt.Fprintf(w, "started  %s, attempt %d, start %d, took %s\n", s.StartedAt.UTC().Format(time.RFC3339), s.Attempt, s.Starts, s.took(time.Now()))
	if s.Error != "" && s.Ended() {
		fmt.Fprintf(w, "error    %s\n", visible(s.Error))
	}
	if len(s.Stages) == 0 {
		return nil
	}
	fmt.Fprintln(w)
	rows := make([]adminRow, len(s.Stages))
	for i, p := range s.Stages {
		rows[i] = stageRow(p)
	}
	if err := printTable(w, "STAGE STATUS JOBS DONE ANSWERED FAILED OPEN WAITING", rows); err != nil {
		return err
	}
	if s.Report != nil {
		s.printReasons(w)
	}
	return nil
}

// printReasons groups the failures by what they have in common: how many, and one of them.
func (s *runStatus) printReasons(w io.Writer) {
	for _, stage := range s.Report.Stages {
		for _, r := range stage.Reasons {
			fmt.Fprintf(w, "\n%s: %d failed: %s: %s\n    one of them: item %s\n", stage.Stage, r.Count, r.Reason, visible(r.Message), r.Example.Item)
		}
	}
	if s.Failed > 0 {
		fmt.Fprintf(w, "\nonly what failed, again: geartrain retry %s\n", shortID(s.ID))
	}
}

type stageRow flow.StageProgress

func (s stageRow) cells() []string {
	n := strconv.Itoa
	return []string{s.Stage, string(s.Status), n(s.Added), n(s.Done), n(s.Answered), n(s.Failed), n(s.Open), n(s.Waiting)}
}
