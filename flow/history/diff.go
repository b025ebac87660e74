package history

import (
	"errors"

	"github.com/geartrain/geartrain/flow"
	"github.com/geartrain/geartrain/flow/change"
	"github.com/geartrain/geartrain/flow/runs"
	"github.com/geartrain/geartrain/flow/value"
)

// Difference is what is different in one run from another.
type Difference struct {
	Old    string            `json:"old"`
	New    string            `json:"new"`
	Params []change.Change   `json:"params"`
	File   bool              `json:"file_changed"` // the pipeline file
	Stages []StageDifference `json:"stages"`
}

// StageDifference is what is different in a stage. Of each kind the first few items are named.
type StageDifference struct {
	Stage    string          `json:"stage"`
	Function []change.Change `json:"function,omitempty"` // function and version

	Same      int `json:"same"`
	Added     int `json:"added"`     // items that the old run did not have
	Gone      int `json:"gone"`      // items that the new run does not have
	Arguments int `json:"arguments"` // the same item with other arguments
	Results   int `json:"results"`   // the same arguments with another end

	AddedItems  []ItemNote   `json:"added_items,omitempty"`
	GoneItems   []ItemNote   `json:"gone_items,omitempty"`
	ArgumentsOf []ItemChange `json:"arguments_of,omitempty"`
	ResultsOf   []ItemChange `json:"results_of,omitempty"`
}

// ItemChange is an item that is in both runs and not the same.
type ItemChange struct {
	Old     ItemNote        `json:"old"`
	New     ItemNote        `json:"new"`
	Changes []change.Change `json:"changes"`
	Count   int             `json:"count"` // of all changes
}

// IsEmpty reports whether nothing is different in the stage.
func (s *StageDifference) IsEmpty() bool {
	return s.Added+s.Gone+s.Arguments+s.Results+len(s.Function) == 0
}

// maxChanges is how many changes of one item are named.
const maxChanges = 5

// Diff compares two runs by the data of their items, stage by stage. It names up to limit items of each kind
// and stage, and takes some 60 bytes of memory for each item of the old run.
func Diff(before, after *runs.Run, limit int) (*Difference, error) {
	d := &Difference{Old: before.Record.ID, New: after.Record.ID, Stages: []StageDifference{}}
	d.Params, _ = change.Between(anyMap(before.Record.Params), anyMap(after.Record.Params), 100)
	if d.Params == nil {
		d.Params = []change.Change{}
	}
	d.File = before.Record.FileHash != after.Record.FileHash
	oldStages, err := before.Stages()
	if err != nil {
		return nil, err
	}
	newStages, err := after.Stages()
	if err != nil {
		return nil, err
	}
	oldResults, err := before.Results()
	if err != nil {
		return nil, err
	}
	defer oldResults.Close() // it is only read
	newResults, err := after.Results()
	if err != nil {
		return nil, err
	}
	defer newResults.Close()
	for _, pair := range pairs(oldStages, newStages) {
		c := comparison{old: side{before, oldResults}, new: side{after, newResults}, limit: limit}
		one, err := c.stage(pair[0], pair[1])
		if err != nil {
			return nil, err
		}
		d.Stages = append(d.Stages, *one)
	}
	return d, nil
}

func anyMap(m map[string]any) any {
	if m == nil {
		return map[string]any{}
	}
	return m
}

// pairs are the stages of both runs, in the order of the new one, and then those that are gone.
func pairs(before, after []flow.StageRecord) (all [][2]*flow.StageRecord) {
	find := func(in []flow.StageRecord, name string) *flow.StageRecord {
		for i := range in {
			if in[i].Stage == name {
				return &in[i]
			}
		}
		return nil
	}
	for i := range after {
		all = append(all, [2]*flow.StageRecord{find(before, after[i].Stage), &after[i]})
	}
	for i := range before {
		if find(after, before[i].Stage) == nil {
			all = append(all, [2]*flow.StageRecord{&before[i], nil})
		}
	}
	return all
}

// side is one of two runs.
type side struct {
	run     *runs.Run
	results *runs.Results
}

// comparison compares one stage of two runs.
type comparison struct {
	old, new side
	limit    int
	out      StageDifference

	byArguments map[hash]*oldItem
	oldCount    int
	unmatched   []newItem
	wanted      map[int][]func(*runs.Item) // places of the old run of which something is to be said
}

type oldItem struct {
	place   int
	item    hash
	end     hash
	hasItem bool
	matched bool
}

type newItem struct {
	place   int
	item    hash
	hasItem bool
}

func (c *comparison) stage(before, after *flow.StageRecord) (*StageDifference, error) {
	c.byArguments, c.wanted = map[hash]*oldItem{}, map[int][]func(*runs.Item){}
	var errs []error
	if before != nil {
		c.out.Stage = before.Stage
		errs = append(errs, c.readOld())
	}
	if after != nil {
		c.out.Stage = after.Stage
		errs = append(errs, c.readNew())
	}
	if before != nil && after != nil {
		c.out.Function, _ = change.Between(identity(before), identity(after), maxChanges)
	}
	errs = append(errs, c.matchRest(), c.fillIn())
	return &c.out, errors.Join(errs...)
}

func identity(s *flow.StageRecord) any {
	return map[string]any{"function": s.Function, "version": s.Version}
}

func (c *comparison) readOld() error {
	for it, err := range c.old.run.Items(c.out.Stage) {
		if err != nil {
			return err
		}
		c.oldCount++
		h := argumentsHash(&it)
		if c.byArguments[h] != nil {
			continue // equal items are one job
		}
		o := &oldItem{place: it.Place, end: c.old.endHash(&it)}
		o.item, o.hasItem = datumHash(it.Item)
		c.byArguments[h] = o
	}
	return nil
}

// endHash tells ends of items apart.
func (s side) endHash(it *runs.Item) hash {
	if !isGood(it.Outcome) {
		return hashOf("failed", []byte(it.Reason+"\x00"+it.Message))
	}
	result, _ := s.results.Of(it)
	return hashOf("done", result)
}

func (c *comparison) readNew() error {
	seen := map[hash]bool{}
	for it, err := range c.new.run.Items(c.out.Stage) {
		if err != nil {
			return err
		}
		h := argumentsHash(&it)
		if seen[h] {
			continue
		}
		seen[h] = true
		old := c.byArguments[h]
		switch {
		case old == nil:
			n := newItem{place: it.Place}
			n.item, n.hasItem = datumHash(it.Item)
			c.unmatched = append(c.unmatched, n)
			continue
		case old.end == c.new.endHash(&it):
			c.out.Same++
		default:
			c.out.Results++
			c.noteResult(old, &it)
		}
		old.matched = true
	}
	return nil
}

// noteResult names an item whose end is another one.
func (c *comparison) noteResult(old *oldItem, it *runs.Item) {
	if len(c.out.ResultsOf) >= c.limit {
		return
	}
	i := len(c.out.ResultsOf)
	c.out.ResultsOf = append(c.out.ResultsOf, ItemChange{New: noteOf(it)})
	now := c.new.endValue(it)
	c.want(old.place, func(before *runs.Item) {
		one := &c.out.ResultsOf[i]
		one.Old = noteOf(before)
		one.Changes, one.Count = change.Between(c.old.endValue(before), now, maxChanges)
	})
}

// endValue is a result, as JSON where it is, or the failure.
func (s side) endValue(it *runs.Item) any {
	if !isGood(it.Outcome) {
		return map[string]any{"failed": it.Reason, "message": it.Message}
	}
	result, _ := s.results.Of(it)
	if v, err := value.DecodeJSON(result); err == nil {
		return v
	}
	return string(result)
}

func (c *comparison) want(place int, fill func(*runs.Item)) {
	c.wanted[place] = append(c.wanted[place], fill)
}

// matchRest pairs items whose arguments are others: by the item itself, and the only job of a stage with
// the only one.
func (c *comparison) matchRest() error {
	rest := map[hash]*oldItem{}
	var single *oldItem
	for _, o := range c.byArguments {
		if o.matched {
			continue
		}
		single = o
		if o.hasItem {
			rest[o.item] = o
		}
	}
	isSingle := c.oldCount == 1 && len(c.unmatched) == 1 && single != nil
	changed, added := map[int]*oldItem{}, map[int]bool{}
	for _, n := range c.unmatched {
		old := rest[n.item]
		if isSingle {
			old = single
		}
		if (n.hasItem || isSingle) && old != nil && !old.matched {
			old.matched = true
			c.out.Arguments++
			if len(changed) < c.limit {
				changed[n.place] = old
			}
			continue
		}
		c.out.Added++
		if len(added) < c.limit {
			added[n.place] = true
		}
	}
	return c.noteNew(changed, added)
}

// noteNew names items of the new run, and those of the old one that are gone.
func (c *comparison) noteNew(changed map[int]*oldItem, added map[int]bool) error {
	for it, err := range c.new.run.Items(c.out.Stage) {
		if err != nil {
			return err
		}
		if added[it.Place] {
			c.out.AddedItems = append(c.out.AddedItems, noteOf(&it))
		}
		old := changed[it.Place]
		if old == nil {
			continue
		}
		i := len(c.out.ArgumentsOf)
		c.out.ArgumentsOf = append(c.out.ArgumentsOf, ItemChange{New: noteOf(&it)})
		now := valueOf(it.Arguments)
		c.want(old.place, func(before *runs.Item) {
			one := &c.out.ArgumentsOf[i]
			one.Old = noteOf(before)
			one.Changes, one.Count = change.Between(valueOf(before.Arguments), now, maxChanges)
		})
	}
	return nil
}

// fillIn reads the old run once more, for what is to be said of its items.
func (c *comparison) fillIn() error {
	gone := map[int]bool{}
	for _, o := range c.byArguments {
		if !o.matched {
			gone[o.place] = true
		}
	}
	c.out.Gone = len(gone)
	if len(gone) == 0 && len(c.wanted) == 0 {
		return nil
	}
	for it, err := range c.old.run.Items(c.out.Stage) {
		if err != nil {
			return err
		}
		if gone[it.Place] && len(c.out.GoneItems) < c.limit {
			c.out.GoneItems = append(c.out.GoneItems, noteOf(&it))
		}
		for _, fill := range c.wanted[it.Place] {
			fill(&it)
		}
	}
	return nil
}
