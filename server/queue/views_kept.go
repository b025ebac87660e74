package queue

import (
	"iter"
	"strconv"
	"time"
)

// ResultInfo is one retained result in a listing.
type ResultInfo struct {
	Handle   string // of the job it is of
	Function string
	Unique   string
	Size     int           // bytes
	Age      time.Duration // since the job ended
	Left     time.Duration // until it is forgotten
}

// ResultsFrom lists the retained results from place on, each with its place, as [State.JobsFrom] lists
// jobs. now is what their ages are reckoned from.
func (s *State) ResultsFrom(now time.Time, place uint32) iter.Seq2[uint32, ResultInfo] {
	return func(yield func(uint32, ResultInfo) bool) {
		elapsed := int64(now.Sub(s.epoch))
		for at := range s.results.from(place) {
			r := s.results.at(at)
			info := ResultInfo{
				Handle:   s.cfg.HandlePrefix + strconv.FormatUint(r.serial, 10),
				Function: string(s.functionSlab.at(r.function).name),
				Unique:   string(s.arena.get(r.unique, int(r.uniqueLen))),
				Size:     int(r.size),
				Age:      time.Duration(max(elapsed-r.ended, 0)),
				Left:     time.Duration(max(r.expires-elapsed, 0)),
			}
			if !yield(at, info) {
				return
			}
		}
	}
}

// Scheduled lists the jobs that wait for a time of day or for another attempt, in no particular order. It
// looks at no others.
func (s *State) Scheduled() iter.Seq[JobInfo] {
	return func(yield func(JobInfo) bool) {
		for _, t := range []*timers{&s.schedule, &s.retries} {
			for _, x := range t.heap {
				if !yield(s.jobInfo(s.jobs.at(x.slot))) {
					return
				}
			}
		}
	}
}
