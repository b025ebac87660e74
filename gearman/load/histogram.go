package load

import (
	"math"
	"math/bits"
	"time"
)

// Buckets of a histogram are linear below 2*steps ns, and above it there are steps of them for each
// doubling. So a value is known to 1/steps, and its bucket's middle is at most half of that off.
const (
	stepBits = 6
	steps    = 1 << stepBits
)

// histogram counts durations. The zero value is empty. It is for one goroutine.
type histogram struct {
	counts []uint64 // grows with the longest duration
	total  uint64
	max    time.Duration
}

func (h *histogram) add(d time.Duration) {
	d = max(d, 0)
	h.grow(bucket(uint64(d)) + 1)
	h.counts[bucket(uint64(d))]++
	h.total++
	h.max = max(h.max, d)
}

// merge adds all that other has counted.
func (h *histogram) merge(other *histogram) {
	h.grow(len(other.counts))
	for i, n := range other.counts {
		h.counts[i] += n
	}
	h.total += other.total
	h.max = max(h.max, other.max)
}

// quantile is the duration that the share q of all does not exceed, 0 without any.
func (h *histogram) quantile(q float64) time.Duration {
	rank := uint64(math.Ceil(q * float64(h.total)))
	var seen uint64
	for i, n := range h.counts {
		if seen += n; n > 0 && seen >= rank {
			return min(time.Duration(middle(i)), h.max)
		}
	}
	return h.max
}

func (h *histogram) grow(n int) {
	if n > len(h.counts) {
		h.counts = append(h.counts, make([]uint64, n-len(h.counts))...)
	}
}

// bucket is the place of a value: its leading bits, below the number of times they were halved.
func bucket(v uint64) int {
	shift := max(bits.Len64(v)-stepBits-1, 0)
	return shift<<stepBits + int(v>>shift)
}

// middle is the value in the middle of a bucket.
func middle(i int) uint64 {
	shift := max(i>>stepBits-1, 0)
	return uint64(i-shift<<stepBits)<<shift + 1<<shift/2
}
