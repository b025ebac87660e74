package protocol_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"runtime"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/require"

	"github.com/geartrain/geartrain/gearman/protocol"
)

// pieces is a source that gives its slices one by one.
type pieces [][]byte

func (p *pieces) Read(b []byte) (int, error) {
	if len(*p) == 0 {
		return 0, io.EOF
	}
	n := copy(b, (*p)[0])
	if (*p)[0] = (*p)[0][n:]; len((*p)[0]) == 0 {
		*p = (*p)[1:]
	}
	return n, nil
}

// describe reads until the stream ends or cannot be continued, and writes down what came.
func describe(r *protocol.Reader) []string {
	var got []string
	for {
		p, err := r.Read()
		if err != nil {
			got = append(got, err.Error())
			if !protocol.Recoverable(err) {
				return got
			}
			continue
		}
		line := fmt.Sprint(p.Magic, " ", p.Type)
		for _, arg := range p.Args {
			line += fmt.Sprintf(" %d:%.20q", len(arg), arg)
		}
		got = append(got, line)
	}
}

// mixed is a stream with a bit of everything.
func mixed() []byte {
	b := protocol.AppendPacket(nil, protocol.Request, protocol.SubmitJob, []byte("f"), []byte("u"), []byte("a\x00b"))
	b = append(b, "status\nworkers\r\n\n"...)
	b = protocol.AppendPacket(b, protocol.Request, protocol.GrabJob)
	b = protocol.AppendPacket(b, protocol.Response, 99, []byte("unknown"))
	b = protocol.AppendPacket(b, protocol.Request, protocol.SubmitJob, []byte("too few"))
	b = protocol.AppendPacket(b, protocol.Response, protocol.WorkData, []byte("h"), bytes.Repeat([]byte("x"), 300))
	return append(b, "version\n"...)
}

// However a stream is cut into reads, the same messages come out of it.
func TestEverySplit(t *testing.T) {
	t.Parallel()
	stream := mixed()
	whole := describe(protocol.NewReader(bytes.NewReader(stream), protocol.Limits{}))
	require.Equal(t, []string{
		`REQ SUBMIT_JOB 1:"f" 1:"u" 3:"a\x00b"`,
		`REQ TEXT 6:"status"`, `REQ TEXT 7:"workers"`, `REQ TEXT 0:""`,
		`REQ GRAB_JOB`,
		`protocol: unknown packet type: 99 of 7 bytes`,
		`protocol: too few arguments: SUBMIT_JOB of 7 bytes`,
		`RES WORK_DATA 1:"h" 300:"xxxxxxxxxxxxxxxxxxxx"`,
		`REQ TEXT 7:"version"`,
		`EOF`,
	}, whole)
	for cut := range stream {
		r := protocol.NewReader(&pieces{stream[:cut], stream[cut:]}, protocol.Limits{})
		require.Equal(t, whole, describe(r), "cut at %d", cut)
	}
	for name, source := range map[string]io.Reader{
		"one byte": iotest.OneByteReader(bytes.NewReader(stream)),
		"half":     iotest.HalfReader(bytes.NewReader(stream)),
		"data+err": iotest.DataErrReader(bytes.NewReader(stream)),
	} {
		require.Equal(t, whole, describe(protocol.NewReader(source, protocol.Limits{})), name)
	}
}

// The same for bodies about the sizes at which their memory changes.
func TestLargeBodies(t *testing.T) {
	t.Parallel()
	var stream []byte
	var want []int
	for _, size := range []int{
		2<<10 - 14, 2 << 10, protocol.LargeBody - 3, protocol.LargeBody - 2, protocol.LargeBody,
		64 << 10, 64<<10 + 1, 1 << 20, 0,
	} {
		want = append(want, size)
		stream = protocol.AppendPacket(stream, protocol.Request, protocol.WorkData, []byte("h"), body(size))
	}
	for _, chunk := range []int{1000, 2048, 2060, 32 << 10, 100_000, len(stream)} {
		r := protocol.NewReader(chunks(stream, chunk), protocol.Limits{})
		var kept []protocol.Packet
		for i, size := range want {
			p, err := r.Read()
			require.NoError(t, err)
			require.Equal(t, size+2 >= protocol.LargeBody, p.Owned)
			require.True(t, bytes.Equal(body(size), p.Args[1]), "body %d in chunks of %d", i, chunk)
			if p.Owned {
				kept = append(kept, protocol.Packet{Args: [][]byte{p.Args[1]}})
				require.Less(t, cap(p.Args[1]), size+1, "exactly its size")
			}
		}
		for _, p := range kept { // the Reader has not touched them again
			require.True(t, bytes.Equal(body(len(p.Args[0])), p.Args[0]))
		}
		_, err := r.Read()
		require.Equal(t, io.EOF, err)
	}
}

// body is size bytes that are not all the same.
func body(size int) []byte {
	b := make([]byte, size)
	for i := range b {
		b[i] = byte(i * 7 / 3)
	}
	return b
}

func chunks(b []byte, size int) *pieces {
	var p pieces
	for len(b) > 0 {
		n := min(size, len(b))
		p, b = append(p, b[:n]), b[n:]
	}
	return &p
}

func TestLimits(t *testing.T) {
	t.Parallel()
	limits := protocol.Limits{MaxPacket: 100, MaxLine: 10}
	echo := func(n int) string {
		return string(protocol.AppendPacket(nil, protocol.Request, protocol.EchoReq, body(n)))
	}
	for name, c := range map[string]struct {
		stream string
		err    error
	}{
		"a packet at the limit":         {echo(100), nil},
		"a packet over it":              {echo(101), protocol.ErrTooLarge},
		"the header of one":             {echo(101)[:protocol.HeaderSize], protocol.ErrTooLarge},
		"4 GiB":                         {"\x00REQ\x00\x00\x00\x07\xff\xff\xff\xff", protocol.ErrTooLarge},
		"a line at the limit":           {"0123456789\n", nil},
		"a line over it":                {"01234567890\n", protocol.ErrTooLarge},
		"a line over it, without end":   {"01234567890", protocol.ErrTooLarge},
		"half a line":                   {"0123456789", io.ErrUnexpectedEOF},
		"half a header":                 {echo(0)[:7], io.ErrUnexpectedEOF},
		"half a packet":                 {echo(9)[:15], io.ErrUnexpectedEOF},
		"wrong magic at the 2nd byte":   {"\x00X", protocol.ErrMagic},
		"wrong magic at the 4th byte":   {"\x00REX", protocol.ErrMagic},
		"wrong magic in a whole header": {"\x00REX" + strings.Repeat("\x00", 20), protocol.ErrMagic},
		"nothing":                       {"", io.EOF},
	} {
		r := protocol.NewReader(strings.NewReader(c.stream), limits)
		_, err := r.Read()
		require.ErrorIs(t, err, c.err, name)
		if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
			_, again := r.Read()
			require.Equal(t, err, again, "%s: an error that is not recoverable stays", name)
		}
	}
}

// A client does not expect lines: anything but a packet is out of step.
func TestLinesRefused(t *testing.T) {
	t.Parallel()
	r := protocol.NewReader(strings.NewReader("HTTP/1.1 200 OK\r\n"), protocol.Limits{MaxLine: -1})
	_, err := r.Read()
	require.ErrorIs(t, err, protocol.ErrMagic)
}

// What a peer claims costs nothing: 1000 connections that each announce 64 MiB, or 4 GiB. It runs alone:
// what is counted is what the whole process allocates.
func TestClaimsAllocateNothing(t *testing.T) {
	for _, claim := range []string{"\x04\x00\x00\x00", "\xff\xff\xff\xff"} {
		header := "\x00REQ\x00\x00\x00\x07" + claim
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		readers := make([]*protocol.Reader, 1000)
		for i := range readers {
			readers[i] = protocol.NewReader(strings.NewReader(header+"f\x00key\x00some"), protocol.Limits{})
			_, err := readers[i].Read()
			require.Error(t, err)
			require.Less(t, readers[i].Buffered(), 8<<10)
		}
		runtime.ReadMemStats(&after)
		require.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(16<<20))
		runtime.KeepAlive(readers)
	}
}

// A large body's memory follows what has come of it.
func TestLargeBodyGrowsWithWhatCame(t *testing.T) {
	t.Parallel()
	const size = 8 << 20
	stream := protocol.AppendPacket(nil, protocol.Request, protocol.EchoReq, body(size))
	r := protocol.NewReader(chunks(stream, 10_000), protocol.Limits{})
	came, missing := 0, len(stream)
	for {
		p, ok, err := r.Next()
		require.NoError(t, err)
		if ok {
			require.Len(t, p.Args[0], size)
			require.Zero(t, r.Missing())
			require.Less(t, missing, size)
			break
		}
		require.LessOrEqual(t, r.Buffered(), 5*came+80<<10)
		if r.Buffered() < size {
			require.Zero(t, r.Missing())
		} else {
			require.Less(t, r.Missing(), missing)
			require.GreaterOrEqual(t, r.Missing(), len(stream)-came)
			missing = r.Missing()
		}
		require.NoError(t, r.Fill())
		came += 10_000
	}
	_, ok, err := r.Next()
	require.NoError(t, err)
	require.False(t, ok)
	require.LessOrEqual(t, r.Buffered(), 64<<10, "the body is the receiver's now")
}

// The buffer doubles while reads fill it, and goes back when they bring little.
func TestBufferFollowsTraffic(t *testing.T) {
	t.Parallel()
	small := protocol.AppendPacket(nil, protocol.Request, protocol.EchoReq, []byte("hello"))
	busy := bytes.Repeat(small, 20_000)
	var source pieces
	source = append(source, small)
	r := protocol.NewReader(&source, protocol.Limits{})
	_, err := r.Read()
	require.NoError(t, err)
	idle := r.Buffered()
	require.LessOrEqual(t, idle, 4<<10)

	source = append(source, busy)
	for range 20_000 {
		_, err := r.Read()
		require.NoError(t, err)
	}
	require.Equal(t, 64<<10, r.Buffered())

	for range 20 {
		source = append(source, small)
		_, err := r.Read()
		require.NoError(t, err)
	}
	require.Equal(t, idle, r.Buffered())
}

// A source that gives nothing and no error a few times, as net.Pipe does for an empty Write, is no
// reason to end; one that does it for ever is.
func TestEmptyReads(t *testing.T) {
	t.Parallel()
	packet := protocol.AppendPacket(nil, protocol.Request, protocol.GrabJob)
	r := protocol.NewReader(&pieces{nil, packet[:3], nil, nil, packet[3:]}, protocol.Limits{})
	p, err := r.Read()
	require.NoError(t, err)
	require.Equal(t, protocol.GrabJob, p.Type)

	r = protocol.NewReader(silent{}, protocol.Limits{})
	require.Equal(t, io.ErrNoProgress, r.Fill())
}

// silent never gives anything.
type silent struct{}

func (silent) Read([]byte) (int, error) { return 0, nil }

// An error of the source comes through as it is, after the bytes that came before it.
func TestSourceError(t *testing.T) {
	t.Parallel()
	broken := errors.New("broken")
	packet := protocol.AppendPacket(nil, protocol.Request, protocol.GrabJob)
	source := io.MultiReader(bytes.NewReader(append(packet, packet[:5]...)), iotest.ErrReader(broken))
	r := protocol.NewReader(source, protocol.Limits{})
	_, err := r.Read()
	require.NoError(t, err)
	_, err = r.Read()
	require.Equal(t, broken, err)
	require.True(t, r.Pending())
}

// A Reader does not keep a large body alive that it has handed over.
func TestLargeBodyIsLetGo(t *testing.T) {
	t.Parallel()
	stream := protocol.AppendPacket(nil, protocol.Request, protocol.EchoReq, body(1<<20))
	r := protocol.NewReader(bytes.NewReader(stream), protocol.Limits{})
	p, err := r.Read()
	require.NoError(t, err)
	gone := make(chan struct{})
	runtime.AddCleanup(&p.Args[0][0], func(struct{}) { close(gone) }, struct{}{})
	p = protocol.Packet{}
	_, ok, err := r.Next()
	require.NoError(t, err)
	require.False(t, ok)
	require.Eventually(t, func() bool {
		runtime.GC()
		select {
		case <-gone:
			return true
		default:
			return false
		}
	}, timeout, tick)
	runtime.KeepAlive(r)
}
