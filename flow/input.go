package flow

import (
	"context"
	"fmt"
	"iter"
	"maps"
	"slices"

	"github.com/geartrain/geartrain/flow/value"
	"github.com/geartrain/geartrain/gearman/protocol"
)

// maxPayload is the largest list that is made into one job.
const maxPayload = protocol.DefaultMaxPacket - 4<<10

// tooLargeList: one job cannot take more than count items.
func tooLargeList(count int) error {
	return fmt.Errorf("%w: a list of more than %d items is over %s, the limit of one job; "+
		"take them in batches first", ErrTooLarge, count, byteSize(maxPayload))
}

// items gives the stage's items in order, as its Input says. It ends early when ctx does.
func (s *stageRun) items(ctx context.Context) iter.Seq2[incoming, error] {
	items := s.inputItems(ctx, &s.spec.Input)
	if len(s.spec.Tasks) == 0 {
		return items
	}
	return s.taskItems(ctx, items)
}

// inputItems gives the items of an input, of the stage or of one of its tasks.
func (s *stageRun) inputItems(ctx context.Context, in *Input) iter.Seq2[incoming, error] {
	var items iter.Seq2[incoming, error]
	switch in.Kind {
	case FromValue:
		items = s.valueItems(in)
	case FromMatrix:
		items = s.matrixItems(in.Matrix)
	case FromStages:
		items = s.stageItems(ctx, in)
	case FromInput:
		items = s.run.sentItems(ctx, in.Encoding.form())
	default:
		items = single(item{})
	}
	if in.Flatten {
		items = flattenIncoming(items)
	}
	if in.Gather {
		return batchIncoming(items, 0)
	}
	if in.Batch > 0 {
		return batchIncoming(items, in.Batch)
	}
	return items
}

// valueItems gives the elements of the value that Each stands for.
func (s *stageRun) valueItems(in *Input) iter.Seq2[incoming, error] {
	v, err := in.Each.Eval(s.run.scope(in.Each))
	if err != nil {
		return fails(fmt.Errorf("for_each: %w", err))
	}
	switch v := v.(type) {
	case []any:
		return incomingValues(slices.Values(v))
	case map[string]any:
		return incomingValues(pairs(v))
	case int:
		if v >= 0 {
			return incomingValues(numbers(v))
		}
		return fails(fmt.Errorf("for_each: %d is no number of items", v))
	case float64:
		if n := int(v); v >= 0 && float64(n) == v { // such as 10 / 2
			return incomingValues(numbers(n))
		}
		return fails(fmt.Errorf("for_each: %v is no number of items", v))
	}
	return fails(fmt.Errorf("for_each: want a list, a map or a whole number, not %s", value.Describe(v)))
}

func pairs(m map[string]any) iter.Seq[any] {
	return func(yield func(any) bool) {
		for _, key := range slices.Sorted(maps.Keys(m)) {
			if !yield(map[string]any{"key": key, "value": m[key]}) {
				return
			}
		}
	}
}

func numbers(n int) iter.Seq[any] {
	return func(yield func(any) bool) {
		for i := range n {
			if !yield(i) {
				return
			}
		}
	}
}

// stageItems gives results of earlier stages: after their barriers in the order of their input, or
// as they arrive.
func (s *stageRun) stageItems(ctx context.Context, in *Input) iter.Seq2[incoming, error] {
	if in == &s.spec.Input && s.streams() {
		return s.arrivals(ctx)
	}
	return func(yield func(incoming, error) bool) {
		for _, name := range in.From {
			from := s.run.stage(name)
			for p, err := range from.inOrder() {
				if !yield(incoming{item: from.kept(p)}, err) || err != nil {
					return
				}
			}
		}
	}
}

// streams reports whether results are taken as they arrive. A list of all of them needs the barrier, and so
// do a tape, on which nothing is to be left to chance, and a forecast.
func (s *stageRun) streams() bool {
	return s.spec.Input.Stream && !s.spec.Input.Gather && s.run.runner.Tape == nil && s.run.foresight == nil
}

// arrivals gives results as they come, until all the stages that they come from have ended.
func (s *stageRun) arrivals(ctx context.Context) iter.Seq2[incoming, error] {
	return func(yield func(incoming, error) bool) {
		sources := make([]*arrival, len(s.from))
		for i, from := range s.from {
			sources[i] = &arrival{from: from, source: i, reader: spoolReader{spool: from.results.records}}
		}
		for {
			changed := s.bell.listen()
			open := false
			for _, source := range sources {
				ended := source.isEnded() // before what is there is read: nothing comes after it
				if !source.drain(s, yield) {
					return
				}
				open = open || !ended
			}
			if !open {
				break
			}
			select {
			case <-changed:
			case <-ctx.Done():
				return
			}
		}
		for _, from := range s.from {
			if status := from.status(); !status.Good() {
				yield(incoming{}, fmt.Errorf("%w: %q ended with %s", ErrBlocked, from.spec.Name, status))
				return
			}
		}
	}
}

// arrival is how far the results of one stage have been taken.
type arrival struct {
	from   *stageRun
	source int // its number among those of the input
	reader spoolReader
	pos    int64
}

func (a *arrival) isEnded() bool {
	select {
	case <-a.from.ended:
		return true
	default:
		return false
	}
}

// drain gives what is there. It is false when no more is wanted.
func (a *arrival) drain(s *stageRun, yield func(incoming, error) bool) bool {
	for end := a.from.results.records.end(); a.pos < end; {
		place, p, next, err := a.reader.at(a.pos)
		e := incoming{item: a.from.kept(p), origin: origin{a.source, int(place)}}
		if !yield(e, err) || err != nil {
			return false
		}
		a.pos = next
		s.mu.Lock()
		s.taken[a.from]++
		s.mu.Unlock()
		a.from.bell.ring()
	}
	return true
}
