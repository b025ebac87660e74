package protocol_test

import (
	"bytes"
	"errors"
	"io"
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/geartrain/geartrain/gearman/protocol"
	"github.com/geartrain/geartrain/gearman/protocol/transcript"
)

// seeds gives every conversation's packets, as one stream per file.
func seeds(f *testing.F, add func(stream []byte)) {
	all, err := transcript.ParseAll(os.DirFS("../../testdata/wire"))
	require.NoError(f, err)
	for _, script := range all {
		add(script.Stream())
	}
}

// FuzzReader reads any bytes in any chunks: it does not panic, its memory follows what came, and
// what it accepts is written again to the same bytes.
func FuzzReader(f *testing.F) {
	seeds(f, func(stream []byte) { f.Add(stream, uint16(7)) })
	f.Add(mixed(), uint16(1))
	f.Add([]byte("\x00REQ\x00\x00\x00\x07\xff\xff\xff\xff"), uint16(12))
	f.Add(protocol.AppendPacket(nil, protocol.Request, protocol.EchoReq, body(40_000)), uint16(999))
	f.Fuzz(func(t *testing.T, stream []byte, chunk uint16) {
		r := protocol.NewReader(chunks(stream, int(chunk)+1), protocol.Limits{})
		rest := stream
		for {
			p, err := r.Read()
			require.LessOrEqual(t, r.Buffered(), 5*len(stream)+128<<10)
			switch {
			case err == nil:
				rest = consume(t, rest, &p)
			case protocol.Recoverable(err):
				var bad *protocol.PacketError
				require.ErrorAs(t, err, &bad)
				rest = rest[protocol.HeaderSize+bad.Size:]
			case errors.Is(err, io.EOF):
				require.Empty(t, rest)
				return
			default:
				return
			}
		}
	})
}

// consume takes from the front of stream the bytes that p must have come from.
func consume(t *testing.T, stream []byte, p *protocol.Packet) []byte {
	if p.Type == protocol.Text {
		line, rest, found := bytes.Cut(stream, []byte{'\n'})
		require.True(t, found)
		require.Equal(t, string(bytes.TrimSuffix(line, []byte{'\r'})), string(p.Args[0]))
		return rest
	}
	h, err := protocol.DecodeHeader(stream)
	require.NoError(t, err)
	end := protocol.HeaderSize + h.Size
	if p.Type.Arity() == 0 { // what follows the header is ignored
		return stream[end:]
	}
	args := p.Args
	if len(args) == 5 && args[3] == nil { // the reduce form without an aggregate
		args = [][]byte{args[0], args[1], args[2], args[4]}
	}
	if len(args) == 2 && args[1] == nil { // a worker's result without anything behind the handle
		args = args[:1]
	}
	again := protocol.AppendPacket(nil, p.Magic, p.Type, args...)
	require.True(t, bytes.Equal(stream[:end], again), "%s is not the same again", p.Type)
	return stream[end:]
}

// FuzzLine reads lines: none holds a line end, and none is over the limit.
func FuzzLine(f *testing.F) {
	for _, line := range []string{"status\n", "show jobs\r\n", "\n", "\r\n", "a\rb\nc", "maxqueue f 1 2 3\r\r\n"} {
		f.Add([]byte(line), uint16(3))
	}
	seeds(f, func(stream []byte) { f.Add(stream, uint16(50)) })
	f.Fuzz(func(t *testing.T, stream []byte, limit uint16) {
		limits := protocol.Limits{MaxLine: int(limit) + 1}
		r := protocol.NewReader(bytes.NewReader(stream), limits)
		for {
			p, err := r.Read()
			if err != nil {
				if !protocol.Recoverable(err) {
					return
				}
				continue
			}
			if p.Type == protocol.Text {
				require.LessOrEqual(t, len(p.Args[0]), limits.MaxLine)
				require.NotContains(t, string(p.Args[0]), "\n")
			}
		}
	})
}
