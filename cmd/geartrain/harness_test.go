package main

import (
	"bufio"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// patience is how long a test waits for something that is about to happen. Only a failing test
// ever waits so long: it is a limit for what hangs, and says nothing about how fast a machine is.
const patience = 2 * time.Minute

func goEnv(name string) string {
	out, err := exec.Command("go", "env", name).Output()
	if err != nil {
		return os.Getenv(name)
	}
	return strings.TrimSpace(string(out))
}

// moduleRoot is the folder of go.mod; tests run in the folder of their package.
func moduleRoot() string {
	root, err := filepath.Abs("../..")
	if err != nil {
		panic(err)
	}
	return root
}

var listening = regexp.MustCompile(`listening on (\S+),`)

// startServer runs the real command on a free port and ends it with the script.
func startServer(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) == 0 {
		ts.Fatalf("usage: startserver NAME [FLAGS...]")
	}
	geartrain, err := exec.LookPath("geartrain")
	ts.Check(err)
	cmd := exec.Command(geartrain, append([]string{"server", "-p", "0"}, args[1:]...)...)
	log, err := cmd.StderrPipe()
	ts.Check(err)
	ts.Check(cmd.Start())
	ts.Defer(func() {
		_ = cmd.Process.Signal(os.Interrupt)
		_ = cmd.Wait()
	})
	lines := bufio.NewScanner(log)
	for lines.Scan() {
		if m := listening.FindStringSubmatch(lines.Text()); m != nil {
			ts.Setenv(args[0], m[1])
			go io.Copy(io.Discard, log) // ends with the server: its log must not fill the pipe
			return
		}
		ts.Logf("%s", lines.Text())
	}
	ts.Fatalf("the server did not start")
}

func waitFor(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: wait-for FILE")
	}
	name := ts.MkAbs(args[0])
	poll(ts, func() bool {
		_, err := os.Stat(name)
		return err == nil
	}, args[0]+" is not there")
}
