//go:build unix

package command

import "syscall"

// childAttr lets a child leave the process group when its kind says so.
func childAttr(kind string) *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setsid: kind == "escape"}
}
