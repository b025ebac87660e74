package flow

import "sync"

// frontier is the queue of a stage that feeds itself: items that were found and are still to be
// done, each once. It grows on disk; what stays in memory is 16 bytes for each item ever seen.
type frontier struct {
	limit int // of items in all; 0: none

	mu      sync.Mutex // guards what follows; held while a full buffer goes to the file, see spool
	seen    map[keyHash]struct{}
	records *spool // tag: form; the item. Those before read have been taken
	reader  spoolReader
	read    int64
	queued  int
	stopped bool
	refused int // over the limit
}

// keyHash is 128 bits of a key's hash: enough that two keys of one stage never meet by chance.
type keyHash [16]byte

func newFrontier(dir string, limit int) *frontier {
	records := &spool{dir: dir}
	return &frontier{limit: limit, seen: map[keyHash]struct{}{}, records: records, reader: spoolReader{spool: records}}
}

// admit reports whether the item of this key is to be done: it has not been seen, and the limit
// leaves room. It is then seen.
func (f *frontier) admit(key keyHash) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if _, ok := f.seen[key]; ok || f.stopped {
		return false
	}
	if f.limit > 0 && len(f.seen) >= f.limit {
		f.refused++
		return false
	}
	f.seen[key] = struct{}{}
	return true
}

// push queues an item that was admitted. After stop it does not, and says so.
func (f *frontier) push(it item) (queued bool, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.stopped {
		return false, nil
	}
	if _, err := f.records.append(uint64(it.form), it.raw); err != nil {
		return false, err
	}
	f.queued++
	return true, nil
}

// pop takes the item that waits longest.
func (f *frontier) pop() (it item, ok bool, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.queued == 0 {
		return item{}, false, nil
	}
	tag, raw, next, err := f.reader.at(f.read)
	if err != nil {
		return item{}, false, err
	}
	f.read = next
	f.queued--
	return item{raw, form(tag)}, true, nil
}

// stop refuses all that comes from now on, and gives up what is queued. It returns how many.
func (f *frontier) stop() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.stopped = true
	given := f.queued
	f.queued = 0
	return given
}

// size is how many items are queued, and how many were refused.
func (f *frontier) size() (queued, refused int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.queued, f.refused
}
