package gearman

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"
)

func TestLinkJoinsWrites(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		near, far := net.Pipe()
		l := newLink(near, 0)
		post := func(s string) { require.NoError(t, l.post(func(b []byte) []byte { return append(b, s...) })) }
		post("a")
		synctest.Wait() // the writer is in its write of "a", which nobody reads
		post("b")
		post("c")
		buf := make([]byte, 10)
		n, err := far.Read(buf)
		require.NoError(t, err)
		require.Equal(t, "a", string(buf[:n]))
		n, err = far.Read(buf)
		require.NoError(t, err)
		require.Equal(t, "bc", string(buf[:n]))
		require.NoError(t, l.flush(t.Context()))
		require.ErrorIs(t, l.close(io.EOF), io.EOF)
		require.ErrorIs(t, l.post(nil), io.EOF)
	})
}

func TestLinkBoundsWhatIsUnsent(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		near, far := net.Pipe()
		l := newLink(near, 0)
		fill := func(n int) func([]byte) []byte { return func(b []byte) []byte { return append(b, make([]byte, n)...) } }
		require.NoError(t, l.send(t.Context(), fill(1)))
		synctest.Wait()
		require.NoError(t, l.send(t.Context(), fill(maxUnsent+1)))
		ctx, cancel := context.WithCancelCause(t.Context())
		var group sync.WaitGroup
		reason := errors.New("reason")
		group.Go(func() { require.ErrorIs(t, l.send(ctx, fill(1)), reason) })
		synctest.Wait()
		cancel(reason)
		group.Wait()

		group.Go(func() { require.NoError(t, l.send(t.Context(), fill(1))) })
		group.Go(func() { require.ErrorIs(t, l.flush(t.Context()), net.ErrClosed) })
		synctest.Wait()
		_, err := io.ReadFull(far, make([]byte, 2))
		require.NoError(t, err)
		synctest.Wait()
		l.close(net.ErrClosed)
		group.Wait()
	})
}

func TestLinkEndsWithItsPeer(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		near, far := net.Pipe()
		l := newLink(near, 0)
		far.Close()
		_, err := l.in.Read()
		require.ErrorIs(t, err, io.EOF)
		require.NoError(t, l.post(func(b []byte) []byte { return append(b, 1) }))
		synctest.Wait()
		require.Error(t, l.flush(t.Context()))
		require.Error(t, l.close(nil))
	})
}
