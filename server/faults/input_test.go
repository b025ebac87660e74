//go:build linux

package faults_test

import (
	"io"
	"math"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/geartrain/geartrain/gearman/protocol"
)

// garbage is a mixture of right packets, wrong ones, cut ones, admin lines and noise.
func garbage(seed uint64) []byte {
	r := rand.New(rand.NewPCG(seed, 2))
	noise := func(n int) []byte {
		b := make([]byte, r.IntN(n))
		for i := range b {
			b[i] = byte(r.Uint32())
		}
		return b
	}
	lines := []string{"status", "workers", "show jobs", "show unique jobs", "prioritystatus", "maxqueue f 1000", "cancel job x",
		"create function f", "drop function f", "dead letters", "show dead x", "verbose", "getpid", "version", strings.Repeat("x", 5000)}
	var b []byte
	for range 300 {
		switch r.IntN(7) {
		case 0:
			b = append(b, noise(50)...)
		case 1:
			b = append(b, lines[r.IntN(len(lines))]+[]string{"\n", "\r\n", "", "\x00"}[r.IntN(4)]...)
		case 2:
			body := noise(80)
			b = protocol.AppendHeader(b, protocol.Request, protocol.Type(r.IntN(60)), len(body))
			b = append(b, body...)
		case 3:
			b = append(b, packet(protocol.SubmitJob, "f", string(noise(70)), "x")...)
		case 4:
			b = append(b, packet(protocol.Type(1+r.IntN(46)), "a", "b", "c", "d", "e")...)
		case 5:
			b = append(b, packet(protocol.GrabJobUniq)...)
		case 6:
			b = protocol.AppendHeader(b, protocol.Response, protocol.Type(r.IntN(50)), r.IntN(20))
		}
	}
	return b[:len(b)-r.IntN(20)]
}

// Whatever comes in, half of it from peers that close their writing side and wait for the rest.
func TestGarbage(t *testing.T) {
	t.Parallel()
	p := start(t, "--log-level", "debug")
	by := watch(t, p)
	base := p.memory(t)
	inSteps(size(40, 1500), 20, func(i int) {
		c := reach(t, p)
		if c == nil {
			return
		}
		defer c.Close()
		if _, err := c.Write(garbage(uint64(i))); err != nil {
			return // the server has closed it already
		}
		if i%2 == 0 && c.CloseWrite() == nil {
			_, _ = io.Copy(io.Discard, c) // what counts is that it ends
		}
	})
	by.unimpressed(t)
	p.unharmed(t)
	require.Less(t, p.memory(t)-base, 64<<20)
	p.quit(t)
}

// Headers that announce far more than follows: nothing is taken for bytes that have not come, and what
// is over the limit is refused.
func TestClaims(t *testing.T) {
	t.Parallel()
	p := start(t)
	by := watch(t, p)
	base := p.memory(t)
	var held []*peer
	for i := range size(150, 2000) {
		claim := []int{math.MaxUint32, 1 << 30, 60 << 20}[i%3]
		c := dial(t, p)
		c.raw(append(protocol.AppendHeader(nil, protocol.Request, protocol.SubmitJobBg, claim), "function"...))
		if claim > protocol.DefaultMaxPacket {
			require.Contains(t, c.expect(protocol.Error)[0], "PACKET_TOO_LARGE")
			_, _ = io.Copy(io.Discard, c) // up to its end
			c.Close()
			continue
		}
		held = append(held, c)
	}
	require.Less(t, p.memory(t)-base, 32<<20)
	by.unimpressed(t)
	p.unharmed(t)
	for _, c := range held {
		c.Close()
	}
	p.quit(t)
}

// Packets that never get whole are given up.
func TestHalfPackets(t *testing.T) {
	t.Parallel()
	p := start(t, "--read-timeout", "500ms")
	by := watch(t, p)
	files := p.descriptors(t)
	whole := packet(protocol.SubmitJob, "f", "key", strings.Repeat("x", 1000))
	var peers []*peer
	for i := range size(50, 1000) {
		c := dial(t, p)
		c.raw(whole[:1+i%(len(whole)-1)])
		peers = append(peers, c)
	}
	for _, c := range peers {
		_, err := io.Copy(io.Discard, c) // an ERROR may come first
		require.NoError(t, err)
		c.Close()
	}
	by.unimpressed(t)
	await(t, "their descriptors are back", func() bool { return p.descriptors(t) <= files })
	p.unharmed(t)
}

// Clients that ask for much and read nothing: their worker does not wait for them, and there is an end
// to what is kept.
func TestSlowReaders(t *testing.T) {
	t.Parallel()
	const budget = 48 << 20
	p := start(t, "--max-memory", "48MiB", "--max-outbox", "2MiB")
	by := watch(t, p, "LIMIT_EXCEEDED")
	base := p.memory(t)
	worker := dial(t, p)
	worker.send(protocol.CanDo, "big")
	var working sync.WaitGroup
	working.Go(func() { serve(worker.TCPConn) })
	defer working.Wait()
	defer worker.Close()
	inSteps(size(12, 100), 12, func(int) {
		c := reach(t, p)
		if c == nil {
			return
		}
		_ = c.SetReadBuffer(4096) // the smaller the better
		ask := packet(protocol.SubmitJob, "big", "", strings.Repeat("x", 64<<10))
		for range 60 {
			if _, err := c.Write(ask); err != nil {
				return // closed, for what it does not read
			}
		}
	})
	await(t, "the worker is through", func() bool { return p.status(t, "big") == "0\t0\t1" })
	require.Less(t, p.memory(t)-base, budget*3/2)
	by.unimpressed(t)
	p.unharmed(t)
}

// inSteps calls f for each number below n, some of them at once.
func inSteps(n, atOnce int, f func(i int)) {
	numbers := make(chan int, n)
	for i := range n {
		numbers <- i
	}
	close(numbers)
	var running sync.WaitGroup
	for range atOnce {
		running.Go(func() {
			for i := range numbers {
				f(i)
			}
		})
	}
	running.Wait()
}
