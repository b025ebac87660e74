package flow

import (
	"iter"
)

// incoming is an item of a stage's input, and the result that it was made of.
type incoming struct {
	item   item
	origin origin
	task   int // which of the stage's works it is for
	index  int // its number among the items of its task; counts only in a stage of tasks
	tasked bool
}

// indexAt is what expressions see as index.
func (e incoming) indexAt(place int) int {
	if e.tasked {
		return e.index
	}
	return place
}

// origin is a result of an earlier stage: the number of the stage among those of the input, and the
// place of the result there. It counts only where results are taken as they arrive.
type origin struct{ source, place int }

func single(it item) iter.Seq2[incoming, error] {
	return func(yield func(incoming, error) bool) { yield(incoming{item: it}, nil) }
}

func fails(err error) iter.Seq2[incoming, error] {
	return func(yield func(incoming, error) bool) { yield(incoming{}, err) }
}

// flattenIncoming gives the elements of items that are lists.
func flattenIncoming(items iter.Seq2[incoming, error]) iter.Seq2[incoming, error] {
	return func(yield func(incoming, error) bool) {
		for e, err := range items {
			var elements []item
			if err == nil {
				elements, err = e.item.elements()
			}
			if err != nil {
				yield(incoming{}, err)
				return
			}
			for _, it := range elements {
				if !yield(incoming{item: it, origin: e.origin}, nil) {
					return
				}
			}
		}
	}
}

// batchIncoming makes lists of n items; n = 0: one list of all, even if there are none. A list comes from
// where its first item does.
func batchIncoming(items iter.Seq2[incoming, error], n int) iter.Seq2[incoming, error] {
	return func(yield func(incoming, error) bool) {
		b := batch{}
		for e, err := range items {
			if err == nil {
				err = b.add(e)
			}
			if err != nil {
				yield(incoming{}, err)
				return
			}
			if b.count == n && !yield(b.take(), nil) {
				return
			}
		}
		if b.count > 0 || n == 0 {
			yield(b.take(), nil)
		}
	}
}

// batch is a list of items that becomes one item.
type batch struct {
	list   []byte // the elements as JSON, with commas between them
	count  int
	origin origin
}

func (b *batch) add(e incoming) (err error) {
	if b.count == 0 {
		b.origin = e.origin
		b.list = append(b.list, '[')
	} else {
		b.list = append(b.list, ',')
	}
	if b.list, err = e.item.appendJSON(b.list); err != nil {
		return err
	}
	if len(b.list) > maxPayload {
		return tooLargeList(b.count)
	}
	b.count++
	return nil
}

// take gives the list and begins another.
func (b *batch) take() incoming {
	list := b.list
	if b.count == 0 {
		list = []byte{'['}
	}
	e := incoming{item: item{append(list, ']'), jsonItem}, origin: b.origin}
	*b = batch{}
	return e
}

// incomingValues gives the elements of a value.
func incomingValues(values iter.Seq[any]) iter.Seq2[incoming, error] {
	return func(yield func(incoming, error) bool) {
		for v := range values {
			it, err := itemOf(v)
			if !yield(incoming{item: it}, err) || err != nil {
				return
			}
		}
	}
}
