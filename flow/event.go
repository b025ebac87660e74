package flow

import (
	"context"
	"iter"
	"sync"
	"sync/atomic"
	"time"
)

// Event is something that happened in a run.
type Event struct {
	Time    time.Time
	Run     string
	Kind    EventKind
	Stage   string // empty: the run as a whole
	Status  Status // of StageEnded and RunEnded
	Key     string // of a job
	Place   int    // of a job's item in its stage, from 0
	Attempt int    // of a job: the one that ended
	Err     error  // of JobRetried, JobFailed, and of ends that were not good
	Text    string // of JobWarning
	Missed  int    // events of jobs left out before this one, because the reader was slow
}

// EventKind is the kind of an Event.
type EventKind string

// The kinds of events.
const (
	RunStarted   EventKind = "run started"
	RunEnded     EventKind = "run ended"
	StageStarted EventKind = "stage started"
	StageEnded   EventKind = "stage ended"
	JobDone      EventKind = "job done"
	JobFailed    EventKind = "job failed"  // after the last attempt
	JobRetried   EventKind = "job retried" // another attempt will be made
	JobWarning   EventKind = "job warning" // WORK_WARNING
)

// isJob reports whether there is one such event for each job, so that some may be left out.
func (k EventKind) isJob() bool {
	return k == JobDone || k == JobFailed || k == JobRetried || k == JobWarning
}

// eventBacklog is how many events of jobs wait for a slow reader. Further ones are left out.
const eventBacklog = 1024

// events hands what happens to whoever reads it. Nobody who reports waits.
type events struct {
	listening atomic.Int32 // readers; a report without any costs nothing

	mu      sync.Mutex // guards what follows
	readers map[*eventReader]struct{}
	closed  bool
}

// eventReader is one reader's backlog. Its owner's lock guards it.
type eventReader struct {
	kinds  map[EventKind]bool // empty: all
	queue  []Event
	jobs   int // of queue: events of jobs
	missed int
	news   chan struct{} // has room for one
}

// report hands e, whose time is now, to the readers that want it.
func (s *events) report(e Event) {
	if s.listening.Load() == 0 {
		return
	}
	e.Time = time.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	for r := range s.readers {
		if len(r.kinds) == 0 || r.kinds[e.Kind] {
			r.push(e)
		}
	}
}

// close says that no more events come.
func (s *events) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	for r := range s.readers {
		r.wake()
	}
}

// subscribe begins to collect events, until the sequence has been read or ctx ends.
func (s *events) subscribe(ctx context.Context, kinds []EventKind) iter.Seq[Event] {
	r := &eventReader{kinds: map[EventKind]bool{}, news: make(chan struct{}, 1)}
	for _, k := range kinds {
		r.kinds[k] = true
	}
	s.mu.Lock()
	if s.readers == nil {
		s.readers = map[*eventReader]struct{}{}
	}
	s.readers[r] = struct{}{}
	s.listening.Add(1)
	s.mu.Unlock()
	return func(yield func(Event) bool) {
		defer s.leave(r)
		for {
			batch, closed := s.take(r)
			for _, e := range batch {
				if !yield(e) {
					return
				}
			}
			if len(batch) > 0 {
				continue
			}
			if closed {
				return
			}
			select {
			case <-r.news:
			case <-ctx.Done():
				return
			}
		}
	}
}

func (s *events) take(r *eventReader) (batch []Event, closed bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	batch, r.queue, r.jobs = r.queue, nil, 0
	return batch, s.closed
}

func (s *events) leave(r *eventReader) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.readers[r]; ok {
		delete(s.readers, r)
		s.listening.Add(-1)
	}
}

func (r *eventReader) push(e Event) {
	if e.Kind.isJob() {
		if r.jobs >= eventBacklog {
			r.missed++
			return
		}
		r.jobs++
	}
	e.Missed, r.missed = r.missed, 0
	r.queue = append(r.queue, e)
	r.wake()
}

func (r *eventReader) wake() {
	select {
	case r.news <- struct{}{}:
	default:
	}
}
