package runs

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"strings"
	"time"
)

// ticket is a place in the line of those that wait for a group: a locked file, whose name has the time at which
// its run came. Who has died holds no lock, and is passed over.
type ticket struct {
	state *State
	name  string
	file  *os.File
}

// ticketSettles is how long a file may be there without its lock before it is one of the dead.
const ticketSettles = time.Second

// line takes the last place in the line for a group.
func (s *State) line(group, id string, now time.Time) (*ticket, error) {
	if err := s.root.MkdirAll("groups", 0o700); err != nil {
		return nil, err
	}
	name := fmt.Sprintf("%s%020d-%.20s", linePrefix(group), now.UnixNano(), strings.TrimPrefix(id, "r1."))
	file, err := s.root.OpenFile(path.Join("groups", name), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	return &ticket{s, name, file}, lockFile(file)
}

func linePrefix(group string) string {
	sum := sha256.Sum256([]byte(group))
	return hex.EncodeToString(sum[:16]) + "-line-"
}

// isFirst reports whether nobody who lives came earlier.
func (t *ticket) isFirst(now time.Time) (bool, error) {
	entries, err := fs.ReadDir(t.state.root.FS(), "groups") // in order of names, so of times
	if err != nil {
		return false, err
	}
	prefix, _, _ := strings.Cut(t.name, "-line-")
	for _, e := range entries {
		switch {
		case !strings.HasPrefix(e.Name(), prefix+"-line-"):
		case e.Name() == t.name:
			return true, nil
		case t.lives(e, now):
			return false, nil
		}
	}
	return true, nil
}

// lives reports whether an earlier one still waits, and removes what is left of one that does not.
func (t *ticket) lives(e fs.DirEntry, now time.Time) bool {
	name := path.Join("groups", e.Name())
	file, err := t.state.root.OpenFile(name, os.O_RDWR, 0)
	if err != nil {
		return false // it has left
	}
	defer file.Close()
	if lockFile(file) != nil {
		return true
	}
	info, err := file.Stat()
	if err == nil && now.Sub(info.ModTime()) < ticketSettles {
		return true
	}
	_ = t.state.root.Remove(name) // the next one tries again
	return false
}

// leave gives the place up.
func (t *ticket) leave() error {
	return errors.Join(t.state.root.Remove(path.Join("groups", t.name)), t.file.Close())
}
