package main

import (
	"fmt"
	"os"
	"os/signal"
	"sync"
)

// logFile is a log that is opened again at each SIGHUP, after something has moved it away.
type logFile struct {
	name string
	hups chan os.Signal
	idle sync.WaitGroup // the goroutine that waits for hups

	mu   sync.Mutex // guards file
	file *os.File
}

func openLogFile(name string) (*logFile, error) {
	file, err := appendTo(name)
	if err != nil {
		return nil, err
	}
	l := &logFile{name: name, file: file, hups: make(chan os.Signal, 1)}
	if signals := hangup(); len(signals) > 0 { // Notify without any would mean all
		signal.Notify(l.hups, signals...)
	}
	l.idle.Go(func() {
		for range l.hups {
			l.reopen()
		}
	})
	return l, nil
}

func appendTo(name string) (*os.File, error) {
	return os.OpenFile(name, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o640)
}

// reopen keeps the old file when the new one cannot be opened, and says so there.
func (l *logFile) reopen() {
	file, err := appendTo(l.name)
	l.mu.Lock()
	defer l.mu.Unlock()
	if err != nil {
		fmt.Fprintf(l.file, "geartrain: the log stays in this file: %v\n", err)
		return
	}
	l.file.Close()
	l.file = file
}

// ignoreHangups keeps SIGHUP from ending the process where there is no log file to open again. The
// returned function undoes it.
func ignoreHangups() (undo func()) {
	hups := make(chan os.Signal, 1)
	if signals := hangup(); len(signals) > 0 {
		signal.Notify(hups, signals...)
	}
	return func() { signal.Stop(hups) }
}

func (l *logFile) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.file.Write(p)
}

func (l *logFile) Close() error {
	signal.Stop(l.hups)
	close(l.hups)
	l.idle.Wait()
	return l.file.Close()
}
