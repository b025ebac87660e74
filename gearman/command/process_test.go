//go:build unix

package command

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// patience is a limit for what hangs. Only a failing test ever waits so long.
const patience = time.Minute

// witness is connected to by helpers that hang; it sees them start and end.
type witness struct {
	net.Listener
	t *testing.T
}

func newWitness(t *testing.T) *witness {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { ln.Close() })
	return &witness{ln, t}
}

func (w *witness) addr() string { return w.Addr().String() }

// started waits for a helper and returns what waits for its end. One that was killed before it has spoken is none.
func (w *witness) started() (gone func()) {
	for {
		conn, err := w.Accept()
		require.NoError(w.t, err)
		if _, err = io.ReadFull(conn, make([]byte, 1)); err == nil {
			return w.end(conn)
		}
		conn.Close()
	}
}

// saw returns what waits for the end of a helper that has spoken; nil if none has.
func (w *witness) saw() (gone func()) {
	require.NoError(w.t, w.Listener.(*net.TCPListener).SetDeadline(time.Now().Add(time.Second/10)))
	conn, err := w.Accept()
	if err != nil {
		return nil
	}
	return w.end(conn)
}

func (w *witness) end(conn net.Conn) (gone func()) {
	return func() {
		defer conn.Close()
		require.NoError(w.t, conn.SetReadDeadline(time.Now().Add(patience)))
		_, _ = conn.Read(make([]byte, 1)) // its greeting, if that is still to be read
		_, err := conn.Read(make([]byte, 1))
		require.Error(w.t, err)
		require.NotErrorIs(w.t, err, os.ErrDeadlineExceeded, "the process is still there")
	}
}

// inBackground runs c and returns what waits for its end.
func inBackground(ctx context.Context, c *Command) (end func() (Result, error)) {
	type ended struct {
		Result
		error
	}
	done := make(chan ended, 1)
	go func() {
		res, err := c.Run(ctx, Input{})
		done <- ended{res, err}
	}()
	return func() (Result, error) { e := <-done; return e.Result, e.error }
}

func TestEndOfContextEndsTheGroup(t *testing.T) {
	t.Parallel()
	for _, argv := range [][]string{
		{"hang"},             // ignores SIGTERM
		{"polite"},           // exits 0 at SIGTERM, with half a result
		{"parent", "orphan"}, // the program itself is gone, what it started ignores SIGTERM
	} {
		w := newWitness(t)
		c := program(argv[0], append(argv[1:], w.addr())...)
		c.Grace = 300 * time.Millisecond
		if argv[0] == "parent" {
			c.Grace = 20 * time.Second // over which the end of the context goes
		}
		cause := errors.New("enough")
		ctx, cancel := context.WithCancelCause(t.Context())
		end := inBackground(ctx, c)
		gone := w.started()
		cancel(cause)
		res, err := end()
		require.ErrorIs(t, err, cause, argv)
		require.ErrorIs(t, err, context.Canceled, argv)
		require.Nil(t, res.Stdout)
		gone()
	}
}

func TestTimeout(t *testing.T) {
	t.Parallel()
	w := newWitness(t)
	c := program("hang", w.addr())
	c.Grace = -1
	for timeout := time.Second; ; timeout *= 2 {
		ctx, cancel := context.WithTimeout(t.Context(), timeout)
		_, err := c.Run(ctx, Input{})
		cancel()
		require.ErrorIs(t, err, context.DeadlineExceeded)
		if gone := w.saw(); gone != nil { // in all that time a busy machine may not have come so far
			gone()
			return
		}
	}
}

func TestWhatAProgramLeavesBehindIsKilled(t *testing.T) {
	t.Parallel()
	w := newWitness(t)
	c := program("parent", "hang", w.addr())
	c.Grace = 300 * time.Millisecond // for which the child holds the output open
	end := inBackground(t.Context(), c)
	gone := w.started()
	res, err := end()
	require.NoError(t, err)
	require.Equal(t, "parent", string(res.Stdout))
	gone()
}

func TestSignal(t *testing.T) {
	t.Parallel()
	_, err := program("kill-self").Run(t.Context(), Input{})
	var exit *ExitError
	require.ErrorAs(t, err, &exit)
	require.Equal(t, -1, exit.Code)
	require.ErrorContains(t, err, "ended by signal: killed")
}

func TestAProcessThatLeavesTheGroupDelaysNobody(t *testing.T) {
	t.Parallel()
	w := newWitness(t)
	c := program("parent", "escape", w.addr())
	c.Grace = 100 * time.Millisecond
	end := inBackground(t.Context(), c)
	gone := w.started()
	res, err := end()
	require.NoError(t, err)
	require.Equal(t, "parent", string(res.Stdout))
	w.Close()
	gone()
}
