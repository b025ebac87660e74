package flow

import (
	"iter"
	"sync"
)

// order is the order of the input of a stage that takes results as they arrive, while its own places
// are in the order of arrival. For each result of the stages before it has the places that were made of
// it: they follow each other. What stays in memory does not grow with their number.
//
//	source 0, place 0 ──► places 4, 5      in order: 4 5 0 1 2 3
//	          place 1 ──► places 0
//	          place 2 ──► places 1, 2, 3
//
// Its methods may be called from any goroutine.
type order struct {
	mu      sync.Mutex // guards sources; held while a page goes to or from its file
	sources []places   // of each stage: place of the result -> span
}

// A span is kept as its first place + 1 and its length, in one number.
const spanBits = 28

func newOrder(dir string, sources int) *order {
	o := &order{sources: make([]places, sources)}
	for i := range o.sources {
		o.sources[i].dir = dir
	}
	return o
}

// add says that place, which is the one after the last, is made of a result.
func (o *order) add(from origin, place int) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	span, err := o.sources[from.source].get(from.place)
	if err != nil {
		return err
	}
	if span == 0 {
		span = int64(place+1) << spanBits
	}
	return o.sources[from.source].set(from.place, span+1)
}

// of is the places that were made of a result.
func (o *order) of(from origin) (first, count int, err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	span, err := o.sources[from.source].get(from.place)
	return int(span>>spanBits) - 1, int(span & (1<<spanBits - 1)), err
}

func (o *order) close() {
	o.mu.Lock()
	defer o.mu.Unlock()
	for i := range o.sources {
		_ = o.sources[i].close() // it is only given back
	}
}

// places gives the places of the stage in the order of its input, also those without a result. It is for
// when the stage has ended.
func (s *stageRun) places() iter.Seq2[int, error] {
	switch {
	case s.follows:
		return s.from[0].places()
	case s.order == nil:
		return s.ownPlaces()
	}
	return func(yield func(int, error) bool) {
		for i, from := range s.from {
			for place, err := range from.places() {
				if err == nil && !s.placesOf(origin{i, place}, yield) {
					return
				}
				if err != nil {
					yield(0, err)
					return
				}
			}
		}
	}
}

// ownPlaces are all places up to the last one that has ended.
func (s *stageRun) ownPlaces() iter.Seq2[int, error] {
	return func(yield func(int, error) bool) {
		s.mu.Lock()
		end := s.failures.end
		s.mu.Unlock()
		for place := range max(end, s.results.end()) {
			if !yield(place, nil) {
				return
			}
		}
	}
}

// placesOf gives those that were made of one result. It is false when no more is wanted.
func (s *stageRun) placesOf(from origin, yield func(int, error) bool) bool {
	first, count, err := s.order.of(from)
	if err != nil {
		yield(0, err)
		return false
	}
	for place := first; place < first+count; place++ {
		if !yield(place, nil) {
			return false
		}
	}
	return true
}
