package runs

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"sync"
	"time"

	"github.com/geartrain/geartrain/flow"
)

// Driver is the right to drive a run, and its journal: a [flow.Journal]. Its methods may be called from any
// goroutine, but for Finish and Close, which are for the end.
type Driver struct {
	state    *State
	record   Record
	source   []byte
	resumed  bool
	afterEnd bool // the start before came to its end
	begun    bool
	root     *os.Root
	lease    *lease
	old      *index
	answers  *answers
	journal  *writer
	logs     *lineLog

	mu    sync.Mutex // guards what follows
	hooks map[flow.HookID]flow.HookRecord
	once  sync.Once
}

// Drive takes the lease of a run. Of r the id, pipeline, file, parameters, logical time, servers and group are
// used, and source is the text of the file. It fails with [ErrDriven] when somebody else has the run. The
// driver must be closed; nothing has happened to the run's record before [Driver.Begin].
func (s *State) Drive(r Record, source []byte) (*Driver, error) {
	root, err := s.make(r.ID)
	if err != nil {
		return nil, fmt.Errorf("drive run %s: %w", r.ID, err)
	}
	d := &Driver{
		state: s, record: r, source: source, root: root,
		answers: newAnswers(s), hooks: map[flow.HookID]flow.HookRecord{},
	}
	if err := d.open(); err != nil {
		return nil, errors.Join(fmt.Errorf("drive run %s: %w", r.ID, err), d.giveBack())
	}
	return d, nil
}

func (d *Driver) open() (err error) {
	if d.lease, err = takeLease(d.root); err != nil {
		return err
	}
	if err := d.begunBefore(); err != nil {
		return err
	}
	if d.old, err = indexRun(d.root, d.readHook); err != nil {
		return err
	}
	if err := d.forgetRequests(); err != nil {
		return err
	}
	file, err := d.root.OpenFile(segmentName(d.lease.holder.Number), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	d.journal = newWriter(file, d.lease.check)
	d.logs = newLineLog(d.root, d.lease.holder.Number)
	return nil
}

// Begin makes or renews the run's record: from now on the run can be found, and be carried on. servers are
// those that it runs on now.
func (d *Driver) Begin(servers []string) error {
	d.record.RunsOn = servers
	d.record.FileHash = HashFile(d.source)
	d.record.StartedAt = time.Now().UTC()
	d.begun = true
	err := writeFile(d.root, "pipeline.yaml", d.source)
	if err == nil {
		err = writeJSON(d.root, "record.json", &d.record)
	}
	if err != nil {
		return fmt.Errorf("begin run %s: %w", d.record.ID, err)
	}
	return nil
}

// begunBefore takes over what the record of an earlier start says.
func (d *Driver) begunBefore() error {
	var before Record
	err := readJSON(d.root, "record.json", &before)
	r := &d.record
	switch {
	case errors.Is(err, fs.ErrNotExist):
		r.CreatedAt, r.Attempt, r.Starts = time.Now().UTC(), 1, 1
		return nil
	case err != nil:
		return err
	}
	r.CreatedAt, r.Attempt, r.Starts = before.CreatedAt, max(before.Attempt, 1), before.Starts+1
	d.resumed = before.Starts > 0
	if before.Ended() {
		d.afterEnd = true
		r.Attempt++
	}
	return nil
}

// Record is the run's record, with the number of the attempt.
func (d *Driver) Record() Record { return d.record }

// Resumed reports whether the run was started before.
func (d *Driver) Resumed() bool { return d.resumed }

// Known is how many results the journal had when the run was started.
func (d *Driver) Known() int { return len(d.old.entries) }

// Answer implements [flow.Journal].
func (d *Driver) Answer(stage *flow.Stage, key string) (flow.Answer, bool) {
	if a, ok := d.old.find(key, time.Time{}); ok {
		return a, true
	}
	return d.answers.find(stage, key)
}

// Job implements [flow.Journal].
func (d *Driver) Job(stage *flow.Stage, r *flow.JobRecord) error {
	err := d.journal.append(func(p []byte) []byte {
		return frame(p, func(p []byte) []byte { return appendJob(p, r, 0) })
	})
	if err != nil {
		return err
	}
	return d.answers.add(stage, r)
}

// Stage implements [flow.Journal].
func (d *Driver) Stage(r *flow.StageRecord) error { return d.addJSON(stageRecord, r) }

// Hook implements [flow.Journal].
func (d *Driver) Hook(id flow.HookID) (flow.HookRecord, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	r, ok := d.hooks[id]
	return r, ok
}

// HookDone implements [flow.Journal].
func (d *Driver) HookDone(r *flow.HookRecord) error {
	d.mu.Lock()
	d.hooks[r.ID] = *r
	d.mu.Unlock()
	if err := d.addJSON(hookRecord, r); err != nil {
		return err
	}
	return d.journal.flush()
}

// Flush implements [flow.Journal].
func (d *Driver) Flush() error {
	if err := d.journal.flush(); err != nil {
		return err
	}
	return d.answers.flush()
}

func (d *Driver) addJSON(kind byte, v any) error {
	var bad error
	err := d.journal.append(func(p []byte) []byte {
		p, bad = appendJSONRecord(p, kind, v)
		return p
	})
	return errors.Join(err, bad)
}

func (d *Driver) readHook(body []byte) {
	var r flow.HookRecord
	if body[0] == hookRecord && json.Unmarshal(body[1:], &r) == nil {
		d.hooks[r.ID] = r
	}
}

// SetProgress keeps how far the stages are, for those who look at the run meanwhile.
func (d *Driver) SetProgress(stages []flow.StageProgress) error {
	if err := d.lease.check(); err != nil {
		return err
	}
	return writeJSON(d.root, "progress.json", stages)
}

// Finish keeps how the run ended. interrupted says that it is to be carried on: the run then stays unfinished.
func (d *Driver) Finish(report *flow.Report, runErr error, interrupted bool) error {
	if err := d.Flush(); err != nil {
		return err
	}
	if err := d.lease.check(); err != nil {
		return err
	}
	r := &d.record
	if runErr != nil {
		r.Error = runErr.Error()
	}
	var stages []flow.StageProgress
	for _, s := range report.Stages {
		r.Failed += s.Failed
		stages = append(stages, s.StageProgress)
	}
	if !interrupted {
		r.Status, r.EndedAt = report.Status, time.Now().UTC()
	}
	return errors.Join(
		writeJSON(d.root, "progress.json", stages),
		writeJSON(d.root, "report.json", report),
		writeJSON(d.root, "record.json", r))
}

// Close gives the lease back. A run that was not finished can be carried on.
func (d *Driver) Close() error {
	var err error
	d.once.Do(func() { err = d.giveBack() })
	return err
}

func (d *Driver) giveBack() error {
	var errs []error
	if d.journal != nil {
		errs = append(errs, d.journal.close())
	}
	errs = append(errs, d.answers.end())
	if d.logs != nil {
		errs = append(errs, d.logs.close())
	}
	if d.old != nil {
		errs = append(errs, d.old.close())
	}
	if d.lease != nil {
		errs = append(errs, d.lease.release())
	}
	if !d.begun && !d.resumed && d.lease != nil {
		errs = append(errs, d.state.root.RemoveAll("runs/"+d.record.ID)) // nothing ever happened
	}
	return errors.Join(append(errs, d.root.Close())...)
}

// Abandon ends a run that nobody drives as cancelled, so that it is not offered to be carried on any more.
func (s *State) Abandon(r *Run) error { return s.conclude(r, flow.Cancelled, errAsked) }

// conclude gives a run that nobody drives its end.
func (s *State) conclude(r *Run, status flow.Status, why error) error {
	root, err := s.make(r.Record.ID)
	if err != nil {
		return err
	}
	defer root.Close()
	lease, err := takeLease(root)
	if err != nil {
		return fmt.Errorf("end run %s: %w", r.Record.ID, err)
	}
	r.Record.Status, r.Record.EndedAt, r.Record.Error = status, time.Now().UTC(), why.Error()
	return errors.Join(writeJSON(root, "record.json", &r.Record), lease.release())
}

// Output is where the pipeline's own output is kept, for those who ask for it later. One start of the run
// replaces that of the one before. What does not fit is left out.
func (d *Driver) Output() io.WriteCloser { return &outputFile{root: d.root} }

// maxKeptOutput bounds what is kept of a pipeline's output.
const maxKeptOutput = 64 << 20

// outputFile is made with its first byte.
type outputFile struct {
	root *os.Root
	file *os.File
	size int
}

// Write never fails for want of room: the output that counts goes elsewhere.
func (o *outputFile) Write(p []byte) (int, error) {
	if o.size += len(p); o.size > maxKeptOutput {
		return len(p), nil
	}
	if o.file == nil {
		var err error
		if o.file, err = o.root.OpenFile("output", os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600); err != nil {
			return 0, err
		}
	}
	return o.file.Write(p)
}

func (o *outputFile) Close() error {
	if o.file == nil {
		return nil
	}
	return o.file.Close()
}
