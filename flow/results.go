package flow

import (
	"fmt"
	"iter"
	"sync"
)

// results keeps what a stage's jobs gave, by the place of the job's item in the input. They are
// written in the order of arrival and can be read in that order while the stage still runs, or in
// the order of the input. Memory does not grow with their number. Its methods may be called from
// any goroutine.
type results struct {
	records *spool // tag: the place

	mu    sync.Mutex // guards what follows; held while a page of places goes to or from its file
	at    places     // place -> position of the record + 1
	count int
	bytes int64
}

func newResults(dir string) *results {
	return &results{records: &spool{dir: dir}, at: places{dir: dir}}
}

// put keeps p as the result of the item at place. Each place is put at most once.
func (r *results) put(place int, p []byte) error {
	pos, err := r.records.append(uint64(place), p)
	if err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.count++
	r.bytes += int64(len(p))
	return r.at.set(place, pos+1)
}

// get is the result of the item at place, and whether there is one.
func (r *results) get(place int) ([]byte, bool, error) {
	pos, err := r.position(place)
	if pos == 0 || err != nil {
		return nil, false, err
	}
	_, p, _, err := (&spoolReader{spool: r.records}).at(pos - 1)
	return p, err == nil, err
}

func (r *results) position(place int) (int64, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.at.get(place)
}

// size is how many results there are, and of how many bytes.
func (r *results) size() (count int, bytes int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.count, r.bytes
}

// end is one after the last place with a result.
func (r *results) end() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.at.end
}

// inOrder gives the results at these places. Those without one are left out. It is for when no more
// results come.
func (r *results) inOrder(places iter.Seq2[int, error]) iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		reader := &spoolReader{spool: r.records}
		for place, err := range places {
			var pos int64
			if err == nil {
				pos, err = r.position(place)
			}
			if pos == 0 && err == nil {
				continue
			}
			var p []byte
			if err == nil {
				_, p, _, err = reader.at(pos - 1)
			}
			if !yield(p, err) || err != nil {
				return
			}
		}
	}
}

// inArrival gives the results in the order in which they came. It is for when no more come.
func (r *results) inArrival() iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		reader := &spoolReader{spool: r.records}
		for pos, end := int64(0), r.records.end(); pos < end; {
			_, p, next, err := reader.at(pos)
			if !yield(p, err) || err != nil {
				return
			}
			pos = next
		}
	}
}

// list reads results, all or some of these, into memory. Over limit bytes it is an error that says what to do instead.
func (r *results) list(limit int64, results iter.Seq2[[]byte, error], read func([]byte) (any, error)) ([]any, error) {
	count, size := r.size()
	if size > limit {
		return nil, fmt.Errorf("%w: %d results of %s are over the limit of %s for one list; "+
			"use batch to take them in parts, or for_each to take them one by one",
			ErrTooLarge, count, byteSize(size), byteSize(limit))
	}
	all := make([]any, 0, count)
	for p, err := range results {
		if err != nil {
			return nil, err
		}
		v, err := read(p)
		if err != nil {
			return nil, err
		}
		all = append(all, v)
	}
	return all, nil
}

func (r *results) close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.at.close(); err != nil {
		return err
	}
	return r.records.close()
}

// byteSize writes a number of bytes as a person would.
func byteSize(n int64) string {
	switch {
	case n >= 1<<30:
		return fmt.Sprintf("%.1f GiB", float64(n)/(1<<30))
	case n >= 1<<20:
		return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20))
	case n >= 1<<10:
		return fmt.Sprintf("%.1f KiB", float64(n)/(1<<10))
	}
	return fmt.Sprintf("%d bytes", n)
}
