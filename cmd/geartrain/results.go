package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/geartrain/geartrain/flow"
	"github.com/geartrain/geartrain/flow/runs"
)

func newResultsCommand(std *streams) *cobra.Command {
	l := &lookCommand{std: std}
	var failed, items bool
	cmd := &cobra.Command{
		Use:   "results RUN STAGE",
		Short: "Print the results of a stage, or what failed in it",
		Long: `Prints the results of a stage one after the other, in the order of its input. With --failed it prints the failures, a
JSON object on each line. With --items, in place of results or failures, their items as one JSON list, which can be a
parameter of another run.`,
		Example: `  geartrain results last fetch
  geartrain results last fetch --failed
  geartrain run crawl.yaml -p urls="$(geartrain results last fetch --failed --items)"`,
		Args: cobra.ExactArgs(2),
		RunE: func(_ *cobra.Command, args []string) error { return l.results(args[0], args[1], failed, items) },
	}
	cmd.Flags().BoolVar(&failed, "failed", false, "the failures in place of the results")
	cmd.Flags().BoolVar(&items, "items", false, "the items, as one JSON list")
	return l.register(cmd)
}

func (l *lookCommand) results(text, stage string, failed, items bool) error {
	state, run, err := l.state.find(text)
	if err != nil {
		return err
	}
	defer state.Close()
	if err := checkStage(run, stage); err != nil {
		return err
	}
	out := bufio.NewWriter(l.std.out)
	list := &resultList{out: out, asJSON: l.asJSON, items: items}
	if list.results, err = run.Results(); err != nil {
		return err
	}
	defer list.results.Close()
	for it, err := range run.Items(stage) {
		if err == nil && (it.Outcome == flow.OutcomeFailed) == failed {
			err = list.add(&it)
		}
		if err != nil {
			return err
		}
	}
	if err := list.end(); err != nil {
		return err
	}
	return out.Flush()
}

// resultList prints results, failures or items.
type resultList struct {
	out     *bufio.Writer
	results *runs.Results
	asJSON  bool
	items   bool
	count   int
}

// resultEntry is a result or a failure as JSON.
type resultEntry struct {
	Place   int             `json:"index"`
	Item    json.RawMessage `json:"item"`
	Key     string          `json:"key"`
	Attempt int             `json:"attempt"`
	Result  *string         `json:"result,omitempty"`
	Reason  string          `json:"reason,omitempty"`
	Message string          `json:"message,omitempty"`
}

func (l *resultList) add(it *runs.Item) error {
	l.count++
	switch {
	case l.items:
		separator := ","
		if l.count == 1 {
			separator = "["
		}
		_, err := fmt.Fprintf(l.out, "%s%s", separator, it.Item.JSON())
		return err
	case it.Outcome == flow.OutcomeFailed || l.asJSON:
		e := resultEntry{Place: it.Place, Item: it.Item.JSON(), Key: it.Key, Attempt: it.Attempt, Reason: it.Reason, Message: it.Message}
		if p, ok := l.results.Of(it); ok && it.Outcome != flow.OutcomeFailed {
			text := string(p)
			e.Result = &text
		}
		return json.NewEncoder(l.out).Encode(e)
	}
	p, ok := l.results.Of(it)
	if !ok {
		return fmt.Errorf("the result of item %d has been pruned", it.Place)
	}
	_, err := l.out.Write(append(bytes.TrimSuffix(p, []byte("\n")), '\n'))
	return err
}

func (l *resultList) end() error {
	if !l.items {
		return nil
	}
	if l.count == 0 {
		if _, err := l.out.WriteString("["); err != nil {
			return err
		}
	}
	_, err := l.out.WriteString("]\n")
	return err
}
