//go:build unix

package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/user"
	"strconv"
	"syscall"
)

// readyVariable names the file descriptor on which a server in the background says that it listens.
const readyVariable = "GEARTRAIN_READY_FD"

// drainSignals end the server gracefully. SIGUSR1 is gearmand's.
func drainSignals() []os.Signal { return []os.Signal{os.Interrupt, syscall.SIGTERM, syscall.SIGUSR1} }

// hangup asks for the log to be opened again.
func hangup() []os.Signal { return []os.Signal{syscall.SIGHUP} }

func limitDescriptors(n int) error {
	limit := syscall.Rlimit{Cur: uint64(n), Max: uint64(n)}
	return syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit)
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
// returns when that one listens, or with an error when it ended before.
func goToBackground() error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	ready, said, err := os.Pipe()
	if err != nil {
		return err
	}
	defer ready.Close()
	cmd := exec.Command(self, os.Args[1:]...)
	cmd.Env = append(os.Environ(), readyVariable+"=3")
	cmd.ExtraFiles = []*os.File{said}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	err = cmd.Start()
	said.Close()
	if err != nil {
		return err
	}
	if _, err := io.ReadFull(ready, make([]byte, 1)); err != nil {
		err = cmd.Wait()
		return fmt.Errorf("the server in the background ended before it listened (%w); start it without --daemon to see why", err)
	}
	return cmd.Process.Release()
}

// sayReady tells the process that started this one that it listens.
func sayReady() error {
	fd, err := strconv.Atoi(os.Getenv(readyVariable))
	if err != nil {
		return nil // nobody waits
	}
	said := os.NewFile(uintptr(fd), "ready")
	if said == nil {
		return nil
	}
	defer said.Close()
	_, err = said.Write([]byte{'.'})
	return err
}
