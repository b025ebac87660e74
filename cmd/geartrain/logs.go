package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/geartrain/geartrain/flow/runs"
)

// followEvery is how often a log that is followed is looked at.
const followEvery = 200 * time.Millisecond

func newLogsCommand(std *streams) *cobra.Command {
	l := &lookCommand{std: std}
	var follow bool
	cmd := &cobra.Command{
		Use:   "logs RUN [STAGE [ITEM]]",
		Short: "Print what the commands of a run said on standard error",
		Long: `Prints the log lines of commands that ran inside the process that drove the run; workers elsewhere keep their own. ITEM
is the number of the item in its stage, from 0, or the beginning of its key.`,
		Example: "  geartrain logs last\n  geartrain logs last fetch -f\n  geartrain logs last fetch 17",
		Args:    cobra.RangeArgs(1, 3),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
			defer stop()
			return l.logs(ctx, args, follow)
		},
	}
	cmd.Flags().BoolVarP(&follow, "follow", "f", false, "go on as long as the run does")
	return l.register(cmd)
}

func (l *lookCommand) logs(ctx context.Context, args []string, follow bool) error {
	state, run, err := l.state.find(args[0])
	if err != nil {
		return err
	}
	defer state.Close()
	wanted, err := lineFilter(run, args[1:])
	if err != nil {
		return err
	}
	var mark runs.LogMark
	for {
		driven := run.Driven() // before the lines: what is said until then is read
		if mark, err = l.printLines(run, mark, wanted); err != nil {
			return err
		}
		if !follow || !driven {
			return nil
		}
		select {
		case <-time.After(followEvery):
		case <-ctx.Done():
			return nil
		}
	}
}

func (l *lookCommand) printLines(run *runs.Run, mark runs.LogMark, wanted func(*runs.Line) bool) (runs.LogMark, error) {
	encoder := json.NewEncoder(l.std.out)
	for line, at := range run.Lines(mark) {
		mark = at
		if !wanted(&line) {
			continue
		}
		var err error
		if l.asJSON {
			err = encoder.Encode(line)
		} else {
			_, err = fmt.Fprintf(l.std.out, "%s %s: %s\n", line.Time.Local().Format("15:04:05"), visible(line.Stage), visible(line.Text))
		}
		if err != nil {
			return mark, err
		}
	}
	return mark, nil
}

// lineFilter is the stage and the item that are asked for.
func lineFilter(run *runs.Run, args []string) (func(*runs.Line) bool, error) {
	if len(args) == 0 {
		return func(*runs.Line) bool { return true }, nil
	}
	stage, key := args[0], ""
	if err := checkStage(run, stage); err != nil {
		return nil, err
	}
	if len(args) == 2 {
		var err error
		if key, err = keyOfItem(run, stage, args[1]); err != nil {
			return nil, err
		}
	}
	return func(line *runs.Line) bool {
		return line.Stage == stage && (key == "" || line.Key == key)
	}, nil
}

// checkStage finds out whether the run ever came to a stage of that name.
func checkStage(run *runs.Run, name string) error {
	var names []string
	stages, err := run.Progress()
	if err != nil {
		return err
	}
	for _, s := range stages {
		if s.Stage == name {
			return nil
		}
		names = append(names, s.Stage)
	}
	recorded, err := run.Stages()
	if err != nil {
		return err
	}
	for _, s := range recorded {
		if s.Stage == name {
			return nil
		}
	}
	return &codedError{exitNotFound, fmt.Errorf("run %s has no stage %q; it has %s", shortID(run.Record.ID), name, strings.Join(names, ", "))}
}

// keyOfItem is the key of an item by its place or by the beginning of its key.
func keyOfItem(run *runs.Run, stage, text string) (string, error) {
	place, err := strconv.Atoi(text)
	if err != nil {
		place = -1
	}
	for it, err := range run.Records(stage) {
		if err != nil {
			return "", err
		}
		if it.Place == place || place < 0 && strings.HasPrefix(it.Key, text) {
			return it.Key, nil
		}
	}
	return "", &codedError{exitNotFound, fmt.Errorf("stage %q of run %s has no item %q", stage, shortID(run.Record.ID), text)}
}
