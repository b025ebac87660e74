//go:build unix

package command

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// When the end of this process closes the guard's input, the whole group goes, also what ignores every
// other signal. Closing the guard is the same to its shell.
func TestGuardEndsWhatIsLeft(t *testing.T) {
	t.Parallel()
	g := &Guard{}
	c := &Command{Argv: []string{"sh", "-c", "trap '' INT TERM HUP; echo >&2; sleep 1000; sleep 1000"}, Guard: g, Grace: time.Minute}
	lines := make(speaker, 8)
	c.Stderr = lines
	ended := make(chan error, 1)
	go func() {
		_, err := c.Run(context.Background(), Input{})
		ended <- err
	}()
	<-lines
	require.NoError(t, g.Close())
	err := <-ended
	var exit *ExitError
	require.ErrorAs(t, err, &exit)
	require.Equal(t, "killed", exit.Signal)
}

// What ended by itself is forgotten, in any order, and what never started is not noted.
func TestGuardForgets(t *testing.T) {
	t.Parallel()
	g := &Guard{}
	for range 3 {
		_, err := (&Command{Argv: []string{"true"}, Guard: g}).Run(t.Context(), Input{})
		require.NoError(t, err)
	}
	_, err := (&Command{Argv: []string{"/nowhere"}, Guard: g}).Run(t.Context(), Input{})
	require.Error(t, err)
	require.NoError(t, g.Close())
	require.Nil(t, g.cmd)
	require.NoError(t, (&Guard{}).Close())
}

// speaker tells of each line.
type speaker chan struct{}

func (s speaker) Write(p []byte) (int, error) {
	s <- struct{}{}
	return len(p), nil
}
