package load

import (
	"bytes"
	"context"
	"io"
	"math/rand/v2"
	"net"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/geartrain/geartrain/gearman/protocol"
)

func TestHistogramIsCloseToTheTruth(t *testing.T) {
	t.Parallel()
	var h, other histogram
	require.Zero(t, h.quantile(0.5))
	random := rand.New(rand.NewPCG(1, 2))
	var all []time.Duration
	for i := range 10_000 {
		d := time.Duration(random.ExpFloat64() * float64(time.Millisecond))
		all = append(all, d)
		if i%2 == 0 {
			h.add(d)
		} else {
			other.add(d)
		}
	}
	h.merge(&other)
	slices.Sort(all)
	for _, q := range []float64{0.01, 0.5, 0.9, 0.99, 0.999} {
		want := all[int(q*float64(len(all)))-1]
		require.InEpsilon(t, want, h.quantile(q), 0.5/steps, "quantile %g", q)
	}
	require.Equal(t, all[len(all)-1], h.max)
	require.LessOrEqual(t, h.quantile(1), h.max)
}

func TestHistogramBuckets(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		v := rapid.Uint64Max(1<<62).Draw(t, "nanoseconds")
		i := bucket(v)
		require.Equal(t, i, bucket(middle(i)), "a bucket's middle lies in it")
		require.GreaterOrEqual(t, bucket(v+1), i)
		require.LessOrEqual(t, bucket(v+1), i+1)
	})
	var h histogram
	h.add(-time.Second)
	require.Zero(t, h.quantile(1), "a clock that goes back counts as nothing")
}

func TestFifoKeepsOrder(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		var q fifo
		var model []int
		for i, push := range rapid.SliceOf(rapid.Bool()).Draw(t, "push") {
			if push {
				q.push(task{job: i})
				model = append(model, i)
				continue
			}
			got, ok := q.pop()
			require.Equal(t, len(model) > 0, ok)
			if ok {
				require.Equal(t, model[0], got.job)
				model = model[1:]
			}
		}
	})
}

func TestPayloadsAreKnownAgain(t *testing.T) {
	t.Parallel()
	for _, size := range []int{minSize, minSize + 1, 64, 4096} {
		p := newPayloads(size)
		for _, job := range []int{0, 1, 60, 61, 1_000_000} {
			payload := append(p.head(nil, job), p.filler(job)...)
			require.Len(t, payload, size)
			got, err := p.job(payload)
			require.NoError(t, err)
			require.Equal(t, job, got)
			for i := range payload {
				wrong := slices.Clone(payload)
				wrong[i] ^= 0x80
				_, err := p.job(wrong)
				require.Error(t, err, "byte %d", i)
			}
			_, err = p.job(payload[1:])
			require.Error(t, err)
			_, err = newPayloads(size).job(payload)
			require.Error(t, err, "of another measurement")
		}
	}
}

func TestLedgerGivesOutEachNumberOnce(t *testing.T) {
	t.Parallel()
	const jobs = pageSize + 10
	l := newLedger(jobs)
	var group sync.WaitGroup
	for range 4 {
		group.Go(func() {
			for job, ok := l.take(); ok; job, ok = l.take() {
				l.answer(job)
			}
		})
	}
	group.Wait()
	require.Equal(t, jobs, l.submitted())
	for job := range jobs {
		require.EqualValues(t, 1, l.record(job).answers.Load())
	}
}

func TestLedgerFindsWhatIsMissing(t *testing.T) {
	t.Parallel()
	l := newLedger(3)
	job, ok := l.take()
	require.True(t, ok)
	l.stop()
	_, ok = l.take()
	require.False(t, ok)
	require.Equal(t, 1, l.submitted())

	require.ErrorIs(t, l.verify(1), ErrAnswers)
	l.answer(job)
	require.ErrorIs(t, l.verify(1), ErrExecutions)
	require.ErrorIs(t, l.verify(2), ErrAnswers)
	require.NoError(t, l.execute(job, l.hash([]byte("H:1"))))
	require.ErrorIs(t, l.verify(1), ErrHandle)
	require.NoError(t, l.create(job, l.hash([]byte("H:1"))))
	require.NoError(t, l.verify(1))
	require.ErrorIs(t, l.create(job, l.hash([]byte("H:2"))), ErrHandle)
	require.ErrorIs(t, l.execute(job+1, 1), ErrPayload, "of a job that was not submitted")
}

func TestGaugeWakesTheOneWhoWaits(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := newGauge()
		var group sync.WaitGroup
		for i := range 10 {
			group.Go(func() {
				time.Sleep(time.Duration(i) * time.Second)
				g.up()
			})
		}
		start := time.Now()
		require.NoError(t, g.await(t.Context(), 0))
		require.NoError(t, g.await(t.Context(), 5))
		require.Equal(t, 4*time.Second, time.Since(start))
		require.NoError(t, g.await(t.Context(), 10))
		require.Equal(t, 9*time.Second, time.Since(start))
		group.Wait()

		g.down()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		require.ErrorIs(t, g.await(ctx, 10), context.DeadlineExceeded)
	})
}

func TestServerAddresses(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ server, network, addr string }{
		{"127.0.0.1:4999", "tcp", "127.0.0.1:4999"},
		{"queue.example", "tcp", "queue.example:4730"},
		{"[::1]:4731", "tcp", "[::1]:4731"},
		{"[::1]", "tcp", "[::1]:4730"},
		{"unix:/run/gearman.sock", "unix", "/run/gearman.sock"},
	} {
		network, addr := Config{Server: test.server}.target()
		require.Equal(t, test.network, network)
		require.Equal(t, test.addr, addr)
	}
}

// An inbox finds the same packets however their bytes arrive.
func TestInboxDecodesAnyCut(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		sizes := rapid.SliceOfN(rapid.IntRange(0, 3*readSize), 1, 5).Draw(t, "sizes")
		var stream []byte
		for i, size := range sizes {
			payload := slices.Repeat([]byte{byte(i)}, size)
			stream = protocol.AppendPacket(stream, protocol.Response, protocol.WorkComplete, []byte("H:1"), payload)
		}
		piece := rapid.IntRange(1+len(stream)/1000, 2*readSize).Draw(t, "piece")
		b := inbox{src: &pieces{stream, piece}, limit: 3*readSize + packetSlack}
		for i, size := range sizes {
			p := readPacket(t, &b)
			require.Equal(t, protocol.WorkComplete, p.Type)
			require.Equal(t, "H:1", string(p.Arg(0)))
			require.Len(t, p.Arg(1), size)
			require.Equal(t, size, bytes.Count(p.Arg(1), []byte{byte(i)}))
		}
		require.ErrorIs(t, b.fill(), io.EOF)
	})
}

func readPacket(t *rapid.T, b *inbox) protocol.Packet {
	for {
		p, ok, err := b.next()
		require.NoError(t, err)
		if ok {
			return p
		}
		require.NoError(t, b.fill())
	}
}

// pieces gives so many bytes of a stream with each read.
type pieces struct {
	stream []byte
	piece  int
}

func (p *pieces) Read(b []byte) (int, error) {
	if len(p.stream) == 0 {
		return 0, io.EOF
	}
	n := copy(b, p.stream[:min(p.piece, len(p.stream))])
	p.stream = p.stream[n:]
	return n, nil
}

func TestInboxRefuses(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		packet []byte
		want   error
	}{
		{[]byte("HTTP/1.1 400"), protocol.ErrMagic},
		{protocol.AppendHeader(nil, protocol.Response, protocol.WorkComplete, 1001), protocol.ErrTooLarge},
		{protocol.AppendHeader(nil, protocol.Response, 99, 0), protocol.ErrType},
		{protocol.AppendPacket(nil, protocol.Response, protocol.JobAssign, []byte("no handle")), protocol.ErrArguments},
	} {
		b := inbox{src: bytes.NewReader(test.packet), limit: 1000}
		require.NoError(t, b.fill())
		_, ok, err := b.next()
		require.False(t, ok)
		require.ErrorIs(t, err, test.want)
	}
}

// A large tail is not copied, and comes after what was sent before it.
func TestPeerSendsInOrder(t *testing.T) {
	t.Parallel()
	near, far := net.Pipe()
	defer far.Close()
	p := newPeer("client 0", near, 64)
	large := make([]byte, 1<<16)
	done := make(chan error, 1)
	go func() {
		defer near.Close()
		_ = p.send(16, nil, []byte("small"))
		done <- p.send(13, large, []byte("H:1"), nil)
	}()
	var got []byte
	buffer := make([]byte, 1<<20)
	for {
		n, err := far.Read(buffer)
		got = append(got, buffer[:n]...)
		if err != nil {
			break
		}
	}
	require.NoError(t, <-done)
	require.Len(t, got, 12+5+12+4+len(large))
	require.Equal(t, "small", string(got[12:17]))
	require.Equal(t, "H:1\x00", string(got[29:33]))
}
