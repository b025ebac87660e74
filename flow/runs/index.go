package runs

import (
	"cmp"
	"errors"
	"hash/maphash"
	"io/fs"
	"os"
	"slices"
	"sort"
	"sync"
	"time"

	"github.com/geartrain/geartrain/flow"
)

// index finds results by key in segments that nobody writes any more, or as far as they were when it was
// made. It takes 16 bytes of memory for each result. Its methods may be called from any goroutine.
type index struct {
	root    *os.Root
	seed    maphash.Seed
	entries []indexEntry // by hash; of one hash the latest last

	mu    sync.Mutex // guards what follows
	names []string   // of segments, by their number in the index
	files []*os.File // nil: not open
	open  []int      // which are, the one opened first first
}

// indexEntry says where the result of a key is.
type indexEntry struct{ hash, at uint64 }

// Of an index.
const (
	offsetBits = 40 // of at: a segment may have a terabyte
	maxOpen    = 32 // files at once
)

func newIndex(root *os.Root) *index { return &index{root: root, seed: maphash.MakeSeed()} }

// add reads a segment, later ones after earlier ones. keep says which results are of use; other gets all
// records that are no job's. It returns how many results it took.
func (x *index) add(name string, keep func(*jobHead) bool, other func(body []byte)) (taken int, err error) {
	file, err := x.root.Open(name)
	if err != nil {
		return 0, err
	}
	number := uint64(len(x.names))
	x.names = append(x.names, name)
	x.files = append(x.files, nil)
	err = scan(file, func(at int64, body []byte) error {
		if body[0] != jobRecord {
			if other != nil {
				other(body)
			}
			return nil
		}
		f := &fields{rest: body}
		if h := f.head(); !f.bad && h.outcome == flow.OutcomeDone && keep(&h) {
			x.entries = append(x.entries, indexEntry{maphash.Bytes(x.seed, h.key), number<<offsetBits | uint64(at)})
			taken++
		}
		return nil
	})
	return taken, errors.Join(err, file.Close())
}

// sort makes the index ready for find.
func (x *index) sort() {
	slices.SortFunc(x.entries, func(a, b indexEntry) int {
		return cmp.Or(cmp.Compare(a.hash, b.hash), cmp.Compare(a.at, b.at))
	})
	x.entries = slices.Clip(x.entries)
}

// find gives the latest result of a key that is not older than oldest.
func (x *index) find(key string, oldest time.Time) (flow.Answer, bool) {
	hash := maphash.String(x.seed, key)
	end := sort.Search(len(x.entries), func(i int) bool { return x.entries[i].hash > hash })
	for i := end - 1; i >= 0 && x.entries[i].hash == hash; i-- {
		body, err := x.read(x.entries[i].at)
		if err != nil {
			continue // it is damaged, or has been pruned: the job runs
		}
		h, result, err := parseAnswer(body)
		if err == nil && string(h.key) == key && !h.ended.Before(oldest) {
			return flow.Answer{Result: result, Attempt: h.attempt, EndedAt: h.ended}, true
		}
	}
	return flow.Answer{}, false
}

func (x *index) read(at uint64) ([]byte, error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	number := int(at >> offsetBits)
	if x.files[number] == nil {
		if err := x.openFile(number); err != nil {
			return nil, err
		}
	}
	return readRecord(x.files[number], int64(at&(1<<offsetBits-1)))
}

func (x *index) openFile(number int) error {
	if len(x.open) >= maxOpen {
		oldest := x.open[0]
		x.open = x.open[1:]
		_ = x.files[oldest].Close() // it was only read
		x.files[oldest] = nil
	}
	file, err := x.root.Open(x.names[number])
	if err != nil {
		return err
	}
	x.files[number] = file
	x.open = append(x.open, number)
	return nil
}

func (x *index) close() error {
	x.mu.Lock()
	defer x.mu.Unlock()
	var errs []error
	for _, number := range x.open {
		errs = append(errs, x.files[number].Close())
		x.files[number] = nil
	}
	x.open = nil
	return errors.Join(errs...)
}

// indexRun reads the journals of a run.
func indexRun(root *os.Root, other func(body []byte)) (*index, error) {
	numbers, err := segmentNumbers(root)
	if err != nil {
		return nil, err
	}
	x := newIndex(root)
	for _, n := range numbers {
		_, err := x.add(segmentName(n), func(*jobHead) bool { return true }, other)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
	}
	x.sort()
	return x, nil
}
