package load

import (
	"io"

	"github.com/geartrain/geartrain/gearman/protocol"
)

// Sizes of an inbox's buffer, in bytes.
const (
	firstBuffer = 2 << 10
	readSize    = 64 << 10 // to which it grows if reads fill it, whatever the packets
	packetSlack = 64 << 10 // how much longer than a payload a packet may be
)

// inbox decodes packets in place, large ones too, in a buffer that only grows. A [protocol.Reader]
// gives a large body memory of its own, which a relay needs; here it would be thrown away at once, and
// the collector's work would be measured. It is for one goroutine.
type inbox struct {
	src        io.Reader
	limit      int // bytes of arguments in one packet
	buf        []byte
	start, end int // buf[start:end] is read and not yet decoded
	need       int // bytes of the packet that is not yet complete, as far as they are known
	args       [][]byte
}

// next decodes the next packet that is complete, valid until the next fill; ok is false when more
// bytes are needed.
func (b *inbox) next() (p protocol.Packet, ok bool, err error) {
	have := b.buf[b.start:b.end]
	if b.need = protocol.HeaderSize; len(have) < b.need {
		return p, false, nil
	}
	h, err := protocol.DecodeHeader(have)
	if err != nil {
		return p, false, err
	}
	if h.Size > b.limit {
		return p, false, &protocol.PacketError{Type: h.Type, Size: h.Size, Err: protocol.ErrTooLarge}
	}
	if b.need += h.Size; len(have) < b.need {
		return p, false, nil
	}
	b.start += b.need
	if !h.Type.Known() {
		return p, false, &protocol.PacketError{Type: h.Type, Size: h.Size, Err: protocol.ErrType}
	}
	b.args, err = protocol.Split(b.args[:0], h.Type, have[protocol.HeaderSize:b.need])
	return protocol.Packet{Magic: h.Magic, Type: h.Type, Args: b.args}, err == nil, err
}

// fill blocks until one read has brought something.
func (b *inbox) fill() error {
	have := b.end - b.start
	size := max(len(b.buf), firstBuffer, b.need)
	if b.end == len(b.buf) { // the last read filled it, or there was none yet
		size = max(size, min(2*len(b.buf), readSize))
	}
	switch {
	case size > len(b.buf):
		bigger := make([]byte, size)
		copy(bigger, b.buf[b.start:b.end])
		b.buf = bigger
	case b.start > 0:
		copy(b.buf, b.buf[b.start:b.end])
	}
	n, err := b.src.Read(b.buf[have:])
	b.start, b.end = 0, have+n
	if n > 0 {
		return nil // an error comes again
	}
	return err
}
