package protocol_test

import (
	"bytes"
	"io"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/geartrain/geartrain/gearman/protocol"
)

const (
	timeout = time.Minute // for what hangs
	tick    = 5 * time.Millisecond
)

// repeated gives the same bytes for ever.
type repeated struct {
	b  []byte
	at int
}

func (r *repeated) Read(b []byte) (n int, err error) {
	for n < len(b) {
		c := copy(b[n:], r.b[r.at:])
		n, r.at = n+c, (r.at+c)%len(r.b)
	}
	return n, nil
}

// No t.Parallel: AllocsPerRun counts everybody's allocations.
func TestNoAllocations(t *testing.T) {
	header := protocol.AppendHeader(nil, protocol.Request, protocol.SubmitJob, 10)
	dst := make([]byte, 0, 1<<10)
	name, key, payload := []byte("reverse"), []byte("key"), body(100)
	stream := append(mixedPackets(), "status\r\n"...)
	r := protocol.NewReader(&repeated{b: stream}, protocol.Limits{})
	half := protocol.NewReader(bytes.NewReader([]byte("\x00RE")), protocol.Limits{})
	require.NoError(t, half.Fill())
	for range 100_000 { // until the buffer has its size
		_, err := r.Read()
		require.NoError(t, err)
	}
	for name, f := range map[string]func(){
		"DecodeHeader": func() { _, _ = protocol.DecodeHeader(header) },
		"AppendHeader": func() { dst = protocol.AppendHeader(dst[:0], protocol.Request, protocol.GrabJob, 0) },
		"AppendPacket": func() {
			dst = protocol.AppendPacket(dst[:0], protocol.Request, protocol.SubmitJob, name, key, payload)
		},
		"Read":                  func() { _, _ = r.Read() },
		"Next of half a header": func() { _, _, _ = half.Next() },
	} {
		require.Zero(t, testing.AllocsPerRun(1000, f), name)
	}
}

// mixedPackets is a worker's and a client's usual talk.
func mixedPackets() []byte {
	b := protocol.AppendPacket(nil, protocol.Request, protocol.SubmitJob, []byte("reverse"), []byte("key"), body(64))
	b = protocol.AppendPacket(b, protocol.Request, protocol.WorkComplete, []byte("H:host:17"), body(64))
	return protocol.AppendPacket(b, protocol.Request, protocol.GrabJobUniq)
}

func BenchmarkReadSmall(b *testing.B) {
	stream := mixedPackets()
	r := protocol.NewReader(&repeated{b: stream}, protocol.Limits{})
	b.SetBytes(int64(len(stream) / 3))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := r.Read(); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkReadLarge(b *testing.B) {
	for name, size := range map[string]int{"64KiB": 64 << 10, "1MiB": 1 << 20, "16MiB": 16 << 20} {
		b.Run(name, func(b *testing.B) {
			packet := protocol.AppendPacket(nil, protocol.Request, protocol.EchoReq, body(size))
			r := protocol.NewReader(&repeated{b: packet}, protocol.Limits{})
			b.SetBytes(int64(size))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := r.Read(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkAppendPacket(b *testing.B) {
	dst := make([]byte, 0, 1<<10)
	name, key, payload := []byte("reverse"), []byte("key"), body(64)
	b.ReportAllocs()
	for b.Loop() {
		dst = protocol.AppendPacket(dst[:0], protocol.Request, protocol.SubmitJob, name, key, payload)
	}
	_, _ = io.Discard.Write(dst)
}
