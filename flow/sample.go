package flow

import (
	"cmp"
	"container/heap"
	"context"
	"crypto/sha256"
	"slices"
	"sync"
)

// sample chooses the items of one stage in a sampled run: those whose hashes are the lowest. The hash is
// that of function and key arguments, so the same items are chosen whatever their order is, and in the
// next run again.
//
//	input ──► offer: the lowest so far are kept ──► input has ended ──► take ──► jobs
//	                                                                              │
//	            found by the jobs of one level ──► offer ──► the level has ended ─┤
//	                              ▲                                               │
//	                              └───────────────────────────────────────────────┘
//
// In a stage that feeds itself, what the jobs of one level find is chosen from when all of them have
// ended, as long as there is room. Its methods may be called from any goroutine.
type sample struct {
	limit int

	mu      sync.Mutex           // guards what follows
	kept    sampleHeap           // the highest hash on top
	keys    map[keyHash]struct{} // of kept
	taken   int
	offered int
	stopped bool
}

// sampled is an item that may become a job, or the failure to make one.
type sampled struct {
	job     *job
	err     error
	hash    keyHash
	counted bool // among the stage's open jobs
}

// newSample: limit is how many items a stage may have; it may have less itself.
func newSample(spec *Stage, limit int) *sample {
	if d := spec.Discover; d != nil && d.MaxItems > 0 {
		limit = min(limit, d.MaxItems)
	}
	return &sample{limit: limit, keys: map[keyHash]struct{}{}}
}

// offer keeps an item if it is among the lowest. Of equal ones the first is kept. If there is now one more,
// count, which may be nil, is called before anybody can see that.
func (s *sample) offer(c sampled, count func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.offered++
	if _, isKept := s.keys[c.hash]; isKept || s.stopped {
		return
	}
	switch room := s.limit - s.taken - len(s.kept); {
	case room > 0:
		if count != nil {
			c.counted = true
			count()
		}
		heap.Push(&s.kept, c)
	case len(s.kept) > 0 && c.hash.less(s.kept[0].hash):
		delete(s.keys, s.kept[0].hash)
		c.counted = s.kept[0].counted
		s.kept[0] = c
		heap.Fix(&s.kept, 0)
	default:
		return
	}
	s.keys[c.hash] = struct{}{}
}

// take gives what was chosen, in the order of the input, and then of the hashes.
func (s *sample) take() []sampled {
	s.mu.Lock()
	defer s.mu.Unlock()
	chosen := []sampled(s.kept)
	s.kept = nil
	clear(s.keys)
	s.taken += len(chosen)
	slices.SortFunc(chosen, func(a, b sampled) int {
		return cmp.Or(a.job.place-b.job.place, slices.Compare(a.hash[:], b.hash[:]))
	})
	return chosen
}

// waits reports whether all that is open are items that wait for the end of the level.
func (s *sample) waits(open func() int) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.kept) > 0 && open() == len(s.kept)
}

// stop keeps nothing from now on, and gives up what is kept. It returns how many of them were counted.
func (s *sample) stop() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	counted := 0
	for _, c := range s.kept {
		if c.counted {
			counted++
		}
	}
	s.kept, s.stopped = nil, true
	return counted
}

// leftOut is how many items were not chosen.
func (s *sample) leftOut() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.offered - s.taken - len(s.kept)
}

func (h keyHash) less(other keyHash) bool { return slices.Compare(h[:], other[:]) < 0 }

// sampleHash is what an item is chosen by. One that makes no job has that of itself.
func (j *job) sampleHash(err error) keyHash {
	if err == nil {
		return j.identity
	}
	sum := sha256.Sum256(append([]byte{byte(j.item.form)}, j.item.raw...))
	return keyHash(sum[:len(keyHash{})])
}

// startSample makes jobs of the chosen items of the input.
func (in *intake) startSample(ctx context.Context) error {
	s := in.stage
	if s.sample == nil {
		return nil
	}
	chosen := s.sample.take()
	for range chosen {
		s.add()
	}
	var err error
	for _, c := range chosen {
		switch {
		case err != nil:
			s.drop()
		case c.err != nil:
			c.job.fail(c.err)
		default:
			err = in.place(ctx, c.job)
		}
	}
	return err
}

// nextLevel queues the chosen of what a level has found, if it has ended.
func (in *intake) nextLevel() (bool, error) {
	s := in.stage
	if s.sample == nil || !s.sample.waits(s.barrier.count) {
		return false, nil
	}
	for _, c := range s.sample.take() {
		queued, err := s.frontier.push(c.job.item)
		if err != nil {
			return false, err
		}
		if !queued {
			s.drop()
		}
	}
	return true, nil
}

// sampleHeap is for container/heap.
type sampleHeap []sampled

func (h sampleHeap) Len() int           { return len(h) }
func (h sampleHeap) Less(a, b int) bool { return h[b].hash.less(h[a].hash) }
func (h sampleHeap) Swap(a, b int)      { h[a], h[b] = h[b], h[a] }

// Push is for container/heap.
func (h *sampleHeap) Push(x any) { *h = append(*h, x.(sampled)) }

// Pop is for container/heap.
func (h *sampleHeap) Pop() any {
	last := (*h)[len(*h)-1]
	*h = (*h)[:len(*h)-1]
	return last
}
