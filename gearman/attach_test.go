package gearman

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/geartrain/geartrain/gearman/protocol"
)

func TestAttach(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := extendedServer(t)
		c := f.client()
		set := c.NewTaskSet(t.Context())
		var data string
		future := set.Attach(Task{Function: "f", Key: "k", OnData: func(p []byte) { data += string(p) }})
		s := f.accept()
		args := s.expect(protocol.AttachJob)
		require.Equal(t, []string{"f", "k"}, []string{string(args[0]), string(args[1])})
		s.send(protocol.JobCreated, "H:1")
		s.send(protocol.WorkData, "H:1", "half")
		s.send(protocol.WorkComplete, "H:1", "whole")
		result, err := future.Wait(t.Context())
		require.NoError(t, err)
		require.Equal(t, []string{"half", "whole"}, []string{data, string(result)})

		future = set.Attach(Task{Function: "f", Key: "none", Retry: Retry{Attempts: 9}})
		s.expect(protocol.AttachJob)
		s.send(protocol.Error, protocol.CodeJobNotFound, "")
		_, err = future.Wait(t.Context())
		require.ErrorIs(t, err, ErrNoJob)

		for _, key := range []string{"", "-", "a\x00b"} {
			_, err = c.Attach(t.Context(), Task{Function: "f", Key: key})
			require.ErrorIs(t, err, ErrInvalidTask)
		}
	})
}

// Nothing is submitted to a stock server unless it knows the key.
func TestAttachToAStockServer(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFakeServer(t)
		set := f.client().NewTaskSet(t.Context())
		here := set.Attach(Task{Function: "f", Key: "here"})
		gone := set.Attach(Task{Function: "f", Key: "gone"})
		s := f.accept()
		require.Equal(t, "here", string(s.expect(protocol.GetStatusUnique)[0]))
		require.Equal(t, "gone", string(s.expect(protocol.GetStatusUnique)[0]))
		s.send(protocol.StatusResUnique, "here", "1", "1", "0", "0", "1")
		function, key, payload := s.take("H:1")
		require.Equal(t, []string{"f", "here", ""}, []string{function, key, payload})
		s.send(protocol.StatusResUnique, "gone", "0", "0", "0", "0", "0")
		s.send(protocol.WorkComplete, "H:1", "result")
		result, err := here.Wait(t.Context())
		require.NoError(t, err)
		require.Equal(t, "result", string(result))
		_, err = gone.Wait(t.Context())
		require.ErrorIs(t, err, ErrNoJob)

		// Perl's server does not know the question.
		odd := set.Attach(Task{Function: "f", Key: "odd"})
		s.expect(protocol.GetStatusUnique)
		s.send(protocol.Error, "server_error", "Can't locate object method")
		_, err = odd.Wait(t.Context())
		require.Error(t, err)
		require.NotErrorIs(t, err, ErrNoJob)
	})
}

// What is attached looks again after a lost connection: its job may be durable, or be submitted again
// by its own client in a moment.
func TestAttachOverLostConnections(t *testing.T) {
	t.Parallel()
	for name, extended := range map[string]bool{"geartrain": true, "stock": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				f := newFakeServer(t)
				f.extended = extended
				set := f.client().NewTaskSet(t.Context())
				ask := func(s *fakeConn, known bool) {
					switch {
					case extended && known:
						s.expect(protocol.AttachJob)
						s.send(protocol.JobCreated, "H:1")
					case extended:
						s.expect(protocol.AttachJob)
						s.send(protocol.Error, protocol.CodeJobNotFound, "")
					case known:
						s.expect(protocol.GetStatusUnique)
						s.send(protocol.StatusResUnique, "k", "1", "0", "0", "0", "1")
						s.take("H:1")
					default:
						s.expect(protocol.GetStatusUnique)
						s.send(protocol.StatusResUnique, "k", "0", "0", "0", "0", "0")
					}
				}
				future := set.Attach(Task{Function: "f", Key: "k"})
				f.accept().conn.Close() // before the answer
				s := f.accept()
				ask(s, true)
				s.conn.Close()
				s = f.accept()
				ask(s, false) // its client has not come back yet
				ask(s, true)
				s.send(protocol.WorkComplete, "H:1", "result")
				_, err := future.Wait(t.Context())
				require.NoError(t, err)

				future = set.Attach(Task{Function: "f", Key: "k"})
				ask(s, true)
				s.conn.Close()
				s = f.accept()
				began := time.Now()
				for range maxSearches + 1 {
					ask(s, false)
				}
				_, err = future.Wait(t.Context())
				require.ErrorIs(t, err, ErrNoJob)
				require.ErrorIs(t, err, ErrJobLost)
				require.Less(t, time.Since(began), 10*time.Second)
			})
		})
	}
}

func TestFindIsPipelined(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := extendedServer(t)
		c := f.client()
		type answer struct {
			found []Found
			err   error
		}
		answers := make(chan answer)
		go func() {
			found, err := c.FindAll(t.Context(), "f", []string{"a", "b", "a"})
			answers <- answer{found, err}
		}()
		s := f.accept()
		for _, key := range []string{"a", "b", "a"} {
			args := s.expect(protocol.FindJob)
			require.Equal(t, []string{"f", key}, []string{string(args[0]), string(args[1])})
		}
		s.send(protocol.FindRes, "f", "a", "running", "1500")
		s.send(protocol.FindRes, "f", "b", "none", "0")
		s.send(protocol.FindRes, "f", "a", "retained", "junk")
		got := <-answers
		require.NoError(t, got.err)
		require.Equal(t, []Found{{JobRunning, 1500 * time.Millisecond}, {JobNone, 0}, {JobRetained, 0}}, got.found)

		_, err := c.Find(t.Context(), "f", "a\x00b")
		require.ErrorIs(t, err, ErrInvalidTask)
		go func() {
			_, err := c.Find(t.Context(), "f", "a")
			answers <- answer{err: err}
		}()
		s.expect(protocol.FindJob)
		s.conn.Close()
		require.ErrorIs(t, (<-answers).err, ErrConnectionLost)
	})
}

func TestFindAndCancelOnAStockServer(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFakeServer(t)
		c := f.client()
		errs := make(chan error)
		go func() {
			found, err := c.FindAll(t.Context(), "f", []string{"a", "b", "c"})
			require.Equal(t, []Found{{State: JobQueued}, {State: JobRunning}, {State: JobNone}}, found)
			errs <- err
		}()
		s := f.accept()
		for range 3 {
			s.expect(protocol.GetStatusUnique)
		}
		s.send(protocol.StatusResUnique, "a", "1", "0", "0", "0", "1")
		s.send(protocol.StatusResUnique, "b", "1", "1", "0", "0", "1")
		s.send(protocol.StatusResUnique, "c", "0", "0", "0", "0", "0")
		require.NoError(t, <-errs)

		_, err := c.CancelKey(t.Context(), "f", "k")
		require.ErrorIs(t, err, ErrUnsupported)
		for _, status := range []struct {
			known, running string
			state          JobState
			err            error
		}{{"0", "0", JobNone, nil}, {"1", "1", "", ErrUnsupported}} {
			go func() {
				state, err := c.Cancel(t.Context(), Handle{"fake", "H:1"})
				require.Equal(t, status.state, state)
				errs <- err
			}()
			s.expect(protocol.GetStatus)
			s.send(protocol.StatusRes, "H:1", status.known, status.running, "0", "0")
			require.ErrorIs(t, <-errs, status.err)
		}

		go func() {
			_, err := c.Find(t.Context(), "f", "a")
			errs <- err
		}()
		s.expect(protocol.GetStatusUnique)
		s.send(protocol.Error, "server_error", "")
		require.ErrorIs(t, <-errs, ErrUnsupported)
	})
}

func TestCancelJobs(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := extendedServer(t)
		c := f.client()
		type answer struct {
			state JobState
			err   error
		}
		answers := make(chan answer)
		ask := func(cancel func() (JobState, error)) {
			go func() {
				state, err := cancel()
				answers <- answer{state, err}
			}()
		}
		ask(func() (JobState, error) { return c.CancelKey(t.Context(), "f", "k") })
		s := f.accept()
		args := s.expect(protocol.CancelKey)
		require.Equal(t, []string{"f", "k"}, []string{string(args[0]), string(args[1])})
		s.send(protocol.CancelRes, "k", "queued")
		require.Equal(t, answer{state: JobQueued}, <-answers)

		ask(func() (JobState, error) { return c.Cancel(t.Context(), Handle{"fake", "H:1"}) })
		require.Equal(t, "H:1", string(s.expect(protocol.CancelJob)[0]))
		s.send(protocol.CancelRes, "H:1", "none")
		require.Equal(t, answer{state: JobNone}, <-answers)

		_, err := c.Cancel(t.Context(), Handle{"elsewhere", "H:1"})
		require.Error(t, err)
		ctx, cancel := context.WithCancelCause(t.Context())
		reason := errors.New("enough")
		ask(func() (JobState, error) { return c.CancelKey(ctx, "f", "k") })
		s.expect(protocol.CancelKey)
		cancel(reason)
		require.ErrorIs(t, (<-answers).err, reason)
	})
}

// An ERROR answers the oldest request that has no answer.
func TestErrorsAnswerInOrder(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := extendedServer(t)
		c := f.client()
		set := c.NewTaskSet(t.Context())
		s := startAndConnect(t, f, set)
		first := set.Add(Task{Function: "f"})
		s.expect(protocol.SubmitJob)
		errs := make(chan error)
		go func() {
			_, err := c.Find(t.Context(), "f", "k")
			errs <- err
		}()
		s.expect(protocol.FindJob)
		second := set.Add(Task{Function: "f"})
		s.expect(protocol.SubmitJob)
		s.send(protocol.Error, "ONE", "")
		s.send(protocol.Error, "TWO", "")
		s.send(protocol.Error, "THREE", "")
		_, err := first.Wait(t.Context())
		require.ErrorContains(t, err, "ONE")
		require.ErrorContains(t, <-errs, "TWO")
		_, err = second.Wait(t.Context())
		require.ErrorContains(t, err, "THREE")
	})
}
