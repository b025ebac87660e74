// Package page writes a run as one HTML file that needs nothing else: for mail, for archives, for those who
// have no state folder. It has no scripts, and nothing in it is fetched.
//
//	runs.Run ──► Read: one pass over its journal, in bounded memory ──► Page ──► Write ──► run.html
package page

import (
	"cmp"
	"container/heap"
	"fmt"
	"slices"
	"time"

	"github.com/geartrain/geartrain/flow"
	"github.com/geartrain/geartrain/flow/change"
	"github.com/geartrain/geartrain/flow/runs"
)

// What is shown at most, however large the run is.
const (
	columns      = 150 // of the time axis
	maxSlow      = 20
	maxTries     = 20
	maxReasons   = 20
	maxLog       = 200
	maxDurations = 4096 // durations of a stage that the percentiles are taken from
)

// Page is a run as it is shown.
type Page struct {
	Run                                   runs.Record
	State                                 string
	Begin                                 time.Time
	End                                   time.Time // of the last thing that happened
	Stages                                []*Stage
	Slow                                  []Item
	Tries                                 []Item // those with the most attempts
	Hooks                                 []flow.HookReport
	Log                                   []runs.Line
	LogCut                                bool // there was more of it
	Ticks                                 []Tick
	Jobs, Done, Answered, Failed, Retries int
}

// Stage is one bar of the page.
type Stage struct {
	flow.StageProgress
	Error   string
	Reasons []flow.Reason
	Hooks   []flow.HookReport

	counts    [3][columns]int // ends in each column of the axis, by shade
	durations durations
}

// Item is a row of a list.
type Item struct {
	Stage   string
	Place   int
	Item    string
	Took    time.Duration
	Attempt int
	Outcome flow.Outcome
	Message string
}

// shade is how an end of a job is drawn.
type shade int

const (
	ran shade = iota
	answered
	failed
)

// Read reads a run. What is damaged or gone of it is left out.
func Read(r *runs.Run) (*Page, error) {
	p := &Page{Run: r.Record, State: r.State(), Begin: r.Record.StartedAt, End: r.Record.EndedAt}
	if err := p.readStages(r); err != nil {
		return nil, err
	}
	start := 0
	if holder, err := r.Driver(); err == nil {
		start = holder.Number
	}
	if err := p.settleEnd(r, start); err != nil {
		return nil, err
	}
	if err := p.readItems(r, start); err != nil {
		return nil, err
	}
	p.readLog(r)
	p.Ticks = ticks(p.Begin, p.End)
	for _, s := range p.Stages {
		p.Jobs, p.Done, p.Answered = p.Jobs+s.Added, p.Done+s.Done, p.Answered+s.Answered
		p.Failed, p.Retries = p.Failed+s.Failed, p.Retries+s.Retries
	}
	return p, nil
}

// readStages takes the report, or of a run that has none how far it is.
func (p *Page) readStages(r *runs.Run) error {
	report, err := r.Report()
	if err != nil {
		return err
	}
	if report != nil && p.State != runs.StateRunning {
		for _, s := range report.Stages {
			if len(s.Reasons) > maxReasons {
				s.Reasons = s.Reasons[:maxReasons]
			}
			p.Stages = append(p.Stages, &Stage{StageProgress: s.StageProgress, Error: s.Error, Reasons: s.Reasons, Hooks: s.Hooks})
		}
		p.Hooks = report.Hooks
		return nil
	}
	progress, err := r.Progress()
	if err != nil {
		return err
	}
	for _, s := range progress {
		p.Stages = append(p.Stages, &Stage{StageProgress: s})
	}
	return nil
}

func (p *Page) stage(name string) *Stage {
	for _, s := range p.Stages {
		if s.Stage == name {
			return s
		}
	}
	return nil
}

// settleEnd finds the end of the time axis of a run that has not ended.
func (p *Page) settleEnd(r *runs.Run, start int) error {
	for it, err := range r.Records("") {
		if !p.Run.EndedAt.IsZero() {
			break
		}
		if err != nil {
			return fmt.Errorf("read the journal: %w", err)
		}
		if it.Start == start && it.EndedAt.After(p.End) {
			p.End = it.EndedAt
		}
	}
	for _, s := range p.Stages {
		if s.EndedAt.After(p.End) {
			p.End = s.EndedAt
		}
	}
	if !p.End.After(p.Begin) {
		p.End = p.Begin.Add(time.Millisecond)
	}
	return nil
}

// readItems goes through what happened in the last start of the run.
func (p *Page) readItems(r *runs.Run, start int) error {
	slow, tries := newTop(maxSlow, slower), newTop(maxTries, triedMore)
	for it, err := range r.Records("") {
		if err != nil {
			return fmt.Errorf("read the journal: %w", err)
		}
		s := p.stage(it.Stage)
		if s == nil || it.Start != start {
			continue
		}
		one := Item{Stage: it.Stage, Place: it.Place, Attempt: it.Attempt, Outcome: it.Outcome, Message: it.Message}
		if !it.AddedAt.IsZero() {
			one.Took = max(0, it.EndedAt.Sub(it.AddedAt))
		}
		switch it.Outcome {
		case flow.OutcomeDone:
			s.counts[ran][p.column(it.EndedAt)]++
			s.durations.add(one.Took)
		case flow.OutcomeFailed:
			s.counts[failed][p.column(it.EndedAt)]++
		case flow.OutcomeAnswered, flow.OutcomeJoined:
			s.counts[answered][p.column(it.EndedAt)]++
			continue
		default:
			continue
		}
		name := func() string { return change.Short(it.Item.JSON()) }
		slow.offer(one, name)
		if it.Attempt > 1 {
			tries.offer(one, name)
		}
	}
	p.Slow, p.Tries = slow.sorted(), tries.sorted()
	return nil
}

// column is the place on the time axis.
func (p *Page) column(at time.Time) int {
	i := int(float64(columns) * float64(at.Sub(p.Begin)) / float64(p.End.Sub(p.Begin)))
	return min(max(i, 0), columns-1)
}

// readLog keeps the end of the log.
func (p *Page) readLog(r *runs.Run) {
	for line := range r.Lines(runs.LogMark{}) {
		if len(p.Log) == 2*maxLog {
			p.Log, p.LogCut = slices.Clone(p.Log[maxLog:]), true
		}
		p.Log = append(p.Log, line)
	}
	if len(p.Log) > maxLog {
		p.Log, p.LogCut = p.Log[len(p.Log)-maxLog:], true
	}
}

func slower(a, b Item) int {
	return cmp.Or(cmp.Compare(a.Took, b.Took), cmp.Compare(b.Stage, a.Stage), b.Place-a.Place)
}

func triedMore(a, b Item) int { return cmp.Or(a.Attempt-b.Attempt, slower(a, b)) }

// top keeps the greatest items.
type top struct {
	limit   int
	compare func(a, b Item) int
	items   []Item // a heap, the least on top
}

func newTop(limit int, compare func(a, b Item) int) *top { return &top{limit: limit, compare: compare} }

// offer keeps an item, with its name, if it is among the greatest.
func (t *top) offer(it Item, name func() string) {
	switch {
	case len(t.items) < t.limit:
		it.Item = name()
		heap.Push(t, it)
	case t.compare(it, t.items[0]) > 0:
		it.Item = name()
		t.items[0] = it
		heap.Fix(t, 0)
	}
}

func (t *top) sorted() []Item {
	slices.SortFunc(t.items, func(a, b Item) int { return t.compare(b, a) })
	return t.items
}

// Len is for container/heap, and so are the others.
func (t *top) Len() int           { return len(t.items) }
func (t *top) Less(a, b int) bool { return t.compare(t.items[a], t.items[b]) < 0 }
func (t *top) Swap(a, b int)      { t.items[a], t.items[b] = t.items[b], t.items[a] }
func (t *top) Push(x any)         { t.items = append(t.items, x.(Item)) }
func (t *top) Pop() any {
	last := t.items[len(t.items)-1]
	t.items = t.items[:len(t.items)-1]
	return last
}

// durations keeps some of them, evenly spread over all that came: each nth, with n doubled when it is full.
type durations struct {
	kept    []time.Duration
	every   int
	skipped int
	longest time.Duration
}

func (d *durations) add(one time.Duration) {
	d.longest = max(d.longest, one)
	if d.skipped++; d.skipped < d.every {
		return
	}
	d.skipped = 0
	if d.kept = append(d.kept, one); len(d.kept) < maxDurations {
		return
	}
	half := d.kept[:0]
	for i := 0; i < len(d.kept); i += 2 {
		half = append(half, d.kept[i])
	}
	d.kept, d.every = half, max(2*d.every, 2)
}

// part is the duration that this part of them does not exceed.
func (d *durations) part(p float64) time.Duration {
	if len(d.kept) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(d.kept))
	return sorted[int(p*float64(len(sorted)-1))]
}
