//go:build unix

package interop_test

import (
	"context"
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/geartrain/geartrain/gearman"
	"github.com/geartrain/geartrain/server/servertest"
)

// dropIn is a script with the name gearmand, for programs that start that one.
type dropIn string

func newDropIn(t *testing.T, geartrain string) dropIn {
	t.Helper()
	script := filepath.Join(t.TempDir(), "gearmand")
	require.NoError(t, os.WriteFile(script, []byte("#!/bin/sh\nexec "+geartrain+" server \"$@\"\n"), 0o700))
	return dropIn(script)
}

// command starts it by a shell: the system refuses to execute a file that a program, forked a moment ago by another
// test, may still have open for writing.
func (d dropIn) command(args ...string) *exec.Cmd {
	return exec.Command("sh", append([]string{string(d)}, args...)...)
}

// buildGeartrain is this module's command.
func buildGeartrain(t *testing.T) string {
	t.Helper()
	needs(t, "go")
	binary := filepath.Join(t.TempDir(), "geartrain")
	cmd := exec.Command("go", "build", "-buildvcs=false", "-o", binary, "./cmd/geartrain")
	cmd.Dir = filepath.Join("..", "..")
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, string(out))
	return binary
}

// TestDropIn starts this server as gearmand is started, and ends it as gearmand is ended.
func TestDropIn(t *testing.T) {
	t.Parallel()
	gearmand := newDropIn(t, buildGeartrain(t))
	options := strings.Fields("-t 4 --verbose INFO --job-retries 3 -w 1 -R")

	for _, sig := range []syscall.Signal{syscall.SIGTERM, syscall.SIGUSR1, syscall.SIGINT} {
		t.Run(sig.String(), func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			addr := servertest.FreeAddress(t)
			host, port, err := net.SplitHostPort(addr)
			require.NoError(t, err)
			p := start(t, gearmand.command(append(options, "-L", host, "-p", port, "-P", dir+"/pid", "-l", dir+"/log")...))
			s := awaitListening(t, p, addr)
			useAsGearmand(t, s)
			require.Equal(t, strconv.Itoa(p.cmd.Process.Pid), readPid(t, dir+"/pid"))
			p.signal(t, sig)
			require.Zero(t, p.wait(t), p.err.String())
			require.NoFileExists(t, dir+"/pid")
		})
	}

	t.Run("in the background", func(t *testing.T) {
		t.Parallel()
		dir := t.TempDir()
		addr := servertest.FreeAddress(t)
		host, port, err := net.SplitHostPort(addr)
		require.NoError(t, err)
		p := start(t, gearmand.command(append(options, "-d", "-L", host, "-p", port, "-P", dir+"/pid", "-l", dir+"/log")...))
		require.Zero(t, p.wait(t), p.err.String())
		pid, err := strconv.Atoi(readPid(t, dir+"/pid")) // it listens when the one in the foreground has ended
		require.NoError(t, err)
		require.NotEqual(t, p.cmd.Process.Pid, pid)
		t.Cleanup(func() { _ = syscall.Kill(pid, syscall.SIGKILL) }) // gone is as good
		useAsGearmand(t, jobServer{addr: addr})
		require.NoError(t, syscall.Kill(pid, syscall.SIGHUP))
		useAsGearmand(t, jobServer{addr: addr})
		require.NoError(t, syscall.Kill(pid, syscall.SIGTERM))
		await(t, "the server has gone", func() bool {
			_, err := os.Stat(dir + "/pid")
			return errors.Is(err, os.ErrNotExist) && !listens(addr)
		})
	})
}

func awaitListening(t *testing.T, p *process, addr string) jobServer {
	t.Helper()
	await(t, "the server listens", func() bool {
		require.False(t, p.ended(), "%q: %s", p.cmd.Args, p.err.String())
		return listens(addr)
	})
	return jobServer{addr: addr}
}

func readPid(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(name)
	require.NoError(t, err)
	return strings.TrimSpace(string(text))
}

// useAsGearmand is what a program does with the server that it has started.
func useAsGearmand(t *testing.T, s jobServer) {
	t.Helper()
	startWorker(t, s, map[string]gearman.HandlerFunc{"echo": echo})
	client := newClient(t, s)
	r, err := client.Do(t.Context(), gearman.Task{Function: "echo", Payload: []byte("hello")})
	require.NoError(t, err)
	require.Equal(t, "hello", string(r.Payload))
	if _, err := exec.LookPath("gearadmin"); err != nil {
		return
	}
	require.Regexp(t, `^\S+\n$`, run(t, s.command("gearadmin", "--server-version")))
	require.Contains(t, run(t, s.command("gearadmin", "--status")), "echo\t0\t0\t")
}

// A job that runs when the graceful end begins is delivered before the server ends.
func TestDropInDeliversWhatRuns(t *testing.T) {
	t.Parallel()
	gearmand := newDropIn(t, buildGeartrain(t))
	addr := servertest.FreeAddress(t)
	host, port, err := net.SplitHostPort(addr)
	require.NoError(t, err)
	p := start(t, gearmand.command("-L", host, "-p", port, "-l", "none"))
	s := awaitListening(t, p, addr)
	started, held := make(chan struct{}), make(chan struct{})
	startWorker(t, s, map[string]gearman.HandlerFunc{"held": func(context.Context, *gearman.Job) ([]byte, error) {
		close(started)
		<-held
		return []byte("after all"), nil
	}})
	set := newClient(t, s).NewTaskSet(t.Context())
	answer := set.Add(gearman.Task{Function: "held"})
	<-started
	p.signal(t, syscall.SIGUSR1)
	await(t, "it takes no more connections", func() bool { return !listens(addr) })
	require.False(t, p.ended())
	close(held)
	payload, err := answer.Wait(t.Context())
	require.NoError(t, err)
	require.Equal(t, "after all", string(payload))
	require.Zero(t, p.wait(t), p.err.String())
}

// A wrong option ends the command before anything is started.
func TestDropInRefusesWhatItDoesNotKnow(t *testing.T) {
	t.Parallel()
	gearmand := newDropIn(t, buildGeartrain(t))
	p := start(t, gearmand.command("--no-such-option"))
	require.NotZero(t, p.wait(t))
	require.Contains(t, p.err.String(), "no-such-option")
	require.Zero(t, start(t, gearmand.command("--check-args", "-p", "4730", "-t", "4")).wait(t))
	require.Contains(t, run(t, gearmand.command("--version")), "gearmand")
}
