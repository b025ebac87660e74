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

// started waits for a helper and returns what waits for its end.
func (w *witness) started() (gone func()) {
	conn, err := w.Accept()
	require.NoError(w.t, err)
	_, err = io.ReadFull(conn, make([]byte, 1))
	require.NoError(w.t, err)
	return func() {
		defer conn.Close()
		require.NoError(w.t, conn.SetReadDeadline(time.Now().Add(10*time.Second)))
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
		{"hang"},           // ignores SIGTERM
		{"polite"},         // exits 0 at SIGTERM, with half a result
		{"parent", "hang"}, // the program itself is gone, what it started ignores SIGTERM
	} {
		w := newWitness(t)
		c := program(argv[0], append(argv[1:], w.addr())...)
		c.Grace = 300 * time.Millisecond
		if argv[0] == "parent" {
			c.Grace = 3 * time.Second
		}
		cause := errors.New("enough")
		ctx, cancel := context.WithCancelCause(t.Context())
		end := inBackground(ctx, c)
		gone := w.started()
		begun := time.Now()
		cancel(cause)
		res, err := end()
		require.Less(t, time.Since(begun), 5*time.Second, argv)
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
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	_, err := c.Run(ctx, Input{})
	require.ErrorIs(t, err, context.DeadlineExceeded)
	w.started()()
}

func TestWhatAProgramLeavesBehindIsKilled(t *testing.T) {
	t.Parallel()
	w := newWitness(t)
	c := program("parent", "hang", w.addr())
	c.Grace = 2 * time.Second // for which the child holds the output open
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
