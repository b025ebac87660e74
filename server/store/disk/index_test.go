package disk

import (
	"maps"
	"slices"
	"testing"
	"unsafe"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/geartrain/geartrain/server/store"
)

func TestIndex(t *testing.T) {
	t.Parallel()
	require.EqualValues(t, 40, unsafe.Sizeof(slot{}))
	rapid.Check(t, func(t *rapid.T) {
		var x index
		model, next := map[store.ID]slot{}, store.ID(0)
		set := func(id store.ID) {
			s := slot{id: id, headLen: uint32(len(model))}
			x.set(s)
			model[id] = s
		}
		t.Repeat(map[string]func(*rapid.T){
			"many": func(t *rapid.T) {
				for range rapid.IntRange(1, 600).Draw(t, "n") {
					next += 1 + next%3
					set(next)
				}
			},
			"between": func(t *rapid.T) { set(store.ID(rapid.Uint64Range(0, uint64(next)).Draw(t, "id"))) },
			"remove": func(t *rapid.T) {
				from := store.ID(rapid.Uint64Range(0, uint64(next)).Draw(t, "from"))
				for id := from; id < from+200; id++ {
					x.remove(id)
					delete(model, id)
				}
			},
			"": func(t *rapid.T) {
				require.Equal(t, len(model), x.n)
				var ids []store.ID
				x.each(func(s *slot) bool {
					require.Equal(t, model[s.id], *s)
					require.Equal(t, s, x.get(s.id))
					ids = append(ids, s.id)
					return true
				})
				require.Equal(t, slices.Sorted(maps.Keys(model)), ids)
			},
		})
	})
}
