package storetest

import (
	"bytes"
	"cmp"
	"maps"
	"slices"

	"pgregory.net/rapid"

	"github.com/geartrain/geartrain/server/store"
)

// Model is what a store should have in it.
type Model map[store.ID]store.Record

// Apply does the operations in order.
func (m Model) Apply(ops []store.Op) {
	for _, op := range ops {
		r := store.Record{ID: op.ID, Head: bytes.Clone(op.Head), Body: bytes.Clone(op.Body)}
		switch op.Kind {
		case store.Put:
			m[op.ID] = r
		case store.PutHead:
			r.Body = m[op.ID].Body
			m[op.ID] = r
		case store.Delete:
			delete(m, op.ID)
		}
	}
}

// With is a copy of the model after the operations.
func (m Model) With(ops []store.Op) Model {
	after := maps.Clone(m)
	after.Apply(ops)
	return after
}

// Ops are what would put the model's records, in the order of the numbers.
func (m Model) Ops() []store.Op {
	ops := make([]store.Op, 0, len(m))
	for _, r := range m {
		ops = append(ops, store.Op{Kind: store.Put, Record: r})
	}
	slices.SortFunc(ops, func(a, b store.Op) int { return cmp.Compare(a.ID, b.ID) })
	return ops
}

// Equal says whether these are exactly the model's records.
func (m Model) Equal(records []store.Record) bool {
	if len(records) != len(m) {
		return false
	}
	for _, r := range records {
		have, ok := m[r.ID]
		if !ok || !bytes.Equal(have.Head, r.Head) || !bytes.Equal(have.Body, r.Body) {
			return false
		}
	}
	return true
}

// Ops draws a batch.
func Ops(t *rapid.T) []store.Op {
	return rapid.SliceOfN(rapid.Custom(op), 0, 6).Draw(t, "ops")
}

func op(t *rapid.T) store.Op {
	o := store.Op{Kind: rapid.SampledFrom([]store.Kind{store.Put, store.Put, store.PutHead, store.Delete}).Draw(t, "kind")}
	o.ID = store.ID(rapid.IntRange(1, 12).Draw(t, "id"))
	if o.Kind != store.Delete {
		o.Head = rapid.SliceOfN(rapid.Byte(), 0, 20).Draw(t, "head")
	}
	if o.Kind == store.Put {
		o.Body = bytes.Repeat(rapid.SliceOfN(rapid.Byte(), 0, 30).Draw(t, "body"), rapid.IntRange(1, 40).Draw(t, "times"))
	}
	return o
}
