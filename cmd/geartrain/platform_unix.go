//go:build unix

package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/user"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// readyVariable marks a server in the background.
const readyVariable = "GEARTRAIN_IN_BACKGROUND"

// drainSignals end the server gracefully. SIGUSR1 is gearmand's.
func drainSignals() []os.Signal { return []os.Signal{os.Interrupt, syscall.SIGTERM, syscall.SIGUSR1} }

// hangup asks for the log to be opened again.
func hangup() []os.Signal { return []os.Signal{syscall.SIGHUP} }

// keepPrivate makes files of this process, and of the commands that it starts, the user's alone.
func keepPrivate() { syscall.Umask(0o077) }

// limitDescriptors sets how many files may be open, and raises the hard limit only where it must.
func limitDescriptors(n int) error {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return err
	}
	hard := limit.Max
	limit.Cur, limit.Max = uint64(n), max(limit.Max, uint64(n))
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return fmt.Errorf("%w; the system's hard limit is %d", err, hard)
	}
	return nil
}

func becomeUser(name string) error {
	account, err := user.Lookup(name)
	if err != nil {
		return err
	}
	uid, err := strconv.Atoi(account.Uid)
	if err != nil {
		return err
	}
	gid, err := strconv.Atoi(account.Gid)
	if err != nil {
		return err
	}
	if os.Geteuid() == uid {
		return nil
	}
	if os.Geteuid() != 0 {
		return errors.New("only root can become another user")
	}
	if err := syscall.Setgroups([]int{gid}); err != nil {
		return err
	}
	if err := syscall.Setgid(gid); err != nil {
		return err
	}
	return syscall.Setuid(uid)
}

// inBackground reports whether this process is the one that [goToBackground] started.
func inBackground() bool { return os.Getenv(readyVariable) != "" }

// goToBackground starts this program again, with the same arguments, in a session of its own, and
// returns when that one listens. When it ended before, what it had to say goes to stderr, and the
// error has its exit code.
//
//	this process                          the one in the background
//	start ──────────────────────────────► options, ports, pid file
//	wait on the pipe ◄────── readyMark ── sayReady: from now on it has no standard error
//	exit 0                                serve
func goToBackground(stderr io.Writer) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	ready, said, err := os.Pipe()
	if err != nil {
		return err
	}
	defer ready.Close()
	cmd := &exec.Cmd{
		Path: self, Args: os.Args, Env: append(os.Environ(), readyVariable+"=1"),
		Stderr: said, SysProcAttr: &syscall.SysProcAttr{Setsid: true},
	}
	err = cmd.Start()
	said.Close()
	if err != nil {
		return err
	}
	words := bufio.NewReader(ready)
	for {
		line, err := words.ReadString('\n')
		if strings.HasSuffix(line, readyMark) {
			return cmd.Process.Release()
		}
		if !strings.HasPrefix(line, "geartrain: listening on ") {
			fmt.Fprint(stderr, line)
		}
		if err != nil {
			break
		}
	}
	var ended *exec.ExitError
	if err := cmd.Wait(); !errors.As(err, &ended) || ended.ExitCode() < 0 {
		return fmt.Errorf("the process in the background ended before it was ready: %v", err)
	}
	return &codedError{code: exitCode(ended.ExitCode())}
}

// readyMark on standard error tells the process that started this one that it listens.
const readyMark = "\x00\n"

// sayReady does that, and gives standard error up: whoever reads it should not have to wait for the
// end of the server.
func sayReady() error {
	if !inBackground() {
		return nil
	}
	_, err := os.Stderr.WriteString(readyMark)
	null, openErr := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if openErr != nil {
		return openErr
	}
	defer null.Close()
	return errors.Join(err, unix.Dup2(int(null.Fd()), int(os.Stderr.Fd())))
}
