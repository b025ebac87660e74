package command

import (
	"os"
	"os/exec"
)

const canGuard = false

func ownSession(*exec.Cmd) {}

// On Windows there is no group to signal: only the program itself is ended, and at once.

func ownGroup(*exec.Cmd) {}

func terminate(cmd *exec.Cmd) error { return cmd.Process.Kill() }

func killGroup(*exec.Cmd) {}

func groupAlive(*exec.Cmd) bool { return false }

func signalName(*os.ProcessState) string { return "" }
