package protocol_test

import (
	"bytes"
	"errors"
	"io"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/geartrain/geartrain/gearman/protocol"
)

// read decodes one packet that is all of b.
func read(t require.TestingT, b []byte) (protocol.Packet, error) {
	r := protocol.NewReader(bytes.NewReader(b), protocol.Limits{})
	p, err := r.Read()
	require.False(t, err == nil && r.Pending(), "bytes are left over")
	return p, err
}

func TestPacketBytes(t *testing.T) {
	t.Parallel()
	got := protocol.AppendPacket([]byte("before"), protocol.Request, protocol.SubmitJob,
		[]byte("reverse"), nil, []byte("a\x00b"))
	require.Equal(t, "before\x00REQ\x00\x00\x00\x07\x00\x00\x00\x0creverse\x00\x00a\x00b", string(got))

	got = protocol.AppendPacket(nil, protocol.Response, protocol.NoJob)
	require.Equal(t, "\x00RES\x00\x00\x00\x0a\x00\x00\x00\x00", string(got))
}

// Every packet of every type comes back as it went in.
func TestPacketRoundTrip(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		want := types[rapid.IntRange(0, len(types)-1).Draw(t, "type")]
		magic := rapid.SampledFrom([]protocol.Magic{protocol.Request, protocol.Response}).Draw(t, "magic")
		args := make([][]byte, want.arity)
		for i := range args {
			bytesOf := rapid.ByteRange(1, 255)
			if i == len(args)-1 {
				bytesOf = rapid.Byte()
			}
			args[i] = rapid.SliceOf(bytesOf).Draw(t, "argument")
		}
		wire := protocol.AppendPacket(nil, magic, want.number, args...)
		got, err := read(t, wire)
		require.NoError(t, err)
		require.Equal(t, magic, got.Magic)
		require.Equal(t, want.number, got.Type)
		require.Len(t, got.Args, want.arity)
		for i := range args {
			require.True(t, bytes.Equal(args[i], got.Args[i]), "argument %d", i)
		}
		require.Equal(t, wire, protocol.AppendPacket(nil, got.Magic, got.Type, got.Args...))
	})
}

// Every type is refused with any smaller number of arguments than it has, but the reduce packets
// with one less, and a worker's results and data without anything behind the handle.
func TestTooFewArguments(t *testing.T) {
	t.Parallel()
	for _, want := range types {
		for n := 1; n < want.arity; n++ {
			wire := protocol.AppendPacket(nil, protocol.Request, want.number, make([][]byte, n)...)
			p, err := read(t, wire)
			if n == 4 && (want.number == protocol.SubmitReduceJob || want.number == protocol.SubmitReduceJobBg) {
				require.NoError(t, err)
				require.Len(t, p.Args, 5)
				continue
			}
			switch want.number {
			case protocol.WorkComplete, protocol.WorkData, protocol.WorkWarning, protocol.WorkException:
				require.NoError(t, err)
				require.Len(t, p.Args, 2)
				require.Empty(t, p.Args[1])
				continue
			}
			require.ErrorIs(t, err, protocol.ErrArguments, "%s with %d", want.name, n)
			var bad *protocol.PacketError
			require.ErrorAs(t, err, &bad)
			require.Equal(t, want.number, bad.Type)
			require.Equal(t, len(wire)-protocol.HeaderSize, bad.Size)
		}
	}
}

func TestReduceForms(t *testing.T) {
	t.Parallel()
	for _, typ := range []protocol.Type{protocol.SubmitReduceJob, protocol.SubmitReduceJobBg} {
		five, err := protocol.Split(nil, typ, []byte("f\x00u\x00r\x00a\x00pay\x00load"))
		require.NoError(t, err)
		require.Equal(t, "f|u|r|a|pay\x00load", string(bytes.Join(five, []byte{'|'})))

		empty, err := protocol.Split(nil, typ, []byte("f\x00u\x00r\x00\x00payload"))
		require.NoError(t, err)
		require.Equal(t, "f|u|r||payload", string(bytes.Join(empty, []byte{'|'})))
		require.NotNil(t, empty[3], "an aggregate that is there and empty")

		four, err := protocol.Split([][]byte{[]byte("kept")}, typ, []byte("f\x00u\x00r\x00payload"))
		require.NoError(t, err)
		require.Equal(t, "kept|f|u|r||payload", string(bytes.Join(four, []byte{'|'})))
		require.Nil(t, four[4], "an aggregate that is not there")
	}
}

func TestSplitKeepsDst(t *testing.T) {
	t.Parallel()
	dst := [][]byte{[]byte("kept")}
	got, err := protocol.Split(dst, protocol.WorkStatus, []byte("h\x001"))
	require.ErrorIs(t, err, protocol.ErrArguments)
	require.Equal(t, dst, got)

	got, err = protocol.Split(dst, protocol.GrabJob, []byte("ignored"))
	require.NoError(t, err)
	require.Equal(t, dst, got)
}

func TestArg(t *testing.T) {
	t.Parallel()
	p := protocol.Packet{Args: [][]byte{[]byte("one")}}
	require.Equal(t, "one", string(p.Arg(0)))
	require.Nil(t, p.Arg(1))
}

func TestHeader(t *testing.T) {
	t.Parallel()
	b := protocol.AppendHeader(nil, protocol.Response, protocol.WorkData, 1<<20)
	require.Len(t, b, protocol.HeaderSize)
	h, err := protocol.DecodeHeader(append(b, "more"...))
	require.NoError(t, err)
	require.Equal(t, protocol.Header{Magic: protocol.Response, Type: protocol.WorkData, Size: 1 << 20}, h)

	h, err = protocol.DecodeHeader([]byte("\x00REQ\x00\x00\x00\x10\xff\xff\xff\xff"))
	require.NoError(t, err)
	require.Positive(t, h.Size, "4 GiB is not negative, whatever an int is")

	_, err = protocol.DecodeHeader([]byte("\x00REX\x00\x00\x00\x10\x00\x00\x00\x00"))
	require.ErrorIs(t, err, protocol.ErrMagic)
}

func TestErrors(t *testing.T) {
	t.Parallel()
	for err, recoverable := range map[error]bool{
		protocol.ErrMagic:     false,
		protocol.ErrTooLarge:  false,
		protocol.ErrType:      true,
		protocol.ErrArguments: true,
		io.EOF:                false,
	} {
		require.Equal(t, recoverable, protocol.Recoverable(err))
		wrapped := &protocol.PacketError{Type: protocol.SubmitJob, Size: 7, Err: err}
		require.Equal(t, recoverable, protocol.Recoverable(wrapped))
		require.True(t, errors.Is(wrapped, err))
		require.Contains(t, wrapped.Error(), "SUBMIT_JOB of 7 bytes")
	}
	require.False(t, protocol.Recoverable(nil))
}
