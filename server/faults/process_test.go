//go:build linux

package faults_test

import (
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/geartrain/geartrain/gearman/protocol"
)

// patience is how long a test waits for something that is about to happen. Only a failing test ever
// waits so long.
const patience = 60 * time.Second

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		if binary, err := built(); err == nil {
			_ = os.RemoveAll(filepath.Dir(binary)) // there is nobody left to tell
		}
		os.Exit(code)
	}))
}

// size is how much of something a test does.
func size(quick, large int) int {
	if os.Getenv("GEARTRAIN_FAULTS") == "" {
		return quick
	}
	return large
}

// built is the command, built once for all tests and taken away after them.
var built = sync.OnceValues(func() (string, error) {
	folder, err := os.MkdirTemp("", "geartrain-faults")
	if err != nil {
		return "", err
	}
	binary := filepath.Join(folder, "geartrain")
	cmd := exec.Command("go", "build", "-buildvcs=false", "-o", binary, "./cmd/geartrain")
	cmd.Dir = filepath.Join("..", "..")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("%w: %s", err, out)
	}
	return binary, nil
})

// process is a server of its own.
type process struct {
	cmd  *exec.Cmd
	addr string
	log  string
	done chan struct{} // closed when it has ended
}

var listening = regexp.MustCompile(`listening on (\S+),`)

func start(t *testing.T, options ...string) *process {
	t.Helper()
	if _, err := exec.LookPath("go"); err != nil {
		t.Skip("the go command, which builds the server, is not installed")
	}
	binary, err := built()
	require.NoError(t, err)
	p := &process{log: filepath.Join(t.TempDir(), "log"), done: make(chan struct{})}
	log, err := os.Create(p.log)
	require.NoError(t, err)
	defer log.Close()
	p.cmd = exec.Command(binary, append([]string{"server", "-p", "0"}, options...)...)
	p.cmd.Stderr = log
	require.NoError(t, p.cmd.Start())
	go func() {
		defer close(p.done)
		_ = p.cmd.Wait() // the test looks at ProcessState
	}()
	t.Cleanup(func() {
		_ = p.cmd.Process.Kill() // gone is as good
		<-p.done
	})
	await(t, "the server listens", func() bool {
		require.False(t, p.ended(), p.logged(t))
		if m := listening.FindStringSubmatch(p.logged(t)); m != nil {
			p.addr = m[1]
		}
		return p.addr != ""
	})
	return p
}

func (p *process) ended() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

func (p *process) signal(t *testing.T, sig os.Signal) {
	t.Helper()
	require.NoError(t, p.cmd.Process.Signal(sig))
}

// wait returns the exit code.
func (p *process) wait(t *testing.T) int {
	t.Helper()
	select {
	case <-p.done:
		return p.cmd.ProcessState.ExitCode()
	case <-time.After(patience):
		require.FailNow(t, "the server did not end", p.logged(t))
		return -1
	}
}

func (p *process) logged(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(p.log)
	require.NoError(t, err)
	return string(text)
}

// unharmed checks that the server lives, and that its log was not flooded.
func (p *process) unharmed(t *testing.T) {
	t.Helper()
	require.False(t, p.ended(), p.logged(t))
	require.Less(t, len(p.logged(t)), 1<<20, "the log")
}

// memory is what the process holds in RAM, in bytes.
func (p *process) memory(t *testing.T) int {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", p.cmd.Process.Pid))
	require.NoError(t, err)
	pages, err := strconv.Atoi(strings.Fields(string(text))[1])
	require.NoError(t, err)
	return pages * os.Getpagesize()
}

// descriptors is how many files the process has open.
func (p *process) descriptors(t *testing.T) int {
	t.Helper()
	open, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", p.cmd.Process.Pid))
	require.NoError(t, err)
	return len(open)
}

// processor is the time that the process has had on a processor.
func (p *process) processor(t *testing.T) time.Duration {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.cmd.Process.Pid))
	require.NoError(t, err)
	_, rest, _ := strings.Cut(string(text), ") ")
	fields := strings.Fields(rest)
	sum := 0
	for _, field := range fields[11:13] {
		n, err := strconv.Atoi(field)
		require.NoError(t, err)
		sum += n
	}
	return time.Duration(sum) * 10 * time.Millisecond
}

// status is the line of a function in the answer to "status".
func (p *process) status(t *testing.T, function string) string {
	t.Helper()
	for line := range strings.Lines(p.admin(t, "status")) {
		if strings.HasPrefix(line, function+"\t") {
			return strings.TrimSpace(strings.TrimPrefix(line, function))
		}
	}
	return ""
}

// admin is the list that answers a command.
func (p *process) admin(t *testing.T, command string) string {
	t.Helper()
	c := dial(t, p)
	defer c.Close()
	c.raw([]byte(command + "\n"))
	require.NoError(t, c.CloseWrite())
	answer, err := io.ReadAll(c)
	require.NoError(t, err)
	return string(answer)
}

// await looks until it is so.
func await(t *testing.T, what string, so func() bool) {
	t.Helper()
	deadline := time.Now().Add(patience)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !so() {
		require.True(t, time.Now().Before(deadline), "waited in vain until %s", what)
		<-tick.C
	}
}

// peer speaks the bare wire.
type peer struct {
	*net.TCPConn
	t  *testing.T
	in *protocol.Reader
}

func dial(t *testing.T, p *process) *peer {
	t.Helper()
	c := reach(t, p)
	require.NotNil(t, c)
	return c
}

// reach is dial for other goroutines than the test's: nil, and an error of the test, if it cannot.
func reach(t *testing.T, p *process) *peer {
	t.Helper()
	c, err := net.Dial("tcp", p.addr)
	if err == nil {
		err = c.SetDeadline(time.Now().Add(4 * patience)) // for all of its life
	}
	if err != nil {
		t.Errorf("connect to the server: %v", err)
		return nil
	}
	t.Cleanup(func() { c.Close() })
	return &peer{TCPConn: c.(*net.TCPConn), t: t, in: protocol.NewReader(c, protocol.Limits{MaxLine: -1})}
}

func packet(typ protocol.Type, args ...string) []byte {
	list := make([][]byte, len(args))
	for i, a := range args {
		list[i] = []byte(a)
	}
	return protocol.AppendPacket(nil, protocol.Request, typ, list...)
}

func (p *peer) raw(b []byte) {
	p.t.Helper()
	_, err := p.Write(b)
	require.NoError(p.t, err)
}

func (p *peer) send(typ protocol.Type, args ...string) {
	p.t.Helper()
	p.raw(packet(typ, args...))
}

// expect receives a packet of type typ and returns its arguments.
func (p *peer) expect(typ protocol.Type) []string {
	p.t.Helper()
	got, err := p.in.Read()
	require.NoError(p.t, err)
	require.Equal(p.t, typ.String(), got.Type.String(), "%q", got.Args)
	args := make([]string, len(got.Args))
	for i, a := range got.Args {
		args[i] = string(a)
	}
	return args
}

// abort closes the connection as the system does for a process that was killed with bytes unread.
func (p *peer) abort() {
	_ = p.SetLinger(0) // it is closed all the same
	p.Close()
}

// quit ends the server as its user does, and it must end well.
func (p *process) quit(t *testing.T) {
	t.Helper()
	p.signal(t, syscall.SIGTERM)
	require.Zero(t, p.wait(t), p.logged(t))
}
