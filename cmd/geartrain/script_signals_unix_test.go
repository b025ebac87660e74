//go:build unix

package main

import (
	"os"
	"syscall"
)

// scriptSignals are those that scripts send.
var scriptSignals = map[string]os.Signal{
	"HUP": syscall.SIGHUP, "INT": syscall.SIGINT, "TERM": syscall.SIGTERM, "USR1": syscall.SIGUSR1, "KILL": syscall.SIGKILL,
}
