package main

import (
	"io"
	"os"
	"sync"

	"golang.org/x/term"
)

// console is standard error, which log, progress and the output of programs share, a line at a time.
// While a live block is shown, what is written scrolls away above it.
type console struct {
	file *os.File // nil when it is none

	mu sync.Mutex // guards to, and is held while it writes
	to io.Writer
}

func newConsole(w io.Writer) *console {
	file, _ := w.(*os.File)
	return &console{file: file, to: w}
}

func (c *console) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.to.Write(p)
}

// redirect sends everything to another writer from now on, and returns the one before.
func (c *console) redirect(to io.Writer) (before io.Writer) {
	c.mu.Lock()
	defer c.mu.Unlock()
	before, c.to = c.to, to
	return before
}

// canBeLive reports whether a live block can be drawn and be read.
func (c *console) canBeLive() bool {
	return c.file != nil && term.IsTerminal(int(c.file.Fd())) && os.Getenv("TERM") != "dumb" && os.Getenv("CI") == ""
}
