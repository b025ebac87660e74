package server_test

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/geartrain/geartrain/gearman/protocol"
	"github.com/geartrain/geartrain/server"
	"github.com/geartrain/geartrain/server/queue"
	"github.com/geartrain/geartrain/server/servertest"
)

// extended is a client that has asked for the packets of tasks.
func extended(t *testing.T, s *servertest.Server) *peer {
	p := dial(t, s)
	p.send(protocol.OptionReq, protocol.OptionTasks)
	p.expect(protocol.OptionRes, protocol.OptionTasks)
	return p
}

func (p *peer) task(function, key string, options protocol.TaskOptions, payload string) {
	p.t.Helper()
	p.send(protocol.SubmitTask, function, key, string(options.Append(nil)), payload)
}

func TestTaskPacketsAreUnknownUnlessAskedFor(t *testing.T) {
	t.Parallel()
	p := dial(t, servertest.Pipe(t))
	for _, request := range [][]byte{
		packet(protocol.SubmitTask, "f", "k", "", "x"),
		packet(protocol.AttachJob, "f", "k"),
		packet(protocol.CancelJob, "H:test:1"),
		packet(protocol.CancelKey, "f", "k"),
		packet(protocol.LeaveJob, "H:test:1"),
		packet(protocol.FindJob, "f", "k"),
	} {
		p.raw(request)
		p.expect(protocol.Error, protocol.CodeInvalidCommand)
	}
	p.quiet()
}

func TestSubmitTask(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := servertest.Pipe(t)
		p := extended(t, s)
		p.task("f", "", protocol.TaskOptions{Background: true, Priority: -1}, "low")
		p.expect(protocol.JobCreated)
		p.task("f", "", protocol.TaskOptions{Priority: 1}, "high")
		h := p.expect(protocol.JobCreated)[0]
		p.task("f", "", protocol.TaskOptions{At: time.Now().Add(time.Hour)}, "later")
		later := p.expect(protocol.JobCreated)[0]
		p.send(protocol.SubmitTask, "f", "", "attempts=many", "x")
		p.expect(protocol.Error, protocol.CodeInvalidPacket)

		w := worker(t, s, "f")
		got, payload := w.work()
		require.Equal(t, h, got)
		require.Equal(t, "high", payload)
		w.send(protocol.WorkComplete, got, "done")
		p.expect(protocol.WorkComplete, h, "done")
		_, payload = w.work()
		require.Equal(t, "low", payload)
		w.send(protocol.GrabJob)
		w.expect(protocol.NoJob)
		require.Len(t, p.list("show scheduled"), 2)
		time.Sleep(time.Hour)
		synctest.Wait() // the server's clock has struck too
		got, _ = w.work()
		require.Equal(t, later, got)
	})
}

func TestLargeTask(t *testing.T) {
	t.Parallel()
	s := servertest.Pipe(t)
	p, w := extended(t, s), worker(t, s, "f")
	payload := strings.Repeat("x", 1<<20)
	p.task("f", "k", protocol.TaskOptions{Background: true}, payload)
	p.expect(protocol.JobCreated)
	_, got := w.work()
	require.True(t, payload == got)
}

func TestAttachFindAndCancel(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := &ward{}
		s := servertest.Pipe(t, with(d))
		p, q := extended(t, s), extended(t, s)
		q.send(protocol.AttachJob, "f", "k")
		q.expect(protocol.Error, protocol.CodeJobNotFound)
		q.send(protocol.FindJob, "f", "k")
		q.expect(protocol.FindRes, "f", "k", "none")
		p.send(protocol.SubmitJobBg, "f", "k", "x")
		h := p.expect(protocol.JobCreated)[0]
		q.send(protocol.AttachJob, "f", "k")
		q.expect(protocol.JobCreated, h)
		time.Sleep(3 * time.Second)
		p.send(protocol.FindJob, "f", "k")
		p.expect(protocol.FindRes, "f", "k", "queued", "3000")
		p.send(protocol.CancelKey, "f", "k")
		p.expect(protocol.CancelRes, "k", "queued")
		require.Zero(t, d.records(), "a cancelled job is cancelled for good")
		q.expect(protocol.WorkFail, h)
		p.send(protocol.CancelJob, h)
		p.expect(protocol.CancelRes, h, "none")

		p.background("f", "other", "x")
		require.Equal(t, "OK\r\n", p.admin("cancel key f other"))
		require.Equal(t, "ERR UNKNOWN_JOB\r\n", p.admin("cancel key f other"))
		require.Zero(t, d.records())
	})
}

// A minute after the end a second client gets the result at once, and no worker is woken.
func TestRetainedResults(t *testing.T) {
	t.Parallel()
	for name, length := range map[string]int{"short": 5, "long": 30_000} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				d := &ward{}
				retain := func(c *server.Config) {
					c.Queue.Policies = []queue.Policy{{Pattern: "f", Retain: 2 * time.Hour}}
				}
				s := servertest.Pipe(t, with(d), retain)
				p, w := dial(t, s), worker(t, s, "f")
				h := p.submit("f", "k", "x")
				got, _ := w.work()
				result := strings.Repeat("r", length)
				w.send(protocol.WorkComplete, got, result)
				p.expect(protocol.WorkComplete, h, result)
				w.send(protocol.PreSleep)
				time.Sleep(time.Minute)
				q := dial(t, s)
				require.Equal(t, h, q.submit("f", "k", "x"))
				q.expect(protocol.WorkComplete, h, result)
				require.Contains(t, q.list("show retained")[0], "f\tk\t")
				w.quiet()
				require.NoError(t, s.Drain())

				s = servertest.Pipe(t, with(d), retain)
				q = dial(t, s)
				require.Equal(t, h, q.submit("f", "k", "x"))
				q.expect(protocol.WorkComplete, h, result)
				time.Sleep(2 * time.Hour)
				require.NotEqual(t, h, q.submit("f", "k", "x"), "it has expired")
			})
		})
	}
}

func TestPauseAndResume(t *testing.T) {
	t.Parallel()
	s := servertest.Pipe(t)
	p, w := dial(t, s), worker(t, s, "f")
	w.echo()
	require.Equal(t, "OK\r\n", p.admin("pause f"))
	p.background("f", "", "x")
	w.send(protocol.GrabJob)
	w.expect(protocol.NoJob)
	w.send(protocol.PreSleep)
	w.echo()
	require.Equal(t, "OK\r\n", p.admin("resume f"))
	w.expect(protocol.Noop)
	w.work()
	require.Contains(t, p.admin("resume f"), "ERR")
	require.Contains(t, p.admin("pause"), "ERR")
}

// A key that is in use with another payload is told to who runs the server, with how often that was so; not for a
// pipeline's stage, whose key says itself what counts.
func TestConflictsAreLogged(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var log lineLog
		p := extended(t, servertest.Pipe(t, func(c *server.Config) { c.Logger = log.logger() }))
		p.background("f", "k", "x")
		p.background("f", "k", "x")
		p.task("f", "k", protocol.TaskOptions{Stage: "s"}, "y")
		p.expect(protocol.JobCreated)
		synctest.Wait()
		require.Equal(t, []string{""}, log.lines())
		p.background("f", "k", "z")
		p.task("f", "k", protocol.TaskOptions{Reject: true}, "z")
		p.expect(protocol.Error, protocol.CodeKeyConflict)
		synctest.Wait()
		require.Len(t, log.lines(), 2)
		require.Contains(t, log.lines()[0], `msg="key in use with another payload" peer=pipe function=f key=k conflicts=2`)
		require.Contains(t, log.lines()[1], "conflicts=3")
	})
}
