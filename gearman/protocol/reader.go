package protocol

import (
	"bytes"
	"io"
)

// Sizes of a Reader's buffer, in bytes.
const (
	// LargeBody is the size from which a body gets memory of its own, see [Packet].Owned. It is where
	// copying once more begins to cost more than an allocation.
	LargeBody = 32 << 10

	minBuffer = 2 << 10  // of an idle connection
	maxBuffer = 64 << 10 // of a busy one: what one Read can bring

	// growth is by how much a large body's memory exceeds what has arrived of it, which bounds what a
	// mere claim can take. See room.
	growth = 4

	// maxEmptyReads is how often in a row the source may give neither bytes nor an error.
	maxEmptyReads = 100
)

// Limits bound what a Reader accepts. The zero value takes the defaults.
type Limits struct {
	MaxPacket int // bytes of arguments in one packet. Default: 64 MiB
	MaxLine   int // bytes of an admin line. Default: 4096; negative: lines are refused, as a client does
}

// DefaultMaxPacket is the limit of a packet's arguments where none is given.
const DefaultMaxPacket = 64 << 20

func (l Limits) withDefaults() Limits {
	if l.MaxPacket <= 0 {
		l.MaxPacket = DefaultMaxPacket
	}
	if l.MaxLine == 0 {
		l.MaxLine = 4096
	}
	return l
}

// Memory gives a Reader the memory for large bodies, which is else made with make.
type Memory interface {
	// Get returns size bytes if they are there already, and else n, which is what may be allocated
	// for them so far. They may contain anything.
	Get(n, size int) []byte

	// Put takes back what no packet ever referred to.
	Put(b []byte)
}

// Reader decodes packets and admin lines from a stream. It is for one goroutine.
//
// Its memory follows what has arrived, never what a peer claims: the buffer begins small, doubles
// when a read fills it and shrinks when it is empty, and a large body's memory grows with the body.
type Reader struct {
	src    io.Reader
	limits Limits
	memory Memory // nil: make

	buf        []byte // buf[start:end] is read and not yet decoded
	start, end int
	busy       int // reads that filled much of the buffer, less those that did not

	large  []byte // the large body that is being read: large[:filled], in the end size bytes
	filled int
	header Header

	args   [maxArity][]byte
	pinned bool // args refer to a large body, whose memory they would keep alive
}

// NewReader reads from src. The zero Limits are the defaults.
func NewReader(src io.Reader, limits Limits) *Reader {
	return &Reader{src: src, limits: limits.withDefaults()}
}

// SetMemory makes large bodies lie in memory of m. It is called before the first Fill.
func (r *Reader) SetMemory(m Memory) { r.memory = m }

// Read blocks until the next packet is complete. Its arguments are valid until the next Read. The
// error is a [PacketError], the source's own, or io.ErrUnexpectedEOF when the source ends in the
// middle of a packet.
func (r *Reader) Read() (Packet, error) {
	for {
		p, ok, err := r.Next()
		if ok || err != nil {
			return p, err
		}
		if err := r.Fill(); err != nil {
			if err == io.EOF && r.Pending() {
				err = io.ErrUnexpectedEOF
			}
			return Packet{}, err
		}
	}
}

// Pending reports whether part of a message has arrived and not the rest.
func (r *Reader) Pending() bool { return r.end > r.start || r.large != nil }

// Missing is how many bytes of a large body are yet to come, once there is memory for all of them; else 0.
func (r *Reader) Missing() int {
	if r.large == nil || len(r.large) < r.header.Size {
		return 0
	}
	return r.header.Size - r.filled
}

// Buffered is the memory, in bytes, that the Reader holds now.
func (r *Reader) Buffered() int { return len(r.buf) + cap(r.large) }

// Fill blocks until one Read of the source has brought at least one byte. Call it when Next has
// nothing more: only then is the memory bounded. Arguments of earlier packets that are not Owned are
// no longer valid afterwards. It returns the source's error; bytes that came with an error are kept,
// and the source is asked for the error again by the next Fill.
func (r *Reader) Fill() error {
	if r.large != nil {
		n, err := r.read(r.large[r.filled:])
		r.filled += n
		return err
	}
	r.makeRoom()
	n, err := r.read(r.buf[r.end:])
	if n == len(r.buf)-r.end {
		r.busy = min(r.busy+1, 4)
	} else if n < len(r.buf)/4 {
		r.busy = max(r.busy-1, -4)
	}
	r.end += n
	return err
}

// read calls the source until it gives bytes or an error, never both. A Read of nothing means that
// nothing happened (net.Pipe does that for an empty Write), but not for ever.
func (r *Reader) read(b []byte) (int, error) {
	for range maxEmptyReads {
		n, err := r.src.Read(b)
		if n > 0 {
			return n, nil
		}
		if err != nil {
			return 0, err
		}
	}
	return 0, io.ErrNoProgress
}

// makeRoom leaves free space behind end: it moves what is undecoded to the front, and grows or
// shrinks the buffer by what the last reads brought.
func (r *Reader) makeRoom() {
	have := r.end - r.start
	size := len(r.buf)
	switch {
	case size == 0:
		size = minBuffer
	case have == size || r.busy > 0 && size < maxBuffer:
		size = max(2*size, minBuffer)
		r.busy = 0
	case r.busy <= -4 && have < minBuffer/2:
		size = minBuffer
		r.busy = 0
	}
	if size != len(r.buf) {
		bigger := make([]byte, size)
		copy(bigger, r.buf[r.start:r.end])
		r.buf = bigger
	} else if have > 0 {
		copy(r.buf, r.buf[r.start:r.end])
	}
	r.start, r.end = 0, have
}

// Next decodes the next message that is already complete; ok is false when more bytes are needed.
// After an error that is not [Recoverable] the Reader is of no further use.
func (r *Reader) Next() (p Packet, ok bool, err error) {
	if r.pinned {
		clear(r.args[:])
		r.pinned = false
	}
	if r.large != nil {
		return r.nextLarge()
	}
	b := r.buf[r.start:r.end]
	if len(b) == 0 {
		return Packet{}, false, nil
	}
	if b[0] != 0 && r.limits.MaxLine > 0 {
		return r.nextLine(b)
	}
	if len(b) < HeaderSize {
		return Packet{}, false, checkMagic(b)
	}
	h, err := DecodeHeader(b)
	if err != nil {
		return Packet{}, false, err
	}
	if h.Size > r.limits.MaxPacket {
		return Packet{}, false, &PacketError{Type: h.Type, Size: h.Size, Err: ErrTooLarge}
	}
	if h.Size >= LargeBody {
		r.beginLarge(h, b[HeaderSize:])
		return r.nextLarge()
	}
	if len(b) < HeaderSize+h.Size {
		return Packet{}, false, nil
	}
	r.start += HeaderSize + h.Size
	return r.packet(h, b[HeaderSize:HeaderSize+h.Size:HeaderSize+h.Size], false)
}

// checkMagic finds a wrong magic before the whole header is there, so that a peer that speaks
// something else is not left waiting.
func checkMagic(b []byte) error {
	b = b[:min(len(b), 4)]
	if string(b) == "\x00REQ"[:len(b)] || string(b) == "\x00RES"[:len(b)] {
		return nil
	}
	return &PacketError{Size: len(b), Err: ErrMagic}
}

func (r *Reader) nextLine(b []byte) (Packet, bool, error) {
	i := bytes.IndexByte(b, '\n')
	if i > r.limits.MaxLine || i < 0 && len(b) > r.limits.MaxLine {
		return Packet{}, false, &PacketError{Type: Text, Size: len(b), Err: ErrTooLarge}
	}
	if i < 0 {
		return Packet{}, false, nil
	}
	r.start += i + 1
	r.args[0] = bytes.TrimSuffix(b[:i], []byte{'\r'})
	return Packet{Magic: Request, Type: Text, Args: r.args[:1]}, true, nil
}

// beginLarge moves the part of a large body that has arrived into memory of its own.
func (r *Reader) beginLarge(h Header, have []byte) {
	have = have[:min(len(have), h.Size)]
	r.header = h
	r.large = r.alloc(len(have))
	r.filled = copy(r.large, have)
	r.start += HeaderSize + len(have)
}

func (r *Reader) nextLarge() (Packet, bool, error) {
	if r.filled < len(r.large) {
		return Packet{}, false, nil
	}
	if r.filled < r.header.Size {
		r.growLarge()
		return Packet{}, false, nil
	}
	body := r.large
	r.large, r.filled = nil, 0
	r.pinned = true
	return r.packet(r.header, body, true)
}

func (r *Reader) growLarge() {
	bigger := r.alloc(r.filled)
	copy(bigger, r.large[:r.filled])
	if r.memory != nil {
		r.memory.Put(r.large)
	}
	r.large = bigger
}

// alloc is memory for the large body, of which so many bytes have arrived.
func (r *Reader) alloc(arrived int) []byte {
	n := room(arrived, r.header.Size)
	if r.memory != nil {
		return r.memory.Get(n, r.header.Size)
	}
	return make([]byte, n)
}

// room is the memory for a large body of which so many bytes have arrived: minBuffer at first, and
// then growth times what arrived. When that leaves only a little, it is all of it at once. In the end
// it is exactly the body's size, since the receiver may keep it for long.
func room(arrived, size int) int {
	if arrived >= size/(growth+1) {
		return size
	}
	return max(growth*arrived, minBuffer)
}

func (r *Reader) packet(h Header, body []byte, owned bool) (Packet, bool, error) {
	if !h.Type.Known() {
		return Packet{}, false, &PacketError{Type: h.Type, Size: h.Size, Err: ErrType}
	}
	args, err := Split(r.args[:0], h.Type, body)
	if err != nil {
		return Packet{}, false, err
	}
	return Packet{Magic: h.Magic, Type: h.Type, Args: args, Owned: owned}, true, nil
}
