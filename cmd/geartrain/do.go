package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/geartrain/geartrain/gearman"
)

// doCommand is `geartrain do`: single jobs, with the letters of the gearman command.
type doCommand struct {
	std     *streams
	logging *logFlags
	servers serverFlags

	key        string
	background bool
	high, low  bool
	noInput    bool
	lines      bool
	stripped   bool
	prefix     bool
	timeout    time.Duration
	options    taskFlags
}

func newDoCommand(std *streams, logging *logFlags) *cobra.Command {
	d := &doCommand{std: std, logging: logging}
	cmd := &cobra.Command{
		Use:   "do FUNCTION [DATA...]",
		Short: "Run a job and print its result; each DATA is a job, without any the payload is standard input",
		Example: `  echo 'hello' | geartrain do reverse
  geartrain do slow -u alpha -s       # no payload; joins the job if one with this key is under way
  geartrain do resize -b photo.png    # in the background: prints the job's handle
  geartrain do report -u 2026-11-30 --retain 24h   # a second one is answered at once
  geartrain do mail -b --at 18:30 --attempts 5 --delay 1m <letter`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return d.run(cmd.Context(), args[0], args[1:])
		},
	}
	flags := cmd.Flags()
	d.servers.register(flags)
	flags.StringVarP(&d.key, "key", "u", "", "the key: jobs with one function and key are one job")
	flags.BoolVarP(&d.background, "background", "b", false, "do not wait; print the handle")
	flags.BoolVarP(&d.high, "high", "I", false, "high priority")
	flags.BoolVarP(&d.low, "low", "L", false, "low priority")
	flags.BoolVarP(&d.noInput, "no-input", "s", false, "send an empty payload, read no standard input")
	flags.BoolVarP(&d.lines, "lines", "n", false, "one job for each line of standard input")
	flags.BoolVarP(&d.stripped, "strip", "N", false, "as -n without the newline, which is put behind each result again")
	flags.BoolVarP(&d.prefix, "prefix", "P", false, "print the function's name before each result")
	flags.DurationVarP(&d.timeout, "timeout", "t", 0, "give up waiting after this time, 0 for never")
	d.options.register(flags)
	return cmd
}

func (d *doCommand) run(ctx context.Context, function string, data []string) error {
	if d.high && d.low {
		return usageError("-I and -L: a job has one priority")
	}
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	if d.timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, d.timeout)
		defer cancel()
	}
	logger, err := d.logging.logger(d.std.err)
	if err != nil {
		return err
	}
	client, err := gearman.NewClient(gearman.ClientConfig{Servers: d.servers.orDefault(), Logger: logger})
	if err != nil {
		return err
	}
	defer client.Close()
	if err := client.Connect(ctx); err != nil {
		return interrupted(ctx, err)
	}
	for payload, err := range d.payloads(data) {
		if err != nil {
			return err
		}
		if err := d.one(ctx, client, function, payload); err != nil {
			return interrupted(ctx, err)
		}
	}
	return nil
}

// interrupted gives the exit code of a signal, or of the end of a wait, to what failed because of it.
func interrupted(ctx context.Context, err error) error {
	switch {
	case ctx.Err() == nil:
	case errors.Is(err, context.Canceled):
		return &codedError{exitInterrupted, errors.New("interrupted; the job may go on at its worker")}
	case errors.Is(err, context.DeadlineExceeded):
		return &codedError{exitTimeout, errors.New("timed out: gave up waiting; the job may go on at its worker")}
	}
	return err
}

// payloads yields one payload for each job.
func (d *doCommand) payloads(data []string) func(yield func([]byte, error) bool) {
	return func(yield func([]byte, error) bool) {
		switch {
		case d.noInput:
			yield(nil, nil)
		case len(data) > 0:
			for _, payload := range data {
				if !yield([]byte(payload), nil) {
					return
				}
			}
		case d.lines || d.stripped:
			d.inputLines(yield)
		default:
			yield(io.ReadAll(d.std.in))
		}
	}
}

func (d *doCommand) inputLines(yield func([]byte, error) bool) {
	input := bufio.NewReader(d.std.in)
	for {
		line, err := input.ReadBytes('\n')
		if d.stripped && len(line) > 0 && line[len(line)-1] == '\n' {
			line = line[:len(line)-1]
		}
		if err == nil || len(line) > 0 {
			if !yield(line, nil) {
				return
			}
		}
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			yield(nil, fmt.Errorf("read standard input: %w", err))
			return
		}
	}
}

func (d *doCommand) one(ctx context.Context, client *gearman.Client, function string, payload []byte) error {
	task := d.task(function, payload)
	if err := d.options.set(&task, time.Now()); err != nil {
		return err
	}
	if !d.background {
		return d.foreground(ctx, client, task)
	}
	handle, err := client.Submit(ctx, task)
	if err != nil {
		return fmt.Errorf("submit %s: %w", function, err)
	}
	_, err = fmt.Fprintln(d.std.out, handle.ID)
	return err
}

func (d *doCommand) task(function string, payload []byte) gearman.Task {
	return gearman.Task{Function: function, Payload: payload, Key: d.key, Priority: d.priority()}
}

// foreground waits for a task and prints what comes of it.
func (d *doCommand) foreground(ctx context.Context, client *gearman.Client, task gearman.Task) error {
	output := jobOutput{std: d.std, prefix: d.prefix, stripped: d.stripped}
	output.watch(&task)
	result, err := client.Do(ctx, task)
	if err != nil {
		return err
	}
	output.result(task.Function, result.Payload)
	return output.err
}

func (d *doCommand) priority() gearman.Priority {
	switch {
	case d.high:
		return gearman.High
	case d.low:
		return gearman.Low
	}
	return gearman.Normal
}
