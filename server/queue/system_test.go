package queue

import (
	"bytes"
	"maps"
	"slices"
	"time"

	"github.com/geartrain/geartrain/server/store"
)

// disk is what a store would hold: it takes operations, and has done those that were committed.
type disk struct {
	records map[store.ID]store.Record
	waiting []Op
}

func (d *disk) take(ops []Op) { d.waiting = append(d.waiting, ops...) }

// commit does the operations up to seq, or all but the refusable ones.
func (d *disk) commit(seq uint64, refuse bool) {
	for len(d.waiting) > 0 && d.waiting[0].Seq <= seq {
		if op := d.waiting[0]; !refuse || !op.Refusable {
			d.do(op)
		}
		d.waiting = d.waiting[1:]
	}
}

func (d *disk) do(op Op) {
	switch op.Kind {
	case store.Put:
		d.records[op.ID] = op.Record
	case store.PutHead:
		r := d.records[op.ID]
		d.records[op.ID] = store.Record{ID: op.ID, Head: op.Head, Body: r.Body}
	case store.Delete:
		delete(d.records, op.ID)
	}
}

// system is a state with a disk that stores everything at once. To its peers it is as one without a disk.
type system struct {
	cfg   Config
	state *State
	disk  disk
}

func newSystem(cfg Config) *system {
	return &system{cfg: cfg, state: New(cfg), disk: disk{records: map[store.ID]store.Record{}}}
}

// apply returns what peers get of an event, in memory of its own.
func (s *system) apply(now time.Time, ev Event) []Effect {
	out := s.step(now, ev)
	for len(s.disk.waiting) > 0 {
		seq := s.disk.waiting[len(s.disk.waiting)-1].Seq
		s.disk.commit(seq, false)
		out = append(out, s.step(now, &Committed{Seq: seq})...)
	}
	return out
}

func (s *system) step(now time.Time, ev Event) []Effect {
	out := s.state.Apply(now, ev, nil)
	out = slices.DeleteFunc(out, func(e Effect) bool { return e.Type == 0 })
	for i := range out {
		e := &out[i]
		for n := range e.Arguments() {
			e.Args[n] = bytes.Clone(e.Args[n])
		}
		if e.Body != 0 {
			e.Args[e.N] = s.disk.records[e.Body].Body
			e.N++
		}
		e.After, e.Body = 0, 0
	}
	s.disk.take(s.state.Ops())
	return out
}

// restart makes a state of what is on the disk.
func (s *system) restart(now time.Time, serial uint64) error {
	s.cfg.FirstSerial = serial
	s.state = New(s.cfg)
	for _, id := range slices.Sorted(maps.Keys(s.disk.records)) {
		if err := s.state.Restore(now, s.disk.records[id]); err != nil {
			return err
		}
	}
	s.disk.waiting = nil
	s.disk.take(s.state.Ops())
	return nil
}
