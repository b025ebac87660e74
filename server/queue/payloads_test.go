package queue

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"
)

// follower is a [Payloads] that remembers.
type follower struct {
	kept  int
	again []bool
}

func (f *follower) Keep([]byte)                { f.kept++ }
func (f *follower) LetGo(_ []byte, again bool) { f.again = append(f.again, again) }

// An owned payload is let go once, and may be used again only where nobody else can have it.
func TestPayloadsAreFollowed(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		end   func(tb *table)
		again []bool
	}{
		"completed": {func(tb *table) {
			tb.quiet(canDo(2, "f"), &Grab{Peer: 2})
			tb.quiet(&Report{Peer: 2, Kind: Complete, Handle: []byte("H:1"), Data: []byte("x")})
		}, []bool{true}},
		"failed": {func(tb *table) {
			tb.quiet(canDo(2, "f"), &Grab{Peer: 2})
			tb.quiet(&Report{Peer: 2, Kind: Fail, Handle: []byte("H:1")})
		}, []bool{false}},
		"client gone": {func(tb *table) { tb.quiet(&Leave{Peer: 1}) }, []bool{false}},
		"worker lost": {func(tb *table) { tb.quiet(canDo(2, "f"), &Grab{Peer: 2}, &Leave{Peer: 2}) }, nil},
		"joined": {func(tb *table) {
			again := submit(3, "f", "key", string(bytes.Repeat([]byte("x"), 2000)))
			again.Owned = true
			tb.quiet(again)
		}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var f follower
			tb := newTable(t, Config{Payloads: &f})
			ev := submit(1, "f", "key", string(bytes.Repeat([]byte("x"), 2000)))
			ev.Owned = true
			tb.quiet(ev)
			c.end(tb)
			require.Equal(t, 1, f.kept)
			require.Equal(t, c.again, f.again)
		})
	}
}

// A dead letter has the payload that its job had.
func TestPayloadOfADeadLetterIsNotUsedAgain(t *testing.T) {
	t.Parallel()
	var f follower
	tb := newTable(t, Config{Payloads: &f, JobRetries: 1})
	ev := submit(1, "f", "key", string(bytes.Repeat([]byte("x"), 2000))).bg()
	ev.Owned = true
	tb.quiet(ev, canDo(2, "f"), &Grab{Peer: 2}, &Leave{Peer: 2})
	require.Equal(t, []bool{false}, f.again)
}
