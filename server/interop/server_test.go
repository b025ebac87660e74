//go:build unix

package interop_test

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/geartrain/geartrain/gearman"
	"github.com/geartrain/geartrain/server/servertest"
)

// jobServer is a server under test.
type jobServer struct {
	addr string
	ours *servertest.Server // nil: somebody else's
}

// onServers runs the test against this module's server, and against the reference server where it is
// installed.
func onServers(t *testing.T, test func(t *testing.T, s jobServer)) {
	t.Run("geartrain", func(t *testing.T) {
		t.Parallel()
		test(t, ours(t))
	})
	t.Run("gearmand", func(t *testing.T) {
		t.Parallel()
		test(t, startGearmand(t))
	})
}

func ours(t *testing.T, options ...servertest.Option) jobServer {
	t.Helper()
	s := servertest.Start(t, options...)
	return jobServer{addr: s.Addr, ours: s}
}

// startGearmand runs the reference server, in C.
func startGearmand(t *testing.T) jobServer {
	t.Helper()
	path := findGearmand(t, false)
	addr := servertest.FreeAddress(t)
	host, port, err := net.SplitHostPort(addr)
	require.NoError(t, err)
	return started(t, addr, exec.Command(path, "-L", host, "-p", port, "-l", "none"))
}

// startPerlGearmand runs the first server, in Perl.
func startPerlGearmand(t *testing.T) jobServer {
	t.Helper()
	path := findGearmand(t, true)
	addr := servertest.FreeAddress(t)
	host, port, err := net.SplitHostPort(addr)
	require.NoError(t, err)
	return started(t, addr, exec.Command(path, "-L", host, "-p", port))
}

func started(t *testing.T, addr string, cmd *exec.Cmd) jobServer {
	t.Helper()
	p := start(t, cmd)
	await(t, "the server listens", func() bool {
		require.False(t, p.ended(), "%q: %s", cmd.Args, p.err.String())
		return listens(addr)
	})
	return jobServer{addr: addr}
}

func listens(addr string) bool {
	conn, err := net.Dial("tcp", addr)
	if err == nil {
		conn.Close()
	}
	return err == nil
}

// findGearmand tells two programs of one name apart: one is a script.
func findGearmand(t *testing.T, script bool) string {
	t.Helper()
	for _, dir := range filepath.SplitList(os.Getenv("PATH")) {
		path, err := exec.LookPath(filepath.Join(dir, "gearmand"))
		if err != nil {
			continue
		}
		file, err := os.Open(path)
		require.NoError(t, err)
		head := make([]byte, 2)
		_, err = io.ReadFull(file, head)
		file.Close()
		if err == nil && bytes.Equal(head, []byte("#!")) == script {
			return path
		}
	}
	if script {
		t.Skip("the gearmand in Perl is not installed")
	}
	t.Skip("gearmand is not installed")
	return ""
}

// command is one of the stock commands, with the server's address.
func (s jobServer) command(name string, args ...string) *exec.Cmd {
	host, port, _ := net.SplitHostPort(s.addr) // it was an address before
	return exec.Command(name, append([]string{"-h", host, "-p", port}, args...)...)
}

// admin asks with a command of the text protocol and returns the lines of its list.
func (s jobServer) admin(t *testing.T, command string) []string {
	t.Helper()
	conn, err := net.Dial("tcp", s.addr)
	require.NoError(t, err)
	defer conn.Close()
	require.NoError(t, conn.SetDeadline(time.Now().Add(patience)))
	_, err = io.WriteString(conn, command+"\n")
	require.NoError(t, err)
	var lines []string
	scanner := bufio.NewScanner(conn)
	for scanner.Scan() {
		if scanner.Text() == "." {
			return lines
		}
		lines = append(lines, scanner.Text())
	}
	require.FailNow(t, "the list has no end", "%v, after %q", scanner.Err(), lines)
	return nil
}

// counts is what the command "status" says about a function.
type counts struct{ jobs, running, workers int }

func (s jobServer) status(t *testing.T, function string) counts {
	t.Helper()
	for _, line := range s.admin(t, "status") {
		fields := strings.Split(line, "\t")
		if fields[0] != function {
			continue
		}
		var c counts
		for i, to := range []*int{&c.jobs, &c.running, &c.workers} {
			n, err := strconv.Atoi(fields[i+1])
			require.NoError(t, err, line)
			*to = n
		}
		return c
	}
	return counts{}
}

func (s jobServer) awaitStatus(t *testing.T, function string, want counts) {
	t.Helper()
	await(t, function+" has its jobs and workers", func() bool { return s.status(t, function) == want })
}

// awaitClients looks until that many clients wait for the job with a key.
func (s jobServer) awaitClients(t *testing.T, function, key string, n int) {
	t.Helper()
	client := newClient(t, s)
	await(t, "the clients wait for the job", func() bool {
		status, err := client.StatusByKey(t.Context(), function, key)
		require.NoError(t, err)
		return status.Waiting == n
	})
}

func newClient(t *testing.T, servers ...jobServer) *gearman.Client {
	t.Helper()
	var addrs []string
	for _, s := range servers {
		addrs = append(addrs, s.addr)
	}
	c, err := gearman.NewClient(gearman.ClientConfig{Servers: addrs, Logger: slog.New(slog.DiscardHandler)})
	require.NoError(t, err)
	t.Cleanup(func() { c.Close() })
	return c
}

// startWorker runs a worker with these handlers until the test is over.
func startWorker(t *testing.T, s jobServer, handlers map[string]gearman.HandlerFunc) {
	t.Helper()
	w, err := gearman.NewWorker(gearman.WorkerConfig{Servers: []string{s.addr}, Logger: slog.New(slog.DiscardHandler)})
	require.NoError(t, err)
	for name, h := range handlers {
		w.Handle(name, h)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = w.Run(ctx) // it ends with ctx
	}()
	t.Cleanup(func() {
		cancel()
		<-done
	})
}

func echo(_ context.Context, job *gearman.Job) ([]byte, error) { return job.Payload(), nil }
