//go:build unix

package interop_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience is how long a test waits for something that is about to happen. Only a failing test ever
// waits so long: it is a limit for what hangs, and says nothing about how fast a machine is.
const patience = 2 * time.Minute

// process is a program that runs, with what it started, until it ends or the test does.
type process struct {
	cmd  *exec.Cmd
	out  output
	err  output
	done chan struct{} // closed when it has ended; cmd.ProcessState is set then
}

func start(t *testing.T, cmd *exec.Cmd) *process {
	t.Helper()
	p := &process{cmd: cmd, done: make(chan struct{})}
	cmd.Stdout, cmd.Stderr = &p.out, &p.err
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	require.NoError(t, cmd.Start(), "%q", cmd.Args)
	go func() {
		defer close(p.done)
		_ = cmd.Wait() // the test looks at ProcessState
	}()
	t.Cleanup(func() {
		p.kill()
		<-p.done
	})
	return p
}

// kill ends the program and what it started, at once.
func (p *process) kill() { _ = syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL) } // gone is as good

func (p *process) signal(t *testing.T, sig os.Signal) {
	t.Helper()
	require.NoError(t, p.cmd.Process.Signal(sig))
}

func (p *process) ended() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

// wait returns the exit code.
func (p *process) wait(t *testing.T) int {
	t.Helper()
	select {
	case <-p.done:
		return p.cmd.ProcessState.ExitCode()
	case <-time.After(patience):
		require.FailNow(t, "it did not end", "%q printed %q and complained %q", p.cmd.Args, p.out.String(), p.err.String())
		return -1
	}
}

// all is what the program has written in the end, wherever.
func (p *process) all(t *testing.T) string {
	t.Helper()
	p.wait(t)
	return p.out.String() + p.err.String()
}

// run waits for the program, which must succeed, and returns what it printed.
func run(t *testing.T, cmd *exec.Cmd) string {
	t.Helper()
	p := start(t, cmd)
	require.Zero(t, p.wait(t), "%q: %s%s", cmd.Args, p.out.String(), p.err.String())
	return p.out.String()
}

// runLines is run for a program that prints lines.
func runLines(t *testing.T, cmd *exec.Cmd) []string {
	t.Helper()
	return strings.Split(strings.TrimSuffix(run(t, cmd), "\n"), "\n")
}

// output collects what a program writes.
type output struct {
	mu   sync.Mutex // guards text
	text bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

// gate holds jobs until its file is there. They look for it again and again: a pipe would miss those who
// have just looked its name up when its last writer goes.
type gate struct{ path string }

func newGate(t *testing.T) *gate {
	t.Helper()
	return &gate{path: filepath.Join(t.TempDir(), "gate")}
}

// open ends the wait of those who look, and of those who will.
func (g *gate) open(t *testing.T) {
	t.Helper()
	require.NoError(t, os.WriteFile(g.path, nil, 0o600))
}

// payload is a file with the gate's name, for jobs that get it as their payload.
func (g *gate) payload(t *testing.T) string { return file(t, g.path) }

// file is a new file with that text.
func file(t *testing.T, text string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "payload")
	require.NoError(t, os.WriteFile(name, []byte(text), 0o600))
	return name
}

// await looks until it is so.
func await(t *testing.T, what string, so func() bool) {
	t.Helper()
	deadline := time.Now().Add(patience)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !so() {
		require.True(t, time.Now().Before(deadline), "waited in vain until %s", what)
		<-tick.C
	}
}

// needs skips the test where a command is missing.
func needs(t *testing.T, commands ...string) {
	t.Helper()
	for _, name := range commands {
		if _, err := exec.LookPath(name); err != nil {
			t.Skipf("the %s command is not installed", name)
		}
	}
}

// program is the path of a file in testdata/interop.
func program(name string) string { return filepath.Join("..", "..", "testdata", "interop", name) }

// setenv adds to the environment of a program.
func setenv(cmd *exec.Cmd, variables ...string) *exec.Cmd {
	cmd.Env = append(cmd.Environ(), variables...)
	return cmd
}

func pid(p *process) string { return strconv.Itoa(p.cmd.Process.Pid) }
