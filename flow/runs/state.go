package runs

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// What callers may want to tell apart, with errors.Is. They come wrapped.
var (
	// ErrNotFound: there is no such run, or more than one that the id may mean.
	ErrNotFound = errors.New("run not found")
	// ErrDriven: another process drives the run.
	ErrDriven = errors.New("another process drives the run")
	// ErrNotDriven: no process drives the run, or not any more.
	ErrNotDriven = errors.New("no process drives the run")
	// ErrFenced: the run has been taken over by another driver. This one has stopped.
	ErrFenced = errors.New("the run has been taken over by another runner")
	// ErrBadID: a text that can be no run id.
	ErrBadID = errors.New("not a run id")
)

// runID is what a run id looks like. Whatever comes from outside is held against it before it becomes
// part of a path.
var runID = regexp.MustCompile(`^r[0-9]{1,3}\.[a-z2-7]{4,64}$`)

// State is a state folder. Its methods may be called from any goroutine, and by many processes at once.
type State struct {
	root *os.Root
	dir  string
}

// DefaultDir is the user's own state folder: $XDG_STATE_HOME/geartrain or ~/.local/state/geartrain.
func DefaultDir() (string, error) {
	if dir := os.Getenv("XDG_STATE_HOME"); filepath.IsAbs(dir) {
		return filepath.Join(dir, "geartrain"), nil
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "", fmt.Errorf("state folder: %w; name one with --state", err)
	}
	return filepath.Join(home, ".local", "state", "geartrain"), nil
}

// Open opens a state folder, and makes it when it is not there.
func Open(dir string) (*State, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("state folder: %w", err)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("state folder: %w", err)
	}
	for _, sub := range []string{"runs", "answers", "schedules"} {
		if err := root.MkdirAll(sub, 0o700); err != nil {
			return nil, errors.Join(fmt.Errorf("state folder %s: %w", dir, err), root.Close())
		}
	}
	return &State{root, dir}, nil
}

// Dir is the folder.
func (s *State) Dir() string { return s.dir }

// Close gives the folder back. Drivers and runs that were opened stay usable.
func (s *State) Close() error { return s.root.Close() }

// IDs are the ids of all runs, in no order.
func (s *State) IDs() ([]string, error) {
	entries, err := fs.ReadDir(s.root.FS(), "runs")
	if err != nil {
		return nil, fmt.Errorf("list runs: %w", err)
	}
	var ids []string
	for _, e := range entries {
		if e.IsDir() && runID.MatchString(e.Name()) {
			ids = append(ids, e.Name())
		}
	}
	return ids, nil
}

// List is all runs, the one that was started last first. A folder whose record cannot be read is left out.
func (s *State) List() ([]*Run, error) {
	ids, err := s.IDs()
	if err != nil {
		return nil, err
	}
	var all []*Run
	for _, id := range ids {
		if r, err := s.open(id); err == nil {
			all = append(all, r)
		}
	}
	slices.SortFunc(all, func(a, b *Run) int {
		return cmp.Or(b.Record.StartedAt.Compare(a.Record.StartedAt), cmp.Compare(a.Record.ID, b.Record.ID))
	})
	return all, nil
}

// Find is the run that a text means: its id, a beginning of it that no other has, with or without what is
// before the dot, or "last".
func (s *State) Find(text string) (*Run, error) {
	if runID.MatchString(text) {
		if r, err := s.open(text); err == nil {
			return r, nil
		}
	}
	all, err := s.List()
	if err != nil {
		return nil, err
	}
	if text == "last" && len(all) > 0 {
		return all[0], nil
	}
	found := slices.DeleteFunc(all, func(r *Run) bool {
		_, bare, _ := strings.Cut(r.Record.ID, ".")
		return text == "" || !strings.HasPrefix(r.Record.ID, text) && !strings.HasPrefix(bare, text)
	})
	switch len(found) {
	case 0:
		return nil, fmt.Errorf("%w: %q in %s", ErrNotFound, text, s.dir)
	case 1:
		return found[0], nil
	}
	return nil, fmt.Errorf("%w: %q may be any of %d runs, %s and %s among them; give more of it",
		ErrNotFound, text, len(found), found[0].Record.ID, found[1].Record.ID)
}

// open opens the run of an id.
func (s *State) open(id string) (*Run, error) {
	if !runID.MatchString(id) {
		return nil, fmt.Errorf("%w: %q", ErrBadID, id)
	}
	root, err := s.root.OpenRoot("runs/" + id)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w: %s", ErrNotFound, id)
	}
	if err != nil {
		return nil, fmt.Errorf("run %s: %w", id, err)
	}
	defer root.Close()
	r := &Run{state: s}
	if err := readJSON(root, "record.json", &r.Record); err != nil {
		return nil, fmt.Errorf("run %s: %w", id, err)
	}
	r.Record.ID = id
	return r, nil
}

// make makes the folder of a run, or opens it.
func (s *State) make(id string) (*os.Root, error) {
	if !runID.MatchString(id) {
		return nil, fmt.Errorf("%w: %q", ErrBadID, id)
	}
	for _, sub := range []string{"journal", "log", "control"} {
		if err := s.root.MkdirAll("runs/"+id+"/"+sub, 0o700); err != nil {
			return nil, err
		}
	}
	return s.root.OpenRoot("runs/" + id)
}

// readJSON reads a small file.
func readJSON(root *os.Root, name string, into any) error {
	text, err := root.ReadFile(name)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(text, into); err != nil {
		return fmt.Errorf("%s is damaged: %w", name, err)
	}
	return nil
}

// writeJSON replaces a small file as a whole: a reader sees the old one or the new one.
func writeJSON(root *os.Root, name string, v any) error {
	text, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return err
	}
	return writeFile(root, name, append(text, '\n'))
}

func writeFile(root *os.Root, name string, text []byte) error {
	temporary := fmt.Sprintf("%s.%d.tmp", name, os.Getpid())
	f, err := root.OpenFile(temporary, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = root.Rename(temporary, name)
	}
	if err != nil {
		return errors.Join(err, root.Remove(temporary))
	}
	return nil
}
