package store

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
)

// Memory keeps records until it is closed, for tests and small use. Its zero value is ready.
type Memory struct {
	// Limit is how many bytes of heads and bodies fit; zero: any. A batch that would not fit is refused
	// with [ErrFull], unless it frees more than it takes.
	Limit int64

	mu      sync.RWMutex
	records map[ID]Record
	used    int64
	stats   Stats
}

// Load gives the records there are.
func (m *Memory) Load(ctx context.Context, inline int, fn func(Record) error) error {
	for _, r := range m.sorted() {
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("store: load: %w", err)
		}
		if len(r.Body) > inline {
			r.Body = nil
		}
		if err := fn(r); err != nil {
			return err
		}
	}
	return nil
}

func (m *Memory) sorted() []Record {
	m.mu.RLock()
	defer m.mu.RUnlock()
	all := make([]Record, 0, len(m.records))
	for _, r := range m.records {
		all = append(all, r)
	}
	slices.SortFunc(all, func(a, b Record) int { return cmp.Compare(a.ID, b.ID) })
	return all
}

// Commit does all of ops, or none.
func (m *Memory) Commit(ops []Op) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	after := make(map[ID]*Record, len(ops)) // nil: deleted
	for _, op := range ops {
		after[op.ID] = m.changed(op, after)
	}
	var growth int64
	for id, r := range after {
		growth -= size(m.records[id])
		if r != nil {
			growth += size(*r)
		}
	}
	if m.Limit > 0 && growth > 0 && m.used+growth > m.Limit {
		m.stats.Full++
		return fmt.Errorf("store: commit %d operations: %d of %d bytes are in use: %w", len(ops), m.used, m.Limit, ErrFull)
	}
	m.apply(after)
	m.used += growth
	m.stats.Commits++
	return nil
}

// changed is what op makes of its record, with those before it in the same batch.
func (m *Memory) changed(op Op, after map[ID]*Record) *Record {
	if op.Kind == Delete {
		return nil
	}
	r := Record{ID: op.ID, Head: bytes.Clone(op.Head), Body: bytes.Clone(op.Body)}
	if op.Kind == PutHead {
		r.Body = m.records[op.ID].Body
		if now, ok := after[op.ID]; ok && now != nil {
			r.Body = now.Body
		} else if ok {
			r.Body = nil
		}
	}
	return &r
}

func (m *Memory) apply(after map[ID]*Record) {
	if m.records == nil {
		m.records = make(map[ID]Record)
	}
	for id, r := range after {
		if r == nil {
			delete(m.records, id)
		} else {
			m.records[id] = *r
		}
	}
}

func size(r Record) int64 { return int64(len(r.Head) + len(r.Body)) }

// Body gives a copy of the body.
func (m *Memory) Body(id ID) ([]byte, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	r, ok := m.records[id]
	if !ok {
		return nil, fmt.Errorf("store: body of record %d: %w", id, ErrNotFound)
	}
	return append([]byte{}, r.Body...), nil
}

// Backup is not possible.
func (m *Memory) Backup(context.Context, string) error {
	return fmt.Errorf("store: backup of a store in memory: %w", errors.ErrUnsupported)
}

// Stats gives what there is to say of a store in memory.
func (m *Memory) Stats() Stats {
	m.mu.RLock()
	defer m.mu.RUnlock()
	s := m.stats
	s.Records = int64(len(m.records))
	return s
}

// Close forgets everything.
func (m *Memory) Close() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.records, m.used = nil, 0
	return nil
}
