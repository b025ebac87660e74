package queue

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/geartrain/geartrain/gearman/protocol"
)

// The head of a record: a version, a kind, and fields in a fixed order. Numbers are varints, texts have
// their length before them.
//
//	version | kind | function | unique | reducer | priority | flags | attempts | created | run at | digest | size
//	 options, as protocol.TaskOptions writes them
//	 history: count | number | worker | started | ended | reason | detail | ...
//	 dead: died
//	 result: ended | expires | length

// headVersion is the newest form of a head, the one that is written.
const headVersion = 1

var (
	// ErrNewer: a record was written by a later version of the program. It is not changed.
	ErrNewer = errors.New("queue: the record is of a newer version")

	// ErrRecord: a record is not what this package has written.
	ErrRecord = errors.New("queue: the record makes no sense")
)

// recordKind is what a record is about.
type recordKind uint8

const (
	jobRecord recordKind = iota + 1
	deadRecord
	resultRecord
)

// flagRetrying: the job waits for another attempt.
const flagRetrying = 1

// head is what the store keeps of a job or a dead letter beside its body.
type head struct {
	kind                      recordKind
	function, unique, reducer []byte
	priority                  Priority
	attempts                  uint32
	created, runAt            int64 // unix nanoseconds
	digest                    digest
	size                      uint32 // of the payload
	retrying                  bool
	options                   *protocol.TaskOptions
	history                   []LostAttempt
	died                      int64
	ended, expires            int64
	length                    uint32 // of the result
}

func (h *head) append(dst []byte) []byte {
	dst = append(dst, headVersion, byte(h.kind))
	for _, text := range [][]byte{h.function, h.unique, h.reducer} {
		dst = appendText(dst, text)
	}
	flags := byte(0)
	if h.retrying {
		flags |= flagRetrying
	}
	dst = append(dst, byte(h.priority), flags)
	dst = binary.AppendUvarint(dst, uint64(h.attempts))
	dst = binary.AppendVarint(dst, h.created)
	dst = binary.AppendVarint(dst, h.runAt)
	dst = append(dst, h.digest[:]...)
	dst = binary.AppendUvarint(dst, uint64(h.size))
	var options []byte
	if h.options != nil {
		options = h.options.Append(nil)
	}
	dst = appendText(dst, options)
	dst = binary.AppendUvarint(dst, uint64(len(h.history)))
	for i := range h.history {
		dst = h.history[i].append(dst)
	}
	switch h.kind {
	case deadRecord:
		dst = binary.AppendVarint(dst, h.died)
	case resultRecord:
		dst = binary.AppendVarint(dst, h.ended)
		dst = binary.AppendVarint(dst, h.expires)
		dst = binary.AppendUvarint(dst, uint64(h.length))
	}
	return dst
}

func (l *LostAttempt) append(dst []byte) []byte {
	dst = binary.AppendUvarint(dst, uint64(l.Number))
	dst = appendText(dst, []byte(l.Worker))
	dst = binary.AppendVarint(dst, l.Started.UnixNano())
	dst = binary.AppendVarint(dst, l.Ended.UnixNano())
	dst = appendText(dst, []byte(l.Reason))
	return appendText(dst, []byte(l.Detail))
}

func appendText(dst, text []byte) []byte {
	return append(binary.AppendUvarint(dst, uint64(len(text))), text...)
}

// parseHead takes a head apart. Its texts alias b.
func parseHead(b []byte) (head, error) {
	r := headReader{rest: b}
	if version := r.byte(); version > headVersion {
		return head{}, fmt.Errorf("%w: %d, this program knows %d", ErrNewer, version, headVersion)
	} else if version != headVersion {
		return head{}, ErrRecord
	}
	h := head{
		kind:     recordKind(r.byte()),
		function: r.text(), unique: r.text(), reducer: r.text(),
		priority: Priority(r.byte()),
		retrying: r.byte()&flagRetrying != 0,
		attempts: r.number(),
		created:  r.moment(), runAt: r.moment(),
	}
	h.digest = r.digest()
	h.size = r.number()
	h.options = r.options()
	h.history = r.history()
	switch h.kind {
	case deadRecord:
		h.died = r.moment()
	case resultRecord:
		h.ended, h.expires, h.length = r.moment(), r.moment(), r.number()
	}
	if r.bad || len(r.rest) > 0 || !h.valid() {
		return head{}, ErrRecord
	}
	return h, nil
}

func (h *head) valid() bool {
	return h.kind >= jobRecord && h.kind <= resultRecord && h.priority <= Low && len(h.function) > 0 &&
		h.ended >= 0 && h.expires >= h.ended &&
		len(h.function) <= maxStored && len(h.unique) <= maxStored && len(h.reducer) <= maxStored
}

// headReader reads fields. After the first that is not there everything is zero, and bad is set.
type headReader struct {
	rest []byte
	bad  bool
}

func (r *headReader) take(n uint64) []byte {
	if r.bad || n > uint64(len(r.rest)) {
		r.bad, r.rest = true, nil
		return nil
	}
	b := r.rest[:n:n]
	r.rest = r.rest[n:]
	return b
}

func (r *headReader) byte() byte {
	if b := r.take(1); b != nil {
		return b[0]
	}
	return 0
}

func (r *headReader) uvarint() uint64 {
	v, n := binary.Uvarint(r.rest)
	if n <= 0 {
		r.bad, r.rest = true, nil
		return 0
	}
	r.rest = r.rest[n:]
	return v
}

// number is one that fits 32 bits.
func (r *headReader) number() uint32 {
	v := r.uvarint()
	if v != uint64(uint32(v)) {
		r.bad = true
	}
	return uint32(v)
}

// moment is unix nanoseconds, or a length of time.
func (r *headReader) moment() int64 {
	v, n := binary.Varint(r.rest)
	if n <= 0 {
		r.bad, r.rest = true, nil
		return 0
	}
	r.rest = r.rest[n:]
	return v
}

func (r *headReader) text() []byte { return r.take(r.uvarint()) }

func (r *headReader) digest() (d digest) {
	copy(d[:], r.take(uint64(len(d))))
	return d
}

func (r *headReader) options() *protocol.TaskOptions {
	text := r.text()
	if len(text) == 0 {
		return nil
	}
	o, err := protocol.ParseTaskOptions(text)
	if err != nil {
		r.bad = true
	}
	return &o
}

func (r *headReader) history() (all []LostAttempt) {
	n := r.number()
	if n > maxHistory {
		r.bad = true
	}
	for ; n > 0 && !r.bad; n-- {
		all = append(all, LostAttempt{
			Number:  int(r.number()),
			Worker:  string(r.text()),
			Started: time.Unix(0, r.moment()),
			Ended:   time.Unix(0, r.moment()),
			Reason:  string(r.text()),
			Detail:  string(r.text()),
		})
	}
	return all
}
