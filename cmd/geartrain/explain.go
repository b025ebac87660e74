package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/geartrain/geartrain/flow/change"
	"github.com/geartrain/geartrain/flow/history"
	"github.com/geartrain/geartrain/flow/runs"
)

// explainCommand is `geartrain explain`: why a job ran, or did not.
type explainCommand struct {
	std    *streams
	state  stateFlags
	asJSON bool
}

func newExplainCommand(std *streams) *cobra.Command {
	e := &explainCommand{std: std}
	cmd := &cobra.Command{
		Use:   "explain KEY | RUN STAGE ITEM",
		Short: "Say why a job ran again: what is different from the nearest earlier run",
		Long: `Says of one job which part of its key is another one than in the nearest earlier run of the same work: an argument,
a file, the function's version, the run, or the policy. KEY is a job's key or a beginning of it; RUN is a run's id, a
beginning of it, or "last"; ITEM is the index of an item from 0, the item itself, or a part of it that no other has.`,
		Example: `  geartrain explain last fetch https://example.org/
  geartrain explain r1.xlr2 load 3
  geartrain explain f1.m5qxs`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 && len(args) != 3 {
				return fmt.Errorf("want a KEY, or RUN STAGE ITEM")
			}
			return nil
		},
		RunE: func(_ *cobra.Command, args []string) error { return e.run(args) },
	}
	e.state.register(cmd.Flags())
	cmd.Flags().BoolVar(&e.asJSON, "json", false, "print one JSON object")
	return cmd
}

func (e *explainCommand) run(args []string) error {
	state, err := e.state.open()
	if err != nil {
		return err
	}
	defer state.Close() // it is only read
	run, item, err := e.find(state, args)
	if err != nil {
		return notFound(err)
	}
	explanation, err := history.Explain(state, run, item)
	if err != nil {
		return notFound(err)
	}
	if e.asJSON {
		return json.NewEncoder(e.std.out).Encode(explanation)
	}
	return writeExplanation(e.std.out, explanation)
}

func (e *explainCommand) find(state *runs.State, args []string) (*runs.Run, runs.Item, error) {
	if len(args) == 1 {
		return history.FindJob(state, args[0])
	}
	run, err := state.Find(args[0])
	if err != nil {
		return nil, runs.Item{}, err
	}
	item, err := history.FindItem(run, args[1], args[2])
	return run, item, err
}

// notFound gives errors of that kind their exit code.
func notFound(err error) error {
	if errors.Is(err, runs.ErrNotFound) || errors.Is(err, history.ErrNoItem) || errors.Is(err, history.ErrNoStage) {
		return &codedError{exitNotFound, err}
	}
	return err
}

func writeExplanation(w io.Writer, e *history.Explanation) error {
	var b strings.Builder
	fmt.Fprintf(&b, "job   %s\n", e.Item.Key)
	fmt.Fprintf(&b, "item  %d of stage %s of run %s: %s\n", e.Item.Place, e.Stage, e.Run, change.Short(e.Item.Item))
	end := string(e.Item.Outcome)
	if e.Ran {
		end += fmt.Sprintf(", attempt %d, %s", e.Attempt, shortTime(time.Duration(e.Seconds*float64(time.Second))))
	}
	fmt.Fprintf(&b, "end   %s at %s\n", end, e.EndedAt.Format(time.RFC3339))
	for _, reason := range e.Reasons {
		fmt.Fprintf(&b, "why   %s\n", reason)
	}
	for _, one := range e.Changes {
		fmt.Fprintf(&b, "        %s\n", one)
	}
	if e.Count > len(e.Changes) {
		fmt.Fprintf(&b, "        and %d more\n", e.Count-len(e.Changes))
	}
	if e.Against != nil {
		fmt.Fprintf(&b, "than  item %d of run %s, which ended at %s\n", e.Against.Item.Place, e.Against.Run, e.Against.EndedAt.Format(time.RFC3339))
	}
	_, err := io.WriteString(w, b.String())
	return err
}
