package command

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"time"
)

const (
	// afterKill bounds the wait for the ends of the pipes once the group is killed. Only a process
	// that has left the group can hold them longer.
	afterKill = time.Second

	// groupPoll is how often a group that was told to end is looked at.
	groupPoll = 5 * time.Millisecond
)

// process is one run of a program.
type process struct {
	cmd    *exec.Cmd
	guard  *Guard
	ctx    context.Context // the caller's, ended also by too much output
	cancel context.CancelCauseFunc
	grace  time.Duration

	pipes  []*os.File // our ends of standard output and error
	copied chan struct{}
	output output
	speech speech

	told time.Time // when the group was told to end; zero: it was not
}

// start starts the program. After that, wait must be called.
func start(ctx context.Context, c *Command, in Input) (*process, error) {
	p := &process{guard: c.Guard, grace: c.grace(), copied: make(chan struct{})}
	p.ctx, p.cancel = context.WithCancelCause(ctx)
	p.output = output{limit: c.maxOutput(), stop: func() { p.cancel(ErrOutput) }}
	p.speech = speech{progress: in.Progress, log: in.Stderr, mask: c.Mask}

	p.cmd = exec.CommandContext(p.ctx, in.Argv[0], in.Argv[1:]...)
	p.cmd.Dir = c.Dir
	p.cmd.Env = append(append(Environ(), c.Env...), in.Env...)
	p.cmd.WaitDelay = p.grace // then the program itself is killed, the rest of the group in wait
	p.cmd.Cancel = p.tell
	ownGroup(p.cmd)

	stdin, err := p.launch()
	if err != nil {
		p.cancel(nil)
		return nil, err
	}
	p.copy(stdin, c, in)
	return p, nil
}

// launch connects the pipes and starts the program.
func (p *process) launch() (stdin io.WriteCloser, err error) {
	stdin, err = p.cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	outR, outW, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	errR, errW, err := os.Pipe()
	if err != nil {
		closeAll(outR, outW)
		return nil, err
	}
	p.cmd.Stdout, p.cmd.Stderr = outW, errW
	p.pipes = []*os.File{outR, errR}
	err = p.cmd.Start()
	closeAll(outW, errW)
	if err != nil {
		closeAll(outR, errR)
		return stdin, err
	}
	p.guard.watch(p.cmd.Process.Pid)
	return stdin, nil
}

// copy moves the three streams, each in a goroutine of its own; copied is closed when they are done.
func (p *process) copy(stdin io.WriteCloser, c *Command, in Input) {
	var streams sync.WaitGroup
	streams.Go(func() {
		io.Copy(stdin, bytes.NewReader(in.Stdin)) //nolint:errcheck // a program need not read its input
		stdin.Close()
	})
	streams.Go(func() {
		if c.LinesAsData && in.Progress != nil {
			eachLine(p.pipes[0], func(line []byte) {
				if c.Mask != nil {
					line = c.Mask(line)
				}
				_ = in.Progress.SendData(bytes.Clone(line))
			})
			return
		}
		p.output.read(p.pipes[0])
	})
	streams.Go(func() { eachLine(p.pipes[1], p.speech.line) })
	go func() { // ends with the streams, which wait awaits
		streams.Wait()
		close(p.copied)
	}()
}

// tell asks the group to end. The exec package calls it when the context ends while the program runs.
func (p *process) tell() error {
	err := terminate(p.cmd)
	if !errors.Is(err, os.ErrProcessDone) {
		p.told = time.Now()
	}
	return err
}

// wait returns when nothing of the program is left.
func (p *process) wait() (Result, error) {
	defer p.cancel(nil)
	exit := p.cmd.Wait() // it also closes standard input, so its writer cannot hang
	ended := p.settle()
	killGroup(p.cmd)
	p.guard.forget(p.cmd.Process.Pid)
	p.closePipes()

	result := Result{Stderr: p.speech.last()}
	if err := p.failure(exit, ended, result.Stderr); err != nil {
		return result, err
	}
	if result.Stdout = p.output.bytes; p.speech.mask != nil {
		result.Stdout = p.speech.mask(result.Stdout)
	}
	return result, nil
}

// settle gives what the program started a chance to end well, and reports whether the context ended
// the run.
func (p *process) settle() bool {
	if !p.told.IsZero() {
		p.awaitGroup(p.grace - time.Since(p.told))
		return true
	}
	late := time.NewTimer(p.grace)
	defer late.Stop()
	select {
	case <-p.copied:
	case <-late.C:
	case <-p.ctx.Done():
		return true
	}
	return false
}

// awaitGroup waits until the group is empty, at most d.
func (p *process) awaitGroup(d time.Duration) {
	late := time.NewTimer(d)
	defer late.Stop()
	look := time.NewTicker(groupPoll)
	defer look.Stop()
	for groupAlive(p.cmd) {
		select {
		case <-look.C:
		case <-late.C:
			return
		}
	}
}

// closePipes waits for the ends of standard output and error, and cuts them off when somebody outside
// the group holds them open.
func (p *process) closePipes() {
	late := time.NewTimer(afterKill)
	defer late.Stop()
	select {
	case <-p.copied:
	case <-late.C:
	}
	closeAll(p.pipes...)
	<-p.copied
}

// failure is why the run is not a success, nil when it is.
func (p *process) failure(exit error, ended bool, stderr string) error {
	if exit == nil && !ended && !p.output.over {
		return nil
	}
	e := &ExitError{Program: filepath.Base(p.cmd.Path), Stderr: stderr, Code: -1}
	if state := p.cmd.ProcessState; state != nil {
		e.Code, e.Signal = state.ExitCode(), signalName(state)
	}
	switch {
	case p.output.over:
		e.Cause = outputError(p.output.limit)
	case ended:
		e.Cause, e.context = context.Cause(p.ctx), p.ctx.Err()
	case e.Code <= 0 && e.Signal == "":
		return exit // the system could not wait for it
	}
	return e
}

func closeAll(files ...*os.File) {
	for _, f := range files {
		f.Close() // nothing is buffered in a pipe's end, so nothing can be lost
	}
}
