package flow

import (
	"cmp"
	"context"
	"io"
	"iter"
	"time"

	"github.com/geartrain/geartrain/gearman"
	"github.com/geartrain/geartrain/gearman/command"
)

// Defaults of a [Runner].
const (
	DefaultWindow  = 1000
	DefaultMaxList = 64 << 20
)

// Runner is how pipelines are run. Only Client is required, and not even that with a
// Tape. A Runner may be used for many runs at
// once; its fields must not change meanwhile.
type Runner struct {
	Client *gearman.Client

	// Window is how many jobs of one stage are submitted and unanswered at once, for stages that do
	// not say. It bounds a run's memory, with the size of the payloads. Default: DefaultWindow.
	Window int

	// MaxList is the most bytes of results that an expression may take as one list, as
	// stages.NAME.results does. Default: DefaultMaxList.
	MaxList int64

	// TempDir is where results go that memory does not hold; the files have no names. Default: the
	// system's folder for temporary files.
	TempDir string

	// Stderr gets what the commands of hooks print, one Write per line from several at once, so it must be
	// safe for concurrent use. Default: discarded.
	Stderr io.Writer

	// Guard ends the commands of hooks if this process is killed. Default: they go on alone then.
	Guard *command.Guard

	// Tape plays what became of jobs before, in tests. Default: none.
	Tape Tape

	// Secrets are the values of the plan's secrets: hooks find them in their environment, and nothing that a
	// run tells or keeps shows them. Default: none, and the hooks of a plan that has some fail.
	Secrets *Secrets

	submitter submitter // in place of Client, for tests
}

func (r *Runner) window() int    { return cmp.Or(max(r.Window, 0), DefaultWindow) }
func (r *Runner) maxList() int64 { return cmp.Or(max(r.MaxList, 0), DefaultMaxList) }

func (r *Runner) submits() submitter {
	if r.submitter != nil {
		return r.submitter
	}
	if r.replays() {
		return noServer{}
	}
	return clientSubmitter{r.Client}
}

// ForceAll in [RunOptions].Force stands for every stage.
const ForceAll = "*"

// RunOptions are what one run differs in from another. The zero value is a run without parameters,
// now, that writes nothing.
type RunOptions struct {
	// Params are JSON values by name. Those left out get their defaults. [ParseParams] makes them of the
	// texts of a command line.
	Params map[string]any

	// ScheduledAt is the run's logical time. Pipeline, parameters and logical time are what makes a
	// run the same run. Default: now, in whole milliseconds.
	ScheduledAt time.Time

	// ID is the run's id, part of its keys. Default: [RunID] of the three above.
	ID string

	// Attempt is what expressions see as run.attempt. Default: 1.
	Attempt int

	// Journal keeps what became of the run, and answers what it has. Default: nothing is kept here; a server
	// that retains results answers all the same.
	Journal Journal

	// Force names stages whose jobs run although there are results for them; [ForceAll] stands for all.
	Force []string

	// Retain is how long a server that can is asked to keep the jobs' results. A stage that takes older
	// ones asks for more. Default: DefaultRetain; negative: not at all.
	Retain time.Duration

	// Sample is the most items that a stage takes: those whose keys have the lowest hashes, whatever their
	// order is, and in every run the same ones. Keys do not change, so the run without it, with the same
	// ID, has these results already. A stage then begins when all of its input is there. Default: all items.
	Sample int

	foresight *foresight // of a forecast

	// Input is sent to the run by [Plan.Run], which iterates over it in its own goroutine. Elements are
	// text or JSON as the plan's input says, and are the run's from then on.
	Input iter.Seq[[]byte]

	// Output gets the pipeline's own output when its last stage has ended. Default: discarded.
	Output io.Writer
}

// Run runs the plan once and waits for its end. The report is there in any case but that of a run that
// could not begin. The error is a [*RunError] when the run did not end well, also when its output could
// not be written; or what was wrong with the parameters.
//
// When ctx ends, jobs that run are given up, and the error says so with the context's cause. The same
// plan with the same ID joins what is still running, and takes the results that the server retained.
func (p *Plan) Run(ctx context.Context, r *Runner, o RunOptions) (*Report, error) {
	run, err := p.Start(ctx, r, o)
	if err != nil {
		return nil, err
	}
	if o.Input != nil {
		for v := range o.Input {
			if run.Send(ctx, v) != nil { // the run has ended, or takes no input; Wait says why
				break
			}
		}
	}
	run.CloseInput()
	return run.Wait()
}
