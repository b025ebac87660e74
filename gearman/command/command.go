package command

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/geartrain/geartrain/gearman"
	"github.com/geartrain/geartrain/gearman/protocol"
)

// Defaults of a [Command].
const (
	// DefaultMaxOutput leaves room for the rest of the packet within the default packet limit.
	DefaultMaxOutput = protocol.DefaultMaxPacket - 4<<10
	DefaultGrace     = 3 * time.Second
)

// Command is a program to run for jobs. It may be used by many goroutines; its fields must not
// change once it is in use. Only Argv is required.
type Command struct {
	Argv []string // the program, found through PATH when it has no slash, and its arguments
	Dir  string   // where it runs. Default: this process's own folder
	Env  []string // NAME=VALUE in addition to what [Environ] lets through; wins over it

	// MaxOutput is the most that a program may print on standard output, in bytes. One that prints
	// more is ended and its job fails with [ErrOutput]. Default: DefaultMaxOutput.
	MaxOutput int64

	// Grace is the time from SIGTERM to SIGKILL, and the time for which the output of a program that
	// has exited may be held open by what it started. Default: DefaultGrace; negative: none.
	Grace time.Duration

	// Stderr gets what is said on standard error, one Write per line, from all running programs at
	// once, so it must be safe for concurrent use. Its errors are ignored. Default: discarded.
	Stderr io.Writer

	// Mask changes each line of standard error, and standard output as a whole, before anybody gets to see
	// them. It may be called from more than one goroutine. Default: nothing is changed.
	Mask func(p []byte) []byte

	// Guard ends the program if this process is killed. Default: it goes on alone then, as any child does.
	Guard *Guard

	// LinesAsData sends each line of standard output as WORK_DATA as soon as it is there. The result
	// is then empty, and MaxOutput does not apply.
	LinesAsData bool
}

// Input is what one run of a Command gets.
type Input struct {
	Stdin  []byte    // all of standard input; a program need not read it
	Argv   []string  // in place of the Command's
	Env    []string  // NAME=VALUE in addition to the Command's; wins over it
	Stderr io.Writer // in place of the Command's

	// Progress gets what the program reports, from more than one goroutine. Default: nobody, and the
	// lines on standard error that report something are log like all others.
	Progress Progress
}

// Progress is where a running program's reports go. A [gearman.Job] is one. Its errors are ignored:
// progress that reaches nobody does not end a job.
type Progress interface {
	SendData(p []byte) error
	SendWarning(p []byte) error
	SendStatus(numerator, denominator int) error
}

// Result is what a program left.
type Result struct {
	Stdout []byte
	Stderr string // its last lines, at most 4 KiB
}

// Check finds what would fail every run: no program, or one that is not there or not executable. It
// runs nothing.
func (c *Command) Check() error {
	if len(c.Argv) == 0 {
		return errors.New("command: no program given")
	}
	path := c.Argv[0]
	if c.Dir != "" && !filepath.IsAbs(path) && filepath.Base(path) != path {
		path = filepath.Join(c.Dir, path) // it is started from there
	}
	if _, err := exec.LookPath(path); err != nil {
		return startError(c.Argv, err)
	}
	return nil
}

// Handler runs the Command for each job of a [gearman.Worker], with [JobEnv] in its environment.
func (c *Command) Handler() gearman.HandlerFunc {
	return func(ctx context.Context, job *gearman.Job) ([]byte, error) {
		res, err := c.Run(ctx, Input{Stdin: job.Payload(), Env: JobEnv(ctx, job), Progress: job})
		return res.Stdout, err
	}
}

// Run runs the program once and returns when it and all of its process group are gone. A program that
// did not end well is an [*ExitError]; one that could not be started is the system's error. The
// Result's Stderr is set in either case, its Stdout only without an error.
func (c *Command) Run(ctx context.Context, in Input) (Result, error) {
	if in.Argv == nil {
		in.Argv = c.Argv
	}
	if in.Stderr == nil {
		in.Stderr = c.Stderr
	}
	if len(in.Argv) == 0 {
		return Result{}, errors.New("command: no program given")
	}
	if err := context.Cause(ctx); err != nil {
		return Result{}, fmt.Errorf("command: %s not started: %w", in.Argv[0], err)
	}
	p, err := start(ctx, c, in)
	if err != nil {
		return Result{}, startError(in.Argv, err)
	}
	return p.wait()
}

func (c *Command) maxOutput() int64 {
	if c.MaxOutput <= 0 {
		return DefaultMaxOutput
	}
	return c.MaxOutput
}

func (c *Command) grace() time.Duration {
	if c.Grace == 0 {
		return DefaultGrace
	}
	return max(c.Grace, time.Millisecond) // zero would mean to wait without end
}

func startError(argv []string, err error) error {
	return fmt.Errorf("command: start %q: %w", argv[0], err)
}
