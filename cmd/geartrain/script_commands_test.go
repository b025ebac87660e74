package main

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// exits runs a program, which must end with a certain code.
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE PROGRAM [ARGS...]")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	got := 0
	if err := ts.Exec(args[1], args[2:]...); err != nil {
		var ended *exec.ExitError
		if !errors.As(err, &ended) {
			ts.Fatalf("%v", err)
		}
		got = ended.ExitCode()
	}
	if got != want {
		ts.Fatalf("exit code %d, want %d", got, want)
	}
}

// keep makes a variable of what the last program has printed.
func keep(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: keep NAME")
	}
	ts.Setenv(args[0], strings.TrimSpace(ts.ReadFile("stdout")))
}

// processOf is the process whose id is in a file, or will be in a moment: a file is there before its text.
func processOf(ts *testscript.TestScript, file string) *os.Process {
	poll(ts, func() bool { return strings.TrimSpace(ts.ReadFile(file)) != "" }, file+" stayed empty")
	pid, err := strconv.Atoi(strings.TrimSpace(ts.ReadFile(file)))
	ts.Check(err)
	process, err := os.FindProcess(pid)
	ts.Check(err)
	return process
}

// reap ends a process in the background with the script.
func reap(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: reap PIDFILE")
	}
	process := processOf(ts, args[0])
	ts.Defer(func() { _ = process.Kill() }) // mostly it is gone, which is as good
}

// signalTo sends a signal to a process.
func signalTo(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 || scriptSignals[args[0]] == nil {
		ts.Fatalf("usage: signal HUP|INT|TERM|USR1 PIDFILE")
	}
	ts.Check(processOf(ts, args[1]).Signal(scriptSignals[args[0]]))
}

func waitGone(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: wait-gone FILE")
	}
	name := ts.MkAbs(args[0])
	poll(ts, func() bool {
		_, err := os.Stat(name)
		return errors.Is(err, fs.ErrNotExist)
	}, args[0]+" is still there")
}

// poll looks until it is so.
func poll(ts *testscript.TestScript, so func() bool, otherwise string) {
	deadline := time.After(patience)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !so() {
		select {
		case <-tick.C:
		case <-deadline:
			ts.Fatalf("%s after %s", otherwise, patience)
		}
	}
}
