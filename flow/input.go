package flow

import (
	"context"
	"fmt"
	"iter"
	"maps"
	"slices"

	"github.com/geartrain/geartrain/gearman/protocol"
)

// maxPayload is the largest list that is made into one job.
const maxPayload = protocol.DefaultMaxPacket - 4<<10

// items gives the stage's items in order, as its Input says. It ends early when ctx does.
func (s *stageRun) items(ctx context.Context) iter.Seq2[item, error] {
	in := s.spec.Input
	var items iter.Seq2[item, error]
	switch in.Kind {
	case FromValue:
		items = s.valueItems()
	case FromStages:
		items = s.stageItems(ctx)
	case FromInput:
		items = s.run.sentItems(ctx, in.Encoding.form())
	default:
		items = single(item{})
	}
	if in.Flatten {
		items = flattenItems(items)
	}
	if in.Gather {
		return batchItems(items, 0)
	}
	if in.Batch > 0 {
		return batchItems(items, in.Batch)
	}
	return items
}

func single(it item) iter.Seq2[item, error] {
	return func(yield func(item, error) bool) { yield(it, nil) }
}

func fails(err error) iter.Seq2[item, error] {
	return func(yield func(item, error) bool) { yield(item{}, err) }
}

// valueItems gives the elements of the value that Each stands for.
func (s *stageRun) valueItems() iter.Seq2[item, error] {
	v, err := s.spec.Input.Each.Eval(s.run.scope(s.spec.Input.Each))
	if err != nil {
		return fails(fmt.Errorf("for_each: %w", err))
	}
	switch v := v.(type) {
	case []any:
		return listItems(slices.Values(v))
	case map[string]any:
		return listItems(pairs(v))
	case int:
		if v >= 0 {
			return listItems(numbers(v))
		}
		return fails(fmt.Errorf("for_each: %d is no number of items", v))
	}
	return fails(fmt.Errorf("for_each: want a list, a map or a whole number, not %s", describe(v)))
}

func listItems(values iter.Seq[any]) iter.Seq2[item, error] {
	return func(yield func(item, error) bool) {
		for v := range values {
			it, err := itemOf(v)
			if !yield(it, err) || err != nil {
				return
			}
		}
	}
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
func (s *stageRun) stageItems(ctx context.Context) iter.Seq2[item, error] {
	if s.spec.Input.Stream {
		return s.arrivals(ctx)
	}
	return func(yield func(item, error) bool) {
		for _, from := range s.from {
			for p, err := range from.results.inOrder() {
				if !yield(item{p, from.output.form()}, err) || err != nil {
					return
				}
			}
		}
	}
}

// arrivals gives results as they come, until all the stages that they come from have ended.
func (s *stageRun) arrivals(ctx context.Context) iter.Seq2[item, error] {
	return func(yield func(item, error) bool) {
		sources := make([]*arrival, len(s.from))
		for i, from := range s.from {
			sources[i] = &arrival{from: from, reader: spoolReader{spool: from.results.records}}
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
				yield(item{}, fmt.Errorf("%w: %q ended with %s", ErrBlocked, from.spec.Name, status))
				return
			}
		}
	}
}

// arrival is how far the results of one stage have been taken.
type arrival struct {
	from   *stageRun
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
func (a *arrival) drain(s *stageRun, yield func(item, error) bool) bool {
	for end := a.from.results.records.end(); a.pos < end; {
		_, p, next, err := a.reader.at(a.pos)
		if !yield(item{p, a.from.output.form()}, err) || err != nil {
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

// flattenItems gives the elements of items that are lists.
func flattenItems(items iter.Seq2[item, error]) iter.Seq2[item, error] {
	return func(yield func(item, error) bool) {
		for it, err := range items {
			if err != nil {
				yield(item{}, err)
				return
			}
			v, err := it.value()
			list, ok := v.([]any)
			if err == nil && !ok {
				err = fmt.Errorf("flatten: want a list, not %s", describe(v))
			}
			if err != nil {
				yield(item{}, err)
				return
			}
			for it, err := range listItems(slices.Values(list)) {
				if !yield(it, err) || err != nil {
					return
				}
			}
		}
	}
}

// batchItems makes lists of n items; n = 0: one list of all, even if there are none.
func batchItems(items iter.Seq2[item, error], n int) iter.Seq2[item, error] {
	return func(yield func(item, error) bool) {
		list, count := []byte{'['}, 0
		for it, err := range items {
			if err == nil && count > 0 {
				list = append(list, ',')
			}
			if err == nil {
				list, err = it.appendJSON(list)
			}
			if err == nil && len(list) > maxPayload {
				err = fmt.Errorf("%w: a list of more than %d items is over %s, the limit of one job; "+
					"take them in batches first", ErrTooLarge, count, byteSize(maxPayload))
			}
			if err != nil {
				yield(item{}, err)
				return
			}
			if count++; count == n {
				if !yield(item{append(list, ']'), jsonItem}, nil) {
					return
				}
				list, count = []byte{'['}, 0
			}
		}
		if count > 0 || n == 0 {
			yield(item{append(list, ']'), jsonItem}, nil)
		}
	}
}
