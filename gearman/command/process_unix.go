//go:build unix

package command

import (
	"errors"
	"os"
	"os/exec"
	"syscall"
)

// ownGroup makes the program the leader of a process group.
func ownGroup(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
}

const canGuard = true

// ownSession takes the program out of reach of the terminal.
func ownSession(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
}

// terminate sends SIGTERM to the group.
func terminate(cmd *exec.Cmd) error {
	err := signalGroup(cmd, syscall.SIGTERM)
	if errors.Is(err, syscall.ESRCH) {
		return os.ErrProcessDone
	}
	return err
}

// killGroup sends SIGKILL to what is left of the group. The leader has been waited for by then; its
// number cannot have been given to a new group within these few microseconds, since the system gives
// out all others first.
func killGroup(cmd *exec.Cmd) {
	_ = signalGroup(cmd, syscall.SIGKILL) // an empty group is the usual case and an error
}

// groupAlive reports whether the group has any member.
func groupAlive(cmd *exec.Cmd) bool { return signalGroup(cmd, 0) == nil }

func signalGroup(cmd *exec.Cmd, sig syscall.Signal) error {
	return syscall.Kill(-cmd.Process.Pid, sig)
}

// signalName is the name of the signal that ended the program, or empty.
func signalName(state *os.ProcessState) string {
	if status, ok := state.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		return status.Signal().String()
	}
	return ""
}
