package main

import (
	"bytes"
	"context"
	"fmt"
	"time"

	"github.com/geartrain/geartrain/gearman"
	"github.com/geartrain/geartrain/gearman/command"
)

// work runs the command for each job, one at a time, or prints the payloads.
func (o *oldCommand) work(ctx context.Context, argv []string) error {
	logger, err := o.logging.logger(o.std.err)
	if err != nil {
		return err
	}
	handler := o.print
	if len(argv) > 0 {
		program := &command.Command{Argv: argv, Stderr: o.std.err, Guard: &command.Guard{}}
		if err := program.Check(); err != nil {
			return usageError("%w", err)
		}
		handler = o.program(program)
	}
	worker, err := gearman.NewWorker(gearman.WorkerConfig{Servers: o.servers(), Concurrency: 1, MaxJobs: o.count, Logger: logger})
	if err != nil {
		return err
	}
	idle := o.idle(ctx)
	defer idle.stop()
	for _, function := range o.functions {
		worker.Handle(function, func(ctx context.Context, job *gearman.Job) ([]byte, error) {
			idle.pause()
			defer idle.begin()
			return handler(ctx, job)
		})
	}
	if err := sayReady(); err != nil {
		return err
	}
	err = worker.Run(idle.ctx)
	if ctx.Err() == nil && idle.ctx.Err() != nil {
		return &codedError{exitTimeout, fmt.Errorf("no job within %d ms", o.timeout)}
	}
	return err
}

// idleness ends a worker that has had no job for -t milliseconds.
type idleness struct {
	ctx   context.Context
	stop  context.CancelFunc
	wait  time.Duration
	timer *time.Timer // nil without -t
}

func (o *oldCommand) idle(ctx context.Context) *idleness {
	i := &idleness{wait: time.Duration(o.timeout) * time.Millisecond}
	i.ctx, i.stop = context.WithCancel(ctx)
	if i.wait > 0 {
		i.timer = time.AfterFunc(i.wait, i.stop)
	}
	return i
}

func (i *idleness) pause() {
	if i.timer != nil {
		i.timer.Stop()
	}
}

func (i *idleness) begin() {
	if i.timer != nil {
		i.timer.Reset(i.wait)
	}
}

// print is the handler of a worker without a command.
func (o *oldCommand) print(_ context.Context, job *gearman.Job) ([]byte, error) {
	text := job.Payload()
	if o.do.prefix {
		text = append([]byte(job.Function()+": "), text...)
	}
	if o.stripped {
		text = append(text, '\n')
	}
	_, err := o.std.out.Write(text)
	return nil, err
}

// program is the handler that runs a command. With -n or -N each line of its output is data; otherwise
// the output is the result.
func (o *oldCommand) program(c *command.Command) gearman.HandlerFunc {
	c.LinesAsData = o.lines || o.stripped
	if !o.stripped {
		return c.Handler()
	}
	return func(ctx context.Context, job *gearman.Job) ([]byte, error) {
		result, err := c.Run(ctx, command.Input{Stdin: job.Payload(), Env: command.JobEnv(ctx, job), Progress: strippedLines{job}})
		return result.Stdout, err
	}
}

// strippedLines sends lines as data without their newlines.
type strippedLines struct{ *gearman.Job }

func (l strippedLines) SendData(line []byte) error {
	return l.Job.SendData(bytes.TrimSuffix(line, []byte("\n")))
}
