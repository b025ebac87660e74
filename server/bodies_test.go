package server

import (
	"bytes"
	"net"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/geartrain/geartrain/gearman/protocol"
)

func TestBodyClasses(t *testing.T) {
	t.Parallel()
	for n := 1; n < 1<<32-1; n += 1 + n/7 {
		class, size := bodyClass(n)
		require.Less(t, class, bodyClasses)
		require.GreaterOrEqual(t, size, n)
		require.LessOrEqual(t, size, max(n+n/8+1, minBody+minBody/8), "of %d", n)
		again, same := bodyClass(size)
		require.Equal(t, []int{class, size}, []int{again, same}, "what was given comes back to where it is looked for")
	}
	class, _ := bodyClass(1<<32 - 1)
	require.Less(t, class, bodyClasses)
}

func TestBodiesAreLentUntilTheLastDrop(t *testing.T) {
	t.Parallel()
	b := newBodies()
	memory := b.get(40_000)
	part := memory[100:]
	b.lend(memory)
	b.hold(part)
	b.hold(part)
	b.drop(memory)
	b.drop(part)
	require.Len(t, b.lent, 1)
	b.drop(part)
	require.Empty(t, b.lent)
	b.drop(part) // of memory that is not lent
	b.hold(make([]byte, 40_000))
	require.Empty(t, b.lent)
}

func TestBodiesNobodyHeldAreForgotten(t *testing.T) {
	t.Parallel()
	b := newBodies()
	memory := b.get(40_000)
	b.lend(memory)
	b.drop(memory)
	require.Empty(t, b.lent)
	require.Nil(t, b.spare(40_000), "somebody may refer to it whom we do not know")
}

// What the queue kept goes round again, unless others may have it or an outbox still does.
func TestBodiesThatTheQueueKept(t *testing.T) {
	t.Parallel()
	for _, again := range []bool{true, false} {
		b := newBodies()
		memory := b.get(40_000)
		part := memory[100:]
		b.lend(memory)
		b.Keep(part)
		b.drop(memory) // the turn is over
		b.hold(part)   // by an outbox
		b.LetGo(part, again)
		require.Len(t, b.lent, 1)
		b.drop(part)
		require.Empty(t, b.lent)
		if !again {
			require.Nil(t, b.spare(40_000))
		}
		b.LetGo(part, again)
		b.Keep(nil)
		b.LetGo(nil, again)
	}
}

// An outbox gives a body back once, whether it was written, cut off in the middle or never tried.
func TestOutboxGivesBodiesBack(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(o *outbox, peer net.Conn){
		"written": func(_ *outbox, peer net.Conn) {
			p, err := protocol.NewReader(peer, protocol.Limits{MaxLine: -1}).Read()
			require.NoError(t, err)
			require.Equal(t, bytes.Repeat([]byte("b"), 40_000), p.Args[1])
		},
		"cut off": func(_ *outbox, peer net.Conn) {
			_, err := peer.Read(make([]byte, 5_000))
			require.NoError(t, err)
			peer.Close()
		},
		"closed": func(o *outbox, _ net.Conn) {
			o.close()
			o.conn.Close()
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			near, far := net.Pipe()
			defer near.Close()
			defer far.Close()
			b := newBodies()
			var o outbox
			var writers sync.WaitGroup
			cfg := Config{}.withDefaults()
			o.init(near, newLimits(&cfg, new(atomic.Int64)), b, writers.Go)
			body := b.get(40_000)
			copy(body, bytes.Repeat([]byte("b"), len(body)))
			b.lend(body)
			for range 3 {
				require.True(t, o.append(protocol.WorkComplete, [][]byte{[]byte("H:1"), body}, true))
			}
			b.drop(body)
			require.Len(t, b.lent, 1)
			o.flush()
			end(&o, far)
			if name == "written" {
				far.Close()
			}
			writers.Wait()
			o.close()
			require.Empty(t, b.lent)
		})
	}
}
