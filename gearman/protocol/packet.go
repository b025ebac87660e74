package protocol

import (
	"bytes"
	"encoding/binary"
	"math"
)

// HeaderSize is the number of bytes before a packet's arguments.
const HeaderSize = 12

// Packet is one decoded message.
type Packet struct {
	Magic Magic
	Type  Type

	// Args has [Type.Arity] elements. They alias the Reader's buffer and are valid until its next
	// Fill; the slice itself is valid until its next Next.
	Args [][]byte

	// Owned says that the body (and so every argument) lies in memory of its own that the Reader
	// will not touch again. The receiver may keep the arguments without copying.
	Owned bool
}

// Arg is the i-th argument, nil when the packet has fewer.
func (p *Packet) Arg(i int) []byte {
	if i >= len(p.Args) {
		return nil
	}
	return p.Args[i]
}

// Header is a packet's first twelve bytes.
type Header struct {
	Magic Magic
	Type  Type
	Size  int // bytes of arguments that follow
}

// DecodeHeader reads a header from the start of b, which must have [HeaderSize] bytes or more. Any
// magic but the two of the protocol is ErrMagic.
func DecodeHeader(b []byte) (Header, error) {
	h := Header{
		Magic: Magic(binary.BigEndian.Uint32(b)),
		Type:  Type(binary.BigEndian.Uint32(b[4:])),
		Size:  int(min(uint64(binary.BigEndian.Uint32(b[8:])), math.MaxInt)), // int may have 32 bits
	}
	if h.Magic != Request && h.Magic != Response {
		return h, &PacketError{Type: h.Type, Size: h.Size, Err: ErrMagic}
	}
	return h, nil
}

// AppendHeader appends a header for size bytes of arguments, which the caller sends itself.
func AppendHeader(dst []byte, m Magic, t Type, size int) []byte {
	dst = binary.BigEndian.AppendUint32(dst, uint32(m))
	dst = binary.BigEndian.AppendUint32(dst, uint32(t))
	return binary.BigEndian.AppendUint32(dst, uint32(size))
}

// AppendPacket appends a whole packet. Only the last argument may contain a NUL byte; that, and the
// number of arguments, is the caller's duty. It allocates only to grow dst.
func AppendPacket(dst []byte, m Magic, t Type, args ...[]byte) []byte {
	size := max(len(args)-1, 0)
	for _, a := range args {
		size += len(a)
	}
	dst = AppendHeader(dst, m, t, size)
	for i, a := range args {
		if i > 0 {
			dst = append(dst, 0)
		}
		dst = append(dst, a...)
	}
	return dst
}

// mayOmitLast reports whether the last argument, when it is empty, may be missing with its NUL: Perl's
// Gearman::Worker sends nothing but the handle for results that are false to it, and dies of an ERROR.
func (t Type) mayOmitLast() bool {
	return t == WorkComplete || t == WorkData || t == WorkWarning || t == WorkException
}

// Split cuts a body into the arguments of type t and appends them to dst, whose elements alias body.
// The last argument is all that is left. Too few separators is ErrArguments.
//
// The reduce submissions have two forms: gearmand and libgearman send function, unique, reducer,
// aggregate and payload; the protocol document leaves the aggregate out. Split takes five arguments
// where there are five and else four, and then gives nil as the aggregate, so Args is always five. (A
// payload with a NUL byte in the four-argument form is therefore read as the other form.) A worker's
// results and data may lack the NUL and all behind it; the last argument is then nil.
func Split(dst [][]byte, t Type, body []byte) ([][]byte, error) {
	n := t.Arity()
	if n == 0 {
		return dst, nil // what a packet without arguments carries is ignored, as gearmand does
	}
	start, rest := len(dst), body
	for len(dst)-start < n-1 {
		i := bytes.IndexByte(rest, 0)
		if i < 0 {
			break
		}
		dst = append(dst, rest[:i])
		rest = rest[i+1:]
	}
	dst = append(dst, rest)
	switch got := len(dst) - start; {
	case got == n:
		return dst, nil
	case got == minReduceArguments && (t == SubmitReduceJob || t == SubmitReduceJobBg):
		return append(dst[:len(dst)-1], nil, rest), nil
	case got == n-1 && t.mayOmitLast():
		return append(dst, nil), nil
	}
	return dst[:start], &PacketError{Type: t, Size: len(body), Err: ErrArguments}
}
