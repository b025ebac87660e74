package server_test

import (
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/geartrain/geartrain/gearman/protocol"
	"github.com/geartrain/geartrain/server"
	"github.com/geartrain/geartrain/server/servertest"
)

// These tests run over pipes in bubbles: their minutes take no time, and are exact.

// closesAfter is how long from now the server keeps the connection open.
func (p *peer) closesAfter() time.Duration {
	p.t.Helper()
	start := time.Now()
	_ = p.SetReadDeadline(time.Time{}) // a closed pipe has no deadlines any more
	_, err := p.reader.Read()
	require.Error(p.t, err)
	return time.Since(start)
}

func TestHalfAPacketTimesOut(t *testing.T) {
	t.Parallel()
	for name, half := range map[string][]byte{
		"half a magic":  []byte("\x00R"),
		"half a header": packet(protocol.EchoReq, "x")[:9],
		"half a body":   packet(protocol.EchoReq, "long enough")[:15],
		"half a line":   []byte("stat"),
		"a large body":  packet(protocol.EchoReq, string(make([]byte, 60<<10)))[:40<<10],
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := servertest.Pipe(t)
				p := dial(t, s)
				p.echo()
				p.raw(half)
				require.Equal(t, 30*time.Second, p.closesAfter())
				require.EqualValues(t, 1, s.Snapshot().Counters.Timeouts)
			})
		})
	}
}

func TestDripDoesNotProlongTheTimeout(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := dial(t, servertest.Pipe(t))
		start := time.Now()
		for _, b := range packet(protocol.EchoReq, string(make([]byte, 100))) {
			if _, err := p.Write([]byte{b}); err != nil {
				break
			}
			time.Sleep(700 * time.Millisecond)
		}
		p.closed()
		require.Equal(t, 30*time.Second, time.Since(start).Round(time.Second))
	})
}

func TestSlowButSteadyBodyArrives(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := dial(t, servertest.Pipe(t))
		body := packet(protocol.EchoReq, string(make([]byte, 1<<20)))
		for len(body) > 0 {
			n := min(len(body), 64<<10)
			p.raw(body[:n])
			body = body[n:]
			time.Sleep(20 * time.Second)
		}
		p.expect(protocol.EchoRes)
	})
}

func TestIdleTimeoutIsForStrangersOnly(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := servertest.Pipe(t, func(c *server.Config) { c.IdleTimeout = time.Minute })
		stranger, worker := dial(t, s), dial(t, s)
		worker.send(protocol.CanDo, "f")
		worker.echo()
		require.Equal(t, time.Minute, stranger.closesAfter())
		time.Sleep(24 * time.Hour)
		worker.echo()
	})
}

func TestIdleConnectionsStay(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := dial(t, servertest.Pipe(t))
		time.Sleep(24 * time.Hour)
		p.echo()
	})
}

func TestAttemptTimesOutToTheMillisecond(t *testing.T) {
	t.Parallel()
	for limit, want := range map[string]time.Duration{
		"250": 250 * time.Millisecond, "100": 100 * time.Millisecond,
		"99": time.Second, "5": time.Second, "1.5": time.Second, // whoever sent that meant seconds
	} {
		t.Run(limit, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) { timesOut(t, limit, want) })
		})
	}
}

// timesOut has a worker run out of the time that it announced.
func timesOut(t *testing.T, limit string, want time.Duration) {
	s := servertest.Pipe(t)
	slow, other, client := dial(t, s), dial(t, s), dial(t, s)
	slow.send(protocol.CanDoTimeout, "f", limit)
	slow.echo()
	h := client.submit("f", "", "x")
	slow.send(protocol.GrabJob)
	slow.expect(protocol.JobAssign)

	start := time.Now()
	other.send(protocol.CanDo, "f")
	other.send(protocol.PreSleep)
	other.expect(protocol.Noop)
	require.Equal(t, want, time.Since(start))
	other.send(protocol.GrabJob)
	other.expect(protocol.JobAssign, h)
	slow.send(protocol.WorkComplete, h, "late")
	slow.quiet()
	other.send(protocol.WorkComplete, h, "in time")
	client.expect(protocol.WorkComplete, h, "in time")
}

func TestScheduledJobWakesAWorker(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := servertest.Pipe(t)
		worker, client := dial(t, s), dial(t, s)
		worker.send(protocol.CanDo, "f")
		worker.send(protocol.PreSleep)
		worker.echo()
		due := time.Now().Add(90 * time.Second).Truncate(time.Second)
		client.send(protocol.SubmitJobEpoch, "f", "", formatUnix(due), "x")
		client.expect(protocol.JobCreated)
		require.NoError(t, worker.SetReadDeadline(time.Time{}))
		p, err := worker.reader.Read()
		require.NoError(t, err)
		require.Equal(t, protocol.Noop, p.Type)
		require.Equal(t, due, time.Now().Truncate(time.Second))
	})
}

func TestDrainDeliversWhatRuns(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := servertest.Pipe(t)
		worker, client := dial(t, s), dial(t, s)
		worker.send(protocol.CanDo, "f")
		worker.echo()
		h := client.submit("f", "", "runs")
		client.submit("f", "", "waits")
		worker.send(protocol.GrabJob)
		worker.expect(protocol.JobAssign, h)

		done := make(chan error, 1)
		go func() { done <- s.Drain() }()
		synctest.Wait()
		require.True(t, s.Snapshot().Draining)
		_, err := s.Dial(t.Context(), "", "")
		require.ErrorIs(t, err, net.ErrClosed)
		client.send(protocol.SubmitJobBg, "f", "", "late")
		client.expect(protocol.Error, protocol.CodeShuttingDown)
		worker.send(protocol.GrabJob)
		worker.expect(protocol.NoJob)
		worker.send(protocol.PreSleep)
		worker.quiet() // there is a job, but no NOOP for it

		time.Sleep(29 * time.Second)
		worker.send(protocol.WorkComplete, h, "result")
		client.expect(protocol.WorkComplete, h, "result")
		require.NoError(t, <-done)
		client.closed()
		worker.closed()
	})
}

func TestDrainEndsAtItsTimeout(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := servertest.Pipe(t, func(c *server.Config) { c.DrainTimeout = 7 * time.Second })
		worker, client := dial(t, s), dial(t, s)
		worker.send(protocol.CanDo, "f")
		worker.echo()
		client.submit("f", "", "x")
		worker.send(protocol.GrabJob)
		worker.expect(protocol.JobAssign)
		start := time.Now()
		require.NoError(t, s.Drain())
		require.Equal(t, 7*time.Second, time.Since(start))
	})
}

func TestDrainDoesNotWaitForBackgroundJobsOrTheDead(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := servertest.Pipe(t)
		worker, client, gone := dial(t, s), dial(t, s), dial(t, s)
		worker.send(protocol.CanDo, "f")
		worker.echo()
		client.send(protocol.SubmitJobBg, "f", "", "x")
		client.expect(protocol.JobCreated)
		worker.send(protocol.GrabJob)
		worker.expect(protocol.JobAssign)
		gone.submit("f", "", "y")
		worker.send(protocol.GrabJob)
		worker.expect(protocol.JobAssign)

		done := make(chan error, 1)
		go func() { done <- s.Drain() }()
		start := time.Now()
		time.Sleep(time.Second)
		gone.Close()
		require.NoError(t, <-done)
		require.Equal(t, time.Second, time.Since(start))
	})
}

func TestCloseEndsADrain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := servertest.Pipe(t)
		worker, client := dial(t, s), dial(t, s)
		worker.send(protocol.CanDo, "f")
		worker.echo()
		client.submit("f", "", "x")
		worker.send(protocol.GrabJob)
		worker.expect(protocol.JobAssign)
		done := make(chan error, 1)
		go func() { done <- s.Drain() }()
		time.Sleep(time.Second)
		require.NoError(t, s.Close())
		require.NoError(t, <-done)
		client.closed()
	})
}

func TestAPeerThatReadsNothingCannotHoldTheEnd(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := servertest.Pipe(t)
		p := dial(t, s)
		p.raw([]byte("status\n")) // a pipe has no buffer: the answer waits in the outbox
		p.raw([]byte("\x00BAD"))
		time.Sleep(time.Minute)
		require.Zero(t, s.Snapshot().Connections)
		require.NoError(t, s.Drain())
	})
}
