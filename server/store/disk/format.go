package disk

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"math"

	"github.com/geartrain/geartrain/server/store"
)

// The sizes of what doc.go draws.
const (
	version     = 1
	copySize    = 64           // one copy of a segment's header
	headerSize  = 2 * copySize // both
	frameSize   = 40           // a frame's header
	entrySize   = 40           // an entry's header
	trailerSize = 8
	unit        = 8 // frames and entries begin at multiples of it
	sector      = 512
)

var (
	segmentMagic = [8]byte{'g', 'e', 'a', 'r', 'l', 'o', 'g', '\n'}
	frameMagic   = [4]byte{'F', 'R', 'M', '\n'}
	entryMagic   = [3]byte{'E', 'N', 'T'} // the fourth byte is the kind
	trailer      = [trailerSize]byte{'g', 'e', 'a', 'r', 'e', 'n', 'd', '\n'}

	castagnoli = crc32.MakeTable(crc32.Castagnoli)
	order      = binary.LittleEndian
)

func checksum(b []byte) uint32 { return crc32.Checksum(b, castagnoli) }

func roundUp(n int64) int64 { return (n + unit - 1) &^ (unit - 1) }

// header is what a segment begins with.
type header struct {
	version uint32
	log     uint64 // drawn when the folder was made
	number  uint64
	first   uint64 // the sequence number of its first frame
}

func (h header) encode() []byte {
	b := make([]byte, copySize)
	copy(b, segmentMagic[:])
	order.PutUint32(b[8:], h.version)
	order.PutUint64(b[16:], h.log)
	order.PutUint64(b[24:], h.number)
	order.PutUint64(b[32:], h.first)
	order.PutUint32(b[12:], headerChecksum(b))
	return append(b, b...)
}

func headerChecksum(b []byte) uint32 {
	return crc32.Update(checksum(b[:12]), castagnoli, b[16:copySize])
}

// decodeHeader reads one copy. Nothing but the magic and the version is sure to be the same in another
// version, so that of a damaged copy is given too.
func decodeHeader(b []byte) (h header, ok bool) {
	if len(b) < copySize || !bytes.Equal(b[:8], segmentMagic[:]) {
		return header{}, false
	}
	h = header{
		version: order.Uint32(b[8:]),
		log:     order.Uint64(b[16:]),
		number:  order.Uint64(b[24:]),
		first:   order.Uint64(b[32:]),
	}
	return h, h.version == version && order.Uint32(b[12:]) == headerChecksum(b[:copySize])
}

// seed is what the checksums of a segment's frames and entries begin with, so that bytes of another
// segment, another log or another place never look right.
func (h header) seed() uint32 {
	var b [16]byte
	order.PutUint64(b[:], h.log)
	order.PutUint64(b[8:], h.number)
	return checksum(b[:])
}

// placeSum sums up a frame's or an entry's header at a place, without the checksum in it.
func placeSum(seed uint32, at int64, b []byte) uint32 {
	var place [8]byte
	order.PutUint64(place[:], uint64(at))
	sum := crc32.Update(seed, castagnoli, place[:])
	sum = crc32.Update(sum, castagnoli, b[:4])
	return crc32.Update(sum, castagnoli, b[8:])
}

// frame is the header of a batch.
type frame struct {
	length uint64 // in all, with header and trailer
	seq    uint64
	synced uint64 // the last one known to be on stable storage when this was written
	count  uint32 // entries
	flags  uint32
}

// Flags of frames, for people who look at a file.
const (
	flagCopy = 1 // written by the compaction
	flagMark = 2 // no entries: the store was closed
)

func (f frame) encode(b []byte, seed uint32, at int64) {
	copy(b, frameMagic[:])
	order.PutUint64(b[8:], f.length)
	order.PutUint64(b[16:], f.seq)
	order.PutUint64(b[24:], f.synced)
	order.PutUint32(b[32:], f.count)
	order.PutUint32(b[36:], f.flags)
	order.PutUint32(b[4:], placeSum(seed, at, b[:frameSize]))
}

func decodeFrame(b []byte, seed uint32, at int64) (f frame, ok bool) {
	if len(b) < frameSize || !bytes.Equal(b[:4], frameMagic[:]) || order.Uint32(b[4:]) != placeSum(seed, at, b[:frameSize]) {
		return frame{}, false
	}
	f = frame{
		length: order.Uint64(b[8:]),
		seq:    order.Uint64(b[16:]),
		synced: order.Uint64(b[24:]),
		count:  order.Uint32(b[32:]),
		flags:  order.Uint32(b[36:]),
	}
	return f, f.length >= frameSize+trailerSize && f.length%unit == 0 && f.length < math.MaxInt64/2
}

// place is where an entry is: its segment, and its offset there in units.
type place struct{ segment, units uint32 }

func (p place) offset() int64 { return int64(p.units) * unit }

// entry is the header of one operation of a batch. Its head and body follow it.
type entry struct {
	kind    store.Kind
	id      store.ID
	headLen uint32
	bodyLen uint32
	headSum uint32
	bodySum uint32

	// A PutHead's: where the entry is that has the body. A Delete's: the first and the last segment that
	// may have an older entry of the record.
	ref place
}

// size is that of the entry with head, body and padding.
func (e *entry) size() int64 { return roundUp(entrySize + int64(e.headLen) + e.body()) }

// body is the length of the body that follows: a PutHead's is elsewhere.
func (e *entry) body() int64 {
	if e.kind == store.PutHead {
		return 0
	}
	return int64(e.bodyLen)
}

func (e *entry) encode(b []byte, seed uint32, at int64) {
	copy(b, entryMagic[:])
	b[3] = byte(e.kind)
	order.PutUint64(b[8:], uint64(e.id))
	order.PutUint32(b[16:], e.headLen)
	order.PutUint32(b[20:], e.bodyLen)
	order.PutUint32(b[24:], e.headSum)
	order.PutUint32(b[28:], e.bodySum)
	order.PutUint32(b[32:], e.ref.segment)
	order.PutUint32(b[36:], e.ref.units)
	order.PutUint32(b[4:], placeSum(seed, at, b[:entrySize]))
}

func decodeEntry(b []byte, seed uint32, at int64) (e entry, ok bool) {
	if len(b) < entrySize || !bytes.Equal(b[:3], entryMagic[:]) || order.Uint32(b[4:]) != placeSum(seed, at, b[:entrySize]) {
		return entry{}, false
	}
	e = entry{
		kind:    store.Kind(b[3]),
		id:      store.ID(order.Uint64(b[8:])),
		headLen: order.Uint32(b[16:]),
		bodyLen: order.Uint32(b[20:]),
		headSum: order.Uint32(b[24:]),
		bodySum: order.Uint32(b[28:]),
		ref:     place{order.Uint32(b[32:]), order.Uint32(b[36:])},
	}
	return e, e.kind >= store.Put && e.kind <= store.Delete
}
