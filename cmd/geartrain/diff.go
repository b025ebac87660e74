package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/geartrain/geartrain/flow/change"
	"github.com/geartrain/geartrain/flow/history"
)

// diffCommand is `geartrain diff`: what is different between two runs.
type diffCommand struct {
	std    *streams
	state  stateFlags
	limit  int
	asJSON bool
}

func newDiffCommand(std *streams) *cobra.Command {
	d := &diffCommand{std: std}
	cmd := &cobra.Command{
		Use:   "diff RUN RUN",
		Short: "Say what is different in the second run: items, arguments, results",
		Long: `Compares two runs by the arguments of their jobs, stage by stage: items that were added or are gone, items with other
arguments, and jobs with the same arguments and another result. The runs need not have run at the same time or in the same
order. RUN is a run's id, a beginning of it, or "last". Exit code 0: the runs are the same; 1: they are not.`,
		Example: `  geartrain diff r1.xlr2 last`,
		Args:    cobra.ExactArgs(2),
		RunE:    func(_ *cobra.Command, args []string) error { return d.run(args[0], args[1]) },
	}
	d.state.register(cmd.Flags())
	cmd.Flags().IntVar(&d.limit, "limit", 10, "name so many items of each kind")
	cmd.Flags().BoolVar(&d.asJSON, "json", false, "print one JSON object")
	return cmd
}

func (d *diffCommand) run(before, after string) error {
	state, old, err := d.state.find(before)
	if err != nil {
		return err
	}
	defer state.Close() // it is only read
	now, err := state.Find(after)
	if err != nil {
		return notFound(err)
	}
	difference, err := history.Diff(old, now, max(d.limit, 0))
	if err != nil {
		return err
	}
	if d.asJSON {
		err = json.NewEncoder(d.std.out).Encode(difference)
	} else {
		err = writeDifference(d.std.out, difference)
	}
	for _, s := range difference.Stages {
		if !s.IsEmpty() && err == nil {
			return &codedError{code: exitFailed}
		}
	}
	return err
}

func writeDifference(w io.Writer, d *history.Difference) error {
	var b strings.Builder
	fmt.Fprintf(&b, "--- %s\n+++ %s\n", d.Old, d.New)
	for _, p := range d.Params {
		fmt.Fprintf(&b, "parameter %s\n", p)
	}
	if d.File {
		b.WriteString("the pipeline file is another one\n")
	}
	for i := range d.Stages {
		writeStageDifference(&b, &d.Stages[i])
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func writeStageDifference(b *strings.Builder, s *history.StageDifference) {
	fmt.Fprintf(b, "%s: %d the same, %d added, %d gone, %d with other arguments, %d with another result\n",
		s.Stage, s.Same, s.Added, s.Gone, s.Arguments, s.Results)
	for _, one := range s.Function {
		fmt.Fprintf(b, "    %s\n", one)
	}
	writeNotes(b, "+", s.AddedItems, s.Added)
	writeNotes(b, "-", s.GoneItems, s.Gone)
	writeChanges(b, "arguments", s.ArgumentsOf, s.Arguments)
	writeChanges(b, "result", s.ResultsOf, s.Results)
}

func writeNotes(b *strings.Builder, sign string, items []history.ItemNote, count int) {
	for _, it := range items {
		fmt.Fprintf(b, "  %s %s\n", sign, change.Short(it.Item))
	}
	writeRest(b, sign, count-len(items))
}

func writeChanges(b *strings.Builder, what string, items []history.ItemChange, count int) {
	for _, it := range items {
		fmt.Fprintf(b, "  ~ %s: %s\n", change.Short(it.New.Item), what)
		for _, one := range it.Changes {
			fmt.Fprintf(b, "      %s\n", one)
		}
		if it.Count > len(it.Changes) {
			fmt.Fprintf(b, "      and %d more\n", it.Count-len(it.Changes))
		}
	}
	writeRest(b, "~", count-len(items))
}

func writeRest(b *strings.Builder, sign string, more int) {
	if more > 0 {
		fmt.Fprintf(b, "  %s and %d more\n", sign, more)
	}
}
