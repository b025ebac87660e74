package runs

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"
)

// Holder is who drives a run.
type Holder struct {
	Number int       `json:"number"` // one more than that of the driver before
	PID    int       `json:"pid"`
	Host   string    `json:"host"`
	Since  time.Time `json:"since"`
}

func (h Holder) String() string {
	return fmt.Sprintf("process %d on %s, since %s", h.PID, h.Host, h.Since.Format(time.RFC3339))
}

// How long Drive tries to get the lease: those who only look whether a run is driven hold it for a moment.
const (
	leaseTries = 10
	leasePause = 20 * time.Millisecond
)

// lease is the right to drive a run. It ends with its holder's process at the latest.
type lease struct {
	root   *os.Root
	file   *os.File
	holder Holder
}

// takeLease takes the lease of the run in root, or says who has it.
func takeLease(root *os.Root) (*lease, error) {
	file, err := root.OpenFile("lease", os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	for try := 1; ; try++ {
		if err = lockFile(file); err == nil {
			break
		}
		if try == leaseTries {
			var h Holder
			_ = readJSON(root, "lease", &h) // who it is, is only told
			return nil, errors.Join(fmt.Errorf("%w: %s", ErrDriven, h), file.Close())
		}
		time.Sleep(leasePause)
	}
	l := &lease{root: root, file: file}
	if err := l.number(); err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return l, nil
}

// number makes the holder known by a number higher than all before.
func (l *lease) number() error {
	var before Holder
	if err := readJSON(l.root, "lease", &before); err != nil {
		before.Number = 0 // it is new, or was never written to its end: the journals tell
	}
	numbers, err := segmentNumbers(l.root)
	if err != nil {
		return err
	}
	for _, n := range numbers {
		before.Number = max(before.Number, n)
	}
	host, err := os.Hostname()
	if err != nil {
		host = "unknown host"
	}
	l.holder = Holder{Number: before.Number + 1, PID: os.Getpid(), Host: host, Since: time.Now().UTC()}
	text, err := json.Marshal(l.holder)
	if err != nil {
		return err
	}
	if err := l.file.Truncate(0); err != nil {
		return err
	}
	_, err = l.file.WriteAt(append(text, '\n'), 0)
	return err
}

// check finds out whether the lease has gone to another.
func (l *lease) check() error {
	var now Holder
	if err := readJSON(l.root, "lease", &now); err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("%w: its folder has been removed", ErrFenced)
		}
		return fmt.Errorf("%w: %w", ErrFenced, err)
	}
	if now.Number != l.holder.Number {
		return fmt.Errorf("%w: %s", ErrFenced, now)
	}
	return nil
}

func (l *lease) release() error { return l.file.Close() }

// isLocked reports whether somebody has locked a file.
func isLocked(root *os.Root, name string) bool {
	file, err := root.OpenFile(name, os.O_RDWR, 0)
	if err != nil {
		return false
	}
	defer file.Close()
	return lockFile(file) != nil
}
