package command

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestStandardInputAndOutput(t *testing.T) {
	t.Parallel()
	big := bytes.Repeat([]byte("0123456789abcdef"), 1<<16) // more than any pipe holds
	for _, payload := range [][]byte{nil, []byte("x"), []byte("a\x00b\n\n"), big} {
		res, err := program("cat").Run(t.Context(), Input{Stdin: payload})
		require.NoError(t, err)
		require.True(t, bytes.Equal(payload, res.Stdout), "%d bytes in, %d out", len(payload), len(res.Stdout))
	}
}

func TestInputThatIsNotReadIsNoError(t *testing.T) {
	t.Parallel()
	res, err := program("args").Run(t.Context(), Input{Stdin: make([]byte, 1<<20)})
	require.NoError(t, err)
	require.Equal(t, "[]", string(res.Stdout))
}

func TestArgumentsPassThroughNoShell(t *testing.T) {
	t.Parallel()
	args := []string{"", "a b", "$HOME", "*", "; rm -rf x", "`id`", "'"}
	res, err := program("args", args...).Run(t.Context(), Input{})
	require.NoError(t, err)
	require.Equal(t, fmt.Sprintf("%q", args), string(res.Stdout))

	res, err = program("args", "of the command").Run(t.Context(), Input{Argv: []string{os.Args[0], "of the input"}})
	require.NoError(t, err)
	require.Equal(t, `["of the input"]`, string(res.Stdout))
}

func TestEnvironment(t *testing.T) {
	t.Setenv("SECRET_TOKEN", "hidden")
	t.Setenv("GOOGLE_API_KEY", "hidden")
	t.Setenv("LC_TIME", "C")
	t.Setenv("TZ", "UTC")
	c := program("env")
	c.Env = append(c.Env, "A=command", "B=command", "TZ=Europe/Paris")
	res, err := c.Run(t.Context(), Input{Env: []string{"B=input"}})
	require.NoError(t, err)
	env := strings.Split(string(res.Stdout), "\n")
	require.Subset(t, env, []string{"A=command", "B=input", "LC_TIME=C", "TZ=Europe/Paris", "PATH=" + os.Getenv("PATH")})
	require.NotContains(t, string(res.Stdout), "hidden")
}

func TestDir(t *testing.T) {
	t.Parallel()
	dir, err := filepath.EvalSymlinks(t.TempDir())
	require.NoError(t, err)
	c := program("pwd")
	c.Dir = dir
	res, err := c.Run(t.Context(), Input{})
	require.NoError(t, err)
	require.Equal(t, dir, string(res.Stdout))
}

func TestExitCodes(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		code, stderr, want string
		temporary          bool
	}{
		{"1", "", "exit code 1", false},
		{"2", "no such host\n", "exit code 2: no such host", false},
		{"75", "later", "exit code 75: later", true},
		{"3", "a\nb\n", "exit code 3:\na\nb", false},
	} {
		_, err := program("exit", tt.code, tt.stderr).Run(t.Context(), Input{})
		var exit *ExitError
		require.ErrorAs(t, err, &exit)
		require.Equal(t, filepath.Base(os.Args[0])+": "+tt.want, err.Error())
		require.Equal(t, tt.temporary, exit.Temporary())
		require.Equal(t, tt.code, fmt.Sprint(exit.Code))
		require.NotErrorIs(t, err, context.Canceled)
	}
}

func TestLongStandardErrorIsCut(t *testing.T) {
	t.Parallel()
	var lines strings.Builder
	for i := range 20000 {
		fmt.Fprintf(&lines, "line %d\n", i)
	}
	res, err := program("stderr").Run(t.Context(), Input{Stdin: []byte(lines.String())})
	require.NoError(t, err)
	require.LessOrEqual(t, len(res.Stderr), maxTail)
	require.True(t, strings.HasPrefix(res.Stderr, "line ") && strings.HasSuffix(res.Stderr, "line 19999"), "whole lines: %.20q", res.Stderr)
}

func TestProgramsThatCannotStart(t *testing.T) {
	t.Parallel()
	plain := filepath.Join(t.TempDir(), "plain")
	require.NoError(t, os.WriteFile(plain, []byte("x"), 0o600))
	for _, tt := range []struct {
		c    Command
		want error
	}{
		{Command{Argv: []string{"no-such-program-anywhere"}}, exec.ErrNotFound},
		{Command{Argv: []string{filepath.Join(t.TempDir(), "missing")}}, fs.ErrNotExist},
		{Command{Argv: []string{os.Args[0]}, Dir: filepath.Join(t.TempDir(), "missing")}, fs.ErrNotExist},
	} {
		_, err := tt.c.Run(t.Context(), Input{})
		require.ErrorIs(t, err, tt.want)
		require.ErrorContains(t, err, tt.c.Argv[0])
	}
	if runtime.GOOS != "windows" {
		_, err := (&Command{Argv: []string{plain}}).Run(t.Context(), Input{})
		require.ErrorIs(t, err, fs.ErrPermission)
		require.Error(t, (&Command{Argv: []string{plain}}).Check())
	}
	require.ErrorIs(t, (&Command{Argv: []string{"no-such-program-anywhere"}}).Check(), exec.ErrNotFound)
	require.Error(t, (&Command{}).Check())
	require.NoError(t, program("cat").Check())
	_, err := (&Command{}).Run(t.Context(), Input{})
	require.ErrorContains(t, err, "no program")

	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errors.New("too late"))
	_, err = program("cat").Run(ctx, Input{})
	require.ErrorContains(t, err, "not started: too late")
}

func TestTooMuchOutput(t *testing.T) { // not parallel: it counts what is allocated
	c := program("flood", "100000000")
	c.MaxOutput = 1 << 20
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	res, err := c.Run(t.Context(), Input{})
	runtime.ReadMemStats(&after)
	require.ErrorIs(t, err, ErrOutput)
	require.ErrorContains(t, err, "1048576")
	require.Nil(t, res.Stdout)
	require.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(50<<20))

	c = program("flood", "1048576")
	c.MaxOutput = 1 << 20
	res, err = c.Run(t.Context(), Input{})
	require.NoError(t, err)
	require.Len(t, res.Stdout, 1<<20)
}

// said collects what a program reports.
type said struct {
	mu    sync.Mutex // guards lines
	lines []string
}

func (s *said) add(kind string, p []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lines = append(s.lines, kind+" "+string(p))
	return errors.New("ignored")
}

func (s *said) SendData(p []byte) error    { return s.add("data", p) }
func (s *said) SendWarning(p []byte) error { return s.add("warning", p) }
func (s *said) SendStatus(n, d int) error  { return s.add("status", fmt.Appendf(nil, "%d of %d", n, d)) }

func TestReports(t *testing.T) {
	t.Parallel()
	stderr := "::status 3/10\nplain\n::data some text \r\n::data\n::warning hot\n::status 3\n::status -1/2\n::unknown x\n::status 4 / 10"
	var s said
	var log bytes.Buffer
	res, err := program("stderr").Run(t.Context(), Input{Stdin: []byte(stderr), Progress: &s, Stderr: &log})
	require.NoError(t, err)
	require.Equal(t, []string{"status 3 of 10", "data some text ", "data ", "warning hot", "status 4 of 10"}, s.lines)
	require.Equal(t, "plain\n::status 3\n::status -1/2\n::unknown x\n", log.String())
	require.Equal(t, strings.TrimSpace(log.String()), res.Stderr)

	log.Reset()
	c := program("stderr")
	c.Stderr = &log
	_, err = c.Run(t.Context(), Input{Stdin: []byte(stderr)})
	require.NoError(t, err)
	require.Equal(t, stderr, log.String(), "without anybody to report to, all is log")
}

func TestLinesAsData(t *testing.T) {
	t.Parallel()
	var s said
	c := program("cat")
	c.LinesAsData = true
	res, err := c.Run(t.Context(), Input{Stdin: []byte("a\nb\nc"), Progress: &s})
	require.NoError(t, err)
	require.Empty(t, res.Stdout)
	require.Equal(t, []string{"data a\n", "data b\n", "data c"}, s.lines)
}

func TestCheckFindsProgramsInTheFolderItself(t *testing.T) { // not parallel: it changes the folder
	t.Chdir(t.TempDir())
	require.NoError(t, os.WriteFile("here.sh", []byte("#!/bin/sh\n"), 0o700))
	require.NoError(t, (&Command{Argv: []string{"./here.sh"}}).Check())
	require.Error(t, (&Command{Argv: []string{"here.sh"}}).Check())
}
