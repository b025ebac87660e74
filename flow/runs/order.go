package runs

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/geartrain/geartrain/flow"
	"github.com/geartrain/geartrain/flow/form"
	"github.com/geartrain/geartrain/gearman"
)

// Function is the Gearman function of runs as jobs: its payload is an [Order], its key the run's id, its
// result the run's [flow.Report] as JSON. A run that ended with failures is a job that is done; the job fails
// when the run could not be made.
const Function = "geartrain.run"

// Order says which run is to be driven. As JSON it is the payload of a job.
type Order struct {
	Version     int       `json:"version"` // 1
	Run         string    `json:"run"`     // the id of Pipeline, Params and ScheduledAt
	Pipeline    string    `json:"pipeline"`
	File        string    `json:"file"`   // where it came from: commands run in its folder
	Source      string    `json:"source"` // its text
	Params      Params    `json:"params"`
	ScheduledAt time.Time `json:"scheduled_at"`
	Force       []string  `json:"force,omitempty"`
	Sample      int       `json:"sample,omitempty"` // items of each stage; 0: all
	PlacedAt    time.Time `json:"placed_at"`        // a run that was cancelled since is not begun
}

const orderVersion = 1

// Place writes a run down as one that is to be driven, so that it is seen, and that a runner with this state
// folder knows its file. It changes nothing of a run that was started before.
func (s *State) Place(o *Order, servers []string) error {
	root, err := s.make(o.Run)
	if err != nil {
		return fmt.Errorf("place run %s: %w", o.Run, err)
	}
	defer root.Close()
	var old Record
	if readJSON(root, "record.json", &old) == nil && old.Starts > 0 {
		return nil
	}
	now := time.Now().UTC()
	record := Record{
		ID: o.Run, Pipeline: o.Pipeline, File: o.File, FileHash: HashFile([]byte(o.Source)), Params: o.Params,
		ScheduledAt: o.ScheduledAt, Sample: o.Sample, Servers: servers, RunsOn: servers, CreatedAt: now, StartedAt: now,
	}
	if err := errors.Join(writeFile(root, "pipeline.yaml", []byte(o.Source)), writeJSON(root, "record.json", &record)); err != nil {
		return fmt.Errorf("place run %s: %w", o.Run, err)
	}
	return nil
}

// cancelled reports whether the run was cancelled after its order was placed.
func (s *State) cancelled(o *Order) bool {
	r, err := s.open(o.Run)
	return err == nil && r.Record.Status == flow.Cancelled && r.Record.EndedAt.After(o.PlacedAt)
}

// knows reports whether the text is that of a file which the user of this folder has run or placed.
func (s *State) knows(o *Order) bool {
	r, err := s.open(o.Run)
	if err != nil {
		return false
	}
	source, err := r.Source()
	return err == nil && string(source) == o.Source && r.Record.File == o.File
}

// Submit makes a job of an order. While it is queued or running it is one job, however often it is submitted.
func (o *Order) Submit(ctx context.Context, client *gearman.Client) (gearman.Handle, error) {
	o.Version, o.PlacedAt = orderVersion, time.Now().UTC()
	payload, err := json.Marshal(o)
	if err != nil {
		return gearman.Handle{}, err
	}
	h, err := client.Submit(ctx, gearman.Task{
		Function: Function, Key: o.Run, Payload: payload, Labels: gearman.Labels{Run: o.Run},
		ServerRetry: gearman.Retry{Attempts: maxLost},
	})
	if err != nil {
		return h, fmt.Errorf("submit run %s: %w", o.Run, err)
	}
	return h, nil
}

// maxLost is how many runners may be lost with a run before nobody tries it again.
const maxLost = 20

// readOrder reads a payload. What it gives is consistent: the id is that of the rest.
func readOrder(payload []byte) (*Order, *flow.Plan, error) {
	o := &Order{}
	if err := json.Unmarshal(payload, o); err != nil {
		return nil, nil, fmt.Errorf("the order is no JSON of this form: %w", err)
	}
	if o.Version != orderVersion {
		return nil, nil, fmt.Errorf("the order has form %d, and this runner knows %d", o.Version, orderVersion)
	}
	id, err := flow.RunID(o.Pipeline, o.Params, o.ScheduledAt)
	if err != nil || id != o.Run {
		return nil, nil, errors.Join(fmt.Errorf("the order's id is not that of its pipeline, parameters and time"), err)
	}
	plan, err := o.load()
	if err != nil {
		return nil, nil, err
	}
	if plan.Name != o.Pipeline {
		return nil, nil, fmt.Errorf("the order is for %q, and its file is %q", o.Pipeline, plan.Name)
	}
	return o, plan, nil
}

// load makes the plan: from the file itself if it still has this text, so that other files which it names
// are found.
func (o *Order) load() (*flow.Plan, error) {
	if text, err := os.ReadFile(o.File); err == nil && o.File != "" && string(text) == o.Source {
		return planOf(form.LoadFile(o.File))
	}
	return planOf(form.Load(o.File, bytes.NewReader([]byte(o.Source))))
}

func planOf(file *form.File, err error) (*flow.Plan, error) {
	if err != nil {
		return nil, err
	}
	return file.Plan, nil
}
