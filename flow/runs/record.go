package runs

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/geartrain/geartrain/flow"
)

// Record is what a run is, and how its last start ended. It is small, and kept longer than the rest.
type Record struct {
	ID          string      `json:"id"`
	Pipeline    string      `json:"pipeline"`
	File        string      `json:"file"` // its path when the run was last started; empty: it came by other ways
	FileHash    string      `json:"file_hash"`
	Params      Params      `json:"params"`
	ScheduledAt time.Time   `json:"scheduled_at"`
	Attempt     int         `json:"attempt"`           // starts after an end; carrying on what was killed does not count
	Starts      int         `json:"starts"`            // all of them
	Sample      int         `json:"sample,omitempty"`  // items of each stage; 0: all
	Servers     []string    `json:"servers"`           // none: it had one of its own
	RunsOn      []string    `json:"runs_on,omitempty"` // the servers of the last start, its own one among them
	Group       string      `json:"group,omitempty"`
	CreatedAt   time.Time   `json:"created_at"`
	StartedAt   time.Time   `json:"started_at"` // the last start
	EndedAt     time.Time   `json:"ended_at,omitzero"`
	Status      flow.Status `json:"status,omitempty"` // of the last start, once it has ended
	Error       string      `json:"error,omitempty"`
	Failed      int         `json:"failed,omitempty"` // jobs
}

// Ended reports whether the last start came to its end, well or not.
func (r *Record) Ended() bool { return !r.EndedAt.IsZero() }

// HashFile is what [Record].FileHash has of a file's text.
func HashFile(text []byte) string {
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:])
}

// Run is a run in a state folder, for looking at it. It takes part in nothing.
type Run struct {
	Record Record
	state  *State
}

// The states of a run in addition to the statuses of [flow.Status] that it may have ended with.
const (
	StateRunning    = "running"    // somebody drives it
	StateUnfinished = "unfinished" // nobody does, and it did not come to an end
	StateQueued     = "queued"     // it waits for a runner to begin with it
)

// State is running, unfinished, or how the run ended. It is found out, not stored.
func (r *Run) State() string {
	switch {
	case r.Driven():
		return StateRunning
	case r.Record.Ended():
		return string(r.Record.Status)
	case r.Record.Starts == 0:
		return StateQueued
	}
	return StateUnfinished
}

// Driven reports whether a process drives the run now.
func (r *Run) Driven() bool {
	root, err := r.root()
	if err != nil {
		return false
	}
	defer root.Close()
	return isLocked(root, "lease")
}

// Driver says who drives the run, or did last.
func (r *Run) Driver() (Holder, error) {
	root, err := r.root()
	if err != nil {
		return Holder{}, err
	}
	defer root.Close()
	var h Holder
	return h, readJSON(root, "lease", &h)
}

// Folder is where the run is kept.
func (r *Run) Folder() string { return filepath.Join(r.state.dir, "runs", r.Record.ID) }

// Source is the pipeline file as it was at the last start.
func (r *Run) Source() ([]byte, error) {
	root, err := r.root()
	if err != nil {
		return nil, err
	}
	defer root.Close()
	return root.ReadFile("pipeline.yaml")
}

// Output is the pipeline's own output in the last start that had any.
func (r *Run) Output() ([]byte, error) {
	root, err := r.root()
	if err != nil {
		return nil, err
	}
	defer root.Close()
	output, err := root.ReadFile("output")
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return output, err
}

// Report is how the last start ended; nil when it has not, or when that is too long ago.
func (r *Run) Report() (*flow.Report, error) {
	root, err := r.root()
	if err != nil {
		return nil, err
	}
	defer root.Close()
	report := &flow.Report{}
	err = readJSON(root, "report.json", report)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return report, err
}

// Progress is how far the stages are: of a run that is driven as of a second ago.
func (r *Run) Progress() ([]flow.StageProgress, error) {
	root, err := r.root()
	if err != nil {
		return nil, err
	}
	defer root.Close()
	var stages []flow.StageProgress
	err = readJSON(root, "progress.json", &stages)
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	return stages, err
}

func (r *Run) root() (*os.Root, error) {
	root, err := r.state.root.OpenRoot("runs/" + r.Record.ID)
	if err != nil {
		return nil, fmt.Errorf("run %s: %w", r.Record.ID, err)
	}
	return root, nil
}
