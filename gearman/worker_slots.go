package gearman

import (
	"slices"
	"sync"
)

// slots shares a worker's slots, one per job at once, among its stations. A slot is always in exactly
// one of three places:
//
//	free ──► asking one server ──► running its job ──► free
//	  ▲              │
//	  └── NO_JOB ────┘
//
// It asks one server at a time, so no job is ever assigned that has no slot to run in, whatever the
// number of servers. A free slot asks the station that holds the fewest, and the one that was not
// asked for longest when they are equal. A station that answered NO_JOB is dry: it is sent PRE_SLEEP
// and not asked until its NOOP.
//
// How many slots ask one station at once is its window. It begins with 1, doubles with each job that
// comes and falls back to 1 when none does, so a single job among idle workers costs few packets and a
// full queue is drained with all slots.
type slots struct {
	mu       sync.Mutex // guards all below
	free     int
	left     int    // jobs that may still be asked for; negative: no limit
	spent    func() // called once the last of those has ended
	draining bool   // nothing is asked for any more
	sources  []*source
	turn     uint64
}

// source is a station as slots sees it.
type source struct {
	limit int    // slots that it may hold
	rest  func() // called once when it holds no slot and will get none: its station can end

	link            *link // nil while it is not connected
	asking, running int
	ending          int // jobs whose slot is free and whose end is being sent
	window          int
	dry, asleep     bool
	asked           uint64 // the turn at which it was asked last
}

// ask is what to send to a source.
type ask struct {
	src   *source
	link  *link // of the time of the decision: asks are not for a later connection
	grabs int
	sleep bool
}

func newSlots(n int) *slots { return &slots{free: n, left: -1} }

// limit lets only so many jobs be asked for in all. spent is called after the last one's end.
func (s *slots) limit(jobs int, spent func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.left, s.spent = jobs, spent
}

// unasked takes back what was asked for and did not come.
func (s *slots) unasked(src *source, n int) {
	src.asking -= n
	s.free += n
	if s.left >= 0 {
		s.left += n
	}
}

// join adds a station. All join before the first event.
func (s *slots) join(limit int, rest func()) *source {
	src := &source{limit: limit, rest: rest}
	s.sources = append(s.sources, src)
	return src
}

// connected begins with a new connection, whose link must have been told the functions already or be
// told them before the asks.
func (s *slots) connected(src *source, l *link) []ask {
	return s.change(func() { src.link, src.dry, src.asleep, src.window = l, false, false, 1 })
}

// lost ends with a connection: what was asked for will not come. Jobs that run keep their slots.
func (s *slots) lost(src *source) []ask {
	return s.change(func() {
		s.unasked(src, src.asking)
		src.link = nil
	})
}

// assigned turns an asking slot into a running one. It is false when none was asking.
func (s *slots) assigned(src *source) (asks []ask, ok bool) {
	asks = s.change(func() {
		if ok = src.asking > 0; ok {
			src.asking--
			src.running++
			src.window = min(2*src.window, src.limit)
		}
	})
	return asks, ok
}

// noJob frees an asking slot. Answers that nobody asked for are ignored.
func (s *slots) noJob(src *source) []ask {
	return s.change(func() {
		if src.asking > 0 {
			s.unasked(src, 1)
			src.dry, src.window = true, 1
		}
	})
}

// noop wakes a dry source.
func (s *slots) noop(src *source) []ask {
	return s.change(func() { src.dry, src.asleep = false, false })
}

// done frees the slot of a job that has ended. What is to be asked now leaves with the job's end; sent
// must be called after that.
func (s *slots) done(src *source) []ask {
	return s.change(func() {
		src.running--
		src.ending++
		s.free++
	})
}

// sent says that the end of a job is on its way, so the source may rest.
func (s *slots) sent(src *source) {
	s.mu.Lock()
	defer s.mu.Unlock()
	src.ending--
	s.restIdle()
	if s.left == 0 && s.spent != nil && !slices.ContainsFunc(s.sources, (*source).busy) {
		s.spent()
		s.spent = nil
	}
}

// drain stops asking for good. Each source rests as soon as it holds no slot.
func (s *slots) drain() {
	s.change(func() { s.draining = true })
}

// change makes a change, and decides what to send after it.
func (s *slots) change(do func()) []ask {
	s.mu.Lock()
	defer s.mu.Unlock()
	do()
	if s.restIdle(); s.draining {
		return nil
	}
	var asks []ask
	for s.free > 0 && s.left != 0 {
		src := s.next()
		if src == nil {
			break
		}
		s.free--
		if s.left > 0 {
			s.left--
		}
		s.turn++
		src.asking++
		src.asleep, src.asked = false, s.turn
		asks = addGrab(asks, src)
	}
	for _, src := range s.sources {
		if src.link != nil && src.dry && src.asking == 0 && !src.asleep {
			src.asleep = true
			asks = append(asks, ask{src: src, link: src.link, sleep: true})
		}
	}
	return asks
}

// next is the source that a free slot should ask, nil when there is none.
func (s *slots) next() *source {
	var best *source
	for _, src := range s.sources {
		if src.open() && (best == nil || src.before(best)) {
			best = src
		}
	}
	return best
}

// restIdle lets the sources rest that hold no slot, once slots drains.
func (s *slots) restIdle() {
	if !s.draining {
		return
	}
	for _, src := range s.sources {
		if !src.busy() && src.rest != nil {
			src.rest()
			src.rest = nil
		}
	}
}

// busy reports whether the source holds a slot, or the end of a job.
func (src *source) busy() bool { return src.asking+src.running+src.ending > 0 }

// open reports whether the source may be asked once more.
func (src *source) open() bool {
	return src.link != nil && !src.dry && src.asking < src.window && src.asking+src.running < src.limit
}

func (src *source) before(other *source) bool {
	if a, b := src.asking+src.running, other.asking+other.running; a != b {
		return a < b
	}
	return src.asked < other.asked
}

// owed is how many answers the source owes.
func (s *slots) owed(src *source) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return src.asking
}

// addGrab counts one more grab for src.
func addGrab(asks []ask, src *source) []ask {
	i := slices.IndexFunc(asks, func(a ask) bool { return a.src == src })
	if i < 0 {
		return append(asks, ask{src: src, link: src.link, grabs: 1})
	}
	asks[i].grabs++
	return asks
}
