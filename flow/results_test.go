package flow

import (
	"bytes"
	"errors"
	"fmt"
	"iter"
	"math/rand/v2"
	"os"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// chunk is a result of any size, which says where it belongs.
func chunk(place, size int) []byte {
	return append(fmt.Appendf(nil, "%d:", place), bytes.Repeat([]byte{byte(place)}, size)...)
}

func upTo(end int) iter.Seq2[int, error] {
	return func(yield func(int, error) bool) {
		for place := 0; place < end && yield(place, nil); place++ {
		}
	}
}

func TestResultsComeInOrder(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		r := newResults(os.TempDir())
		defer r.close()
		n := rapid.IntRange(0, 3000).Draw(t, "n")
		size := rapid.SampledFrom([]int{0, 10, 1000, 40_000}).Draw(t, "size")
		n = min(n, 4_000_000/(size+1))
		missing := rapid.IntRange(1, 5).Draw(t, "missing")
		for _, place := range rand.Perm(n) {
			if place%missing != 0 || missing == 1 {
				require.NoError(t, r.put(place, chunk(place, size)))
			}
		}
		want := 0
		for p, err := range r.inOrder(upTo(r.end())) {
			require.NoError(t, err)
			if missing > 1 && want%missing == 0 {
				want++
			}
			require.True(t, bytes.Equal(p, chunk(want, size)), "place %d", want)
			want++
		}
		if missing == 1 {
			require.Equal(t, n, want)
		}
	})
}

func TestResultsOfOneStageByArrivalAndByPlace(t *testing.T) {
	t.Parallel()
	r := newResults(t.TempDir())
	defer r.close()
	const n = 300_000 // more pages of places than memory holds
	order := make([]int, n)
	for i := range order {
		order[i] = i ^ 1 // neighbours swapped
	}
	for _, place := range order {
		if err := r.put(place, fmt.Append(nil, place)); err != nil {
			t.Fatal(err)
		}
	}
	reader, pos := spoolReader{spool: r.records}, int64(0)
	for _, place := range order {
		tag, p, next, err := reader.at(pos)
		if err != nil || tag != uint64(place) || string(p) != fmt.Sprint(place) {
			t.Fatalf("at %d: place %d, %q, %v; want place %d", pos, tag, p, err, place)
		}
		pos = next
	}
	require.Equal(t, r.records.end(), pos)
	for _, place := range []int{0, n - 1, n / 2, 1} {
		p, ok, err := r.get(place)
		require.NoError(t, err)
		require.True(t, ok)
		require.Equal(t, fmt.Sprint(place), string(p))
	}
	_, ok, err := r.get(n)
	require.NoError(t, err)
	require.False(t, ok)
}

func TestSpoolFileHasNoName(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	r := newResults(dir)
	for i := range 100 {
		require.NoError(t, r.put(i, make([]byte, spoolChunk)))
	}
	require.NotNil(t, r.records.file, "it did spill")
	files, err := os.ReadDir(dir)
	require.NoError(t, err)
	if !r.records.file.named {
		require.Empty(t, files, "nothing is left whatever ends the process")
	}
	require.NoError(t, r.close())
	files, err = os.ReadDir(dir)
	require.NoError(t, err)
	require.Empty(t, files)
}

func TestResultsSayWhenTheyDoNotFitIntoAList(t *testing.T) {
	t.Parallel()
	r := newResults(t.TempDir())
	defer r.close()
	for i := range 10 {
		require.NoError(t, r.put(i, make([]byte, 1000)))
	}
	text := func(p []byte) (any, error) { return string(p), nil }
	list, err := r.list(10_000, r.inOrder(upTo(10)), text)
	require.NoError(t, err)
	require.Len(t, list, 10)
	_, err = r.list(9_999, r.inOrder(upTo(10)), text)
	require.ErrorIs(t, err, ErrTooLarge)
	require.ErrorContains(t, err, "10 results of 9.8 KiB are over the limit of 9.8 KiB for one list; use batch")
}

func TestSpoolThatCannotWriteSaysSo(t *testing.T) {
	t.Parallel()
	r := newResults("/no/such/folder")
	var err error
	for i := 0; err == nil && i < 1000; i++ {
		err = r.put(i, make([]byte, spoolChunk))
	}
	require.True(t, errors.Is(err, os.ErrNotExist), "%v", err)
	require.ErrorContains(t, err, "create temporary file")
}
