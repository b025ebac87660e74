package history

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/geartrain/geartrain/flow"
	"github.com/geartrain/geartrain/flow/change"
	"github.com/geartrain/geartrain/flow/runs"
)

// What callers may want to tell apart, with errors.Is.
var (
	// ErrNoStage: the run has no record of a stage of this name.
	ErrNoStage = errors.New("no such stage in the run")
	// ErrNoItem: no item of the stage is meant, or more than one.
	ErrNoItem = errors.New("no such item")
)

// Explanation is why a job ran, or did not.
type Explanation struct {
	Run      string    `json:"run"`
	Stage    string    `json:"stage"`
	Function string    `json:"function"`
	Version  string    `json:"version,omitempty"`
	Scope    string    `json:"scope"` // of the key: the run, or empty
	Item     ItemNote  `json:"item"`
	Attempt  int       `json:"attempt"`
	EndedAt  time.Time `json:"ended_at"`
	Seconds  float64   `json:"seconds"`
	Ran      bool      `json:"ran"` // a worker was asked

	Against *Earlier        `json:"against,omitempty"` // the nearest earlier run of this work; absent: there is none
	Reasons []string        `json:"reasons"`           // why it ran, or why it did not
	Changes []change.Change `json:"changes,omitempty"` // of the arguments
	Count   int             `json:"change_count,omitempty"`
}

// Earlier is an item of an earlier run, or of an earlier start of the same one.
type Earlier struct {
	Run         string    `json:"run"`
	ScheduledAt time.Time `json:"scheduled_at"`
	Item        ItemNote  `json:"item"`
	EndedAt     time.Time `json:"ended_at"`
}

// maxEarlier is how many earlier runs are looked at for the same work.
const maxEarlier = 20

// FindJob finds the last record of a key, or of the only key that begins so, in the runs of a state folder.
func FindJob(state *runs.State, key string) (*runs.Run, runs.Item, error) {
	all, err := state.List()
	if err != nil {
		return nil, runs.Item{}, err
	}
	for i, r := range all {
		if i == maxLooked {
			break
		}
		var found runs.Item
		for it, err := range r.Records("") {
			if err != nil {
				break // its journal is gone, or not whole: the others may have it
			}
			if !strings.HasPrefix(it.Key, key) || it.Outcome == flow.OutcomeRetried || it.Outcome == flow.OutcomeWarned {
				continue
			}
			if found.Key != "" && found.Key != it.Key {
				return nil, runs.Item{}, fmt.Errorf("%w: %q may be %s or %s; give more of it", ErrNoItem, key, found.Key, it.Key)
			}
			found = it.Clone()
		}
		if found.Key != "" {
			return r, found, nil
		}
	}
	return nil, runs.Item{}, fmt.Errorf("%w: no run has a job with the key %q", ErrNoItem, key)
}

// FindItem finds an item of a stage: by its place, by its text or JSON as a whole, or by a part of it that no
// other has.
func FindItem(r *runs.Run, stage, text string) (runs.Item, error) {
	if _, err := stageAt(r, stage, 0); err != nil {
		return runs.Item{}, err
	}
	var part runs.Item
	parts, count := 0, 0
	for it, err := range r.Items(stage) {
		if err != nil {
			return runs.Item{}, err
		}
		count++
		whole := string(shown(it.Item))
		switch {
		case text == fmt.Sprint(it.Place), text == whole, text == string(it.Item.Raw):
			return it.Clone(), nil
		case strings.Contains(whole, text) || strings.Contains(string(shown(it.Arguments)), text):
			if parts++; parts == 1 {
				part = it.Clone()
			}
		}
	}
	switch parts {
	case 0:
		return part, fmt.Errorf("%w: none of the %d items of stage %q has %q; give its index, from 0, or a part of it", ErrNoItem, count, stage, text)
	case 1:
		return part, nil
	}
	return part, fmt.Errorf("%w: %d items of stage %q have %q, the first is %d; give its index, or more of it", ErrNoItem, parts, stage, text, part.Place)
}

// Explain says why the job of an item ran, against the nearest earlier run of the same work.
func Explain(state *runs.State, r *runs.Run, it runs.Item) (*Explanation, error) {
	stage, err := stageAt(r, it.Stage, it.Start)
	if err != nil {
		return nil, err
	}
	e := &Explanation{
		Run: r.Record.ID, Stage: it.Stage, Function: stage.Function, Version: stage.Version, Scope: stage.Scope,
		Item: noteOf(&it), Attempt: it.Attempt, EndedAt: it.EndedAt, Reasons: []string{},
		Ran: it.Outcome == flow.OutcomeDone || it.Outcome == flow.OutcomeFailed,
	}
	if !it.AddedAt.IsZero() {
		e.Seconds = max(0, it.EndedAt.Sub(it.AddedAt).Seconds())
	}
	found, err := nearest(state, r, &it)
	if err != nil {
		return nil, err
	}
	if found != nil {
		e.Against = &Earlier{found.run.Record.ID, found.run.Record.ScheduledAt, noteOf(&found.item), found.item.EndedAt}
	}
	switch {
	case it.Outcome == flow.OutcomeAnswered:
		e.say("it did not run: there was a result for its key")
	case it.Outcome == flow.OutcomeJoined:
		e.say("it did not run by itself: another item of the stage has the same key, and they share its end")
	case found == nil:
		e.say("it is new: no earlier run that is still kept has work like it")
	default:
		err = e.compare(r, &stage, &it, found)
	}
	return e, err
}

func (e *Explanation) say(format string, args ...any) {
	e.Reasons = append(e.Reasons, fmt.Sprintf(format, args...))
}

// candidate is an earlier item.
type candidate struct {
	run  *runs.Run
	item runs.Item
	like likeness
}

// likeness orders candidates.
type likeness uint8

const (
	likeNothing   likeness = iota
	likePlace              // the same place in the stage
	likeItem               // the same item
	likeArguments          // the same arguments
	likeKey                // the same key: the very same work
)

// nearest is the earlier item that is most like this one, of the nearest runs that have any.
func nearest(state *runs.State, r *runs.Run, it *runs.Item) (*candidate, error) {
	all, err := state.List()
	if err != nil {
		return nil, err
	}
	best, looked := (*candidate)(nil), 0
	look := func(other *runs.Run) error {
		looked++
		found, err := mostLike(other, it, other.Record.ID == r.Record.ID)
		if found != nil && (best == nil || found.like > best.like) {
			best = found
		}
		return err
	}
	if err := look(r); err != nil { // earlier starts of the run itself
		return nil, err
	}
	for _, other := range all {
		isEarlier := other.Record.Pipeline == r.Record.Pipeline && other.Record.ID != r.Record.ID &&
			other.Record.StartedAt.Before(r.Record.StartedAt)
		if looked > maxEarlier || best != nil && best.like >= likeArguments {
			break
		}
		if isEarlier {
			_ = look(other) // one that cannot be read tells nothing
		}
	}
	return best, nil
}

// mostLike looks for an item in a run; in the same run, for a record of before.
func mostLike(r *runs.Run, it *runs.Item, isSame bool) (*candidate, error) {
	var best *candidate
	arguments := argumentsHash(it)
	item, hasItem := datumHash(it.Item)
	for other, err := range r.Records(it.Stage) {
		if err != nil {
			return best, err
		}
		ended := other.Outcome == flow.OutcomeDone || other.Outcome == flow.OutcomeFailed
		if !ended || isSame && other.Start >= it.Start {
			continue
		}
		like := likeNothing
		switch otherItem, ok := datumHash(other.Item); {
		case other.Key == it.Key:
			like = likeKey
		case argumentsHash(&other) == arguments:
			like = likeArguments
		case ok && hasItem && otherItem == item:
			like = likeItem
		case other.Place == it.Place:
			like = likePlace
		}
		if like > likeNothing && (best == nil || like >= best.like) {
			best = &candidate{r, other.Clone(), like}
		}
	}
	return best, nil
}

// compare finds which parts of the key are others.
func (e *Explanation) compare(r *runs.Run, stage *flow.StageRecord, it *runs.Item, found *candidate) error {
	before, err := stageAt(found.run, it.Stage, found.item.Start)
	if err != nil {
		return err
	}
	isSame := found.run.Record.ID == r.Record.ID
	switch {
	case found.like == likeKey && !isGood(found.item.Outcome):
		e.say("the key is the same, and the attempt before failed (%s): a failure is never an answer", found.item.Reason)
		return nil
	case found.like == likeKey:
		e.say("the key is the same and there was a result, which was not taken: the stage was forced, or its result was older than fresh allows, or is no longer kept")
		return nil
	}
	if before.Function != stage.Function {
		e.say("another function: %s is now %s", before.Function, stage.Function)
	}
	if before.Version != stage.Version {
		e.say("another version: %q is now %q (of a command that says none, it is the hash of its text)", before.Version, stage.Version)
	}
	e.compareArguments(it, &found.item)
	switch {
	case before.Scope == "" && stage.Scope != "":
		e.say("another policy: earlier runs' results were taken (fresh), and now they are not")
	case before.Scope != "" && stage.Scope == "":
		e.say("another policy: results of earlier runs are taken from now on (fresh), and there was none yet")
	case before.Scope != stage.Scope && len(e.Reasons) == 0 && !isSame:
		e.scopeOnly(r, found.run)
	}
	if len(e.Reasons) == 0 {
		e.say("the key is another one, and none of its parts that are kept")
	}
	return nil
}

// compareArguments says what is different in them, files apart from the rest.
func (e *Explanation) compareArguments(it, before *runs.Item) {
	if argumentsHash(it) == argumentsHash(before) {
		return
	}
	if !isKept(it.Arguments) || !isKept(before.Arguments) {
		e.say("other arguments; they are over 4 KiB, so only their hash is kept")
		return
	}
	changes, count := change.Between(valueOf(before.Arguments), valueOf(it.Arguments), 100)
	for _, one := range changes {
		if name, isFile := strings.CutPrefix(one.Path, ".sources"); isFile {
			e.say("another file: %s has changed", strings.Trim(strings.TrimPrefix(name, "."), `[]"`))
		}
	}
	e.Changes, e.Count = changes, count
	if len(e.Reasons) == 0 || !strings.HasPrefix(e.Reasons[len(e.Reasons)-1], "another file") {
		e.say("other arguments")
	}
}

// scopeOnly: all is the same but the run.
func (e *Explanation) scopeOnly(r, before *runs.Run) {
	e.say("another run: the keys of this stage hold within one run; with fresh: results of earlier runs would be taken")
	if !r.Record.ScheduledAt.Equal(before.Record.ScheduledAt) {
		e.say("the runs differ in their logical time: %s is now %s",
			before.Record.ScheduledAt.Format(time.RFC3339), r.Record.ScheduledAt.Format(time.RFC3339))
	}
	changes, _ := change.Between(anyMap(before.Record.Params), anyMap(r.Record.Params), maxChanges)
	for _, one := range changes {
		e.say("the runs differ in the parameter %s", one)
	}
}
