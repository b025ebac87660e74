package gearman_test

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/geartrain/geartrain/gearman"
	"github.com/geartrain/geartrain/server"
	"github.com/geartrain/geartrain/server/servertest"
)

func dialAdmin(t *testing.T, addr string) *gearman.Admin {
	a, err := gearman.DialAdmin(t.Context(), gearman.AdminConfig{Server: addr})
	require.NoError(t, err)
	t.Cleanup(func() { a.Close() })
	return a
}

func TestAdmin(t *testing.T) {
	t.Parallel()
	onServers(t, func(t *testing.T, addr string) {
		ctx := t.Context()
		a, client := dialAdmin(t, addr), newClient(t, addr)
		startWorker(t, addr, map[string]gearman.HandlerFunc{
			"work": func(context.Context, *gearman.Job) ([]byte, error) { return nil, nil },
		})
		_, err := client.Do(ctx, gearman.Task{Function: "work"})
		require.NoError(t, err)

		version, err := a.Version(ctx)
		require.NoError(t, err)
		require.NotEmpty(t, version)
		pid, err := a.PID(ctx)
		require.NoError(t, err)
		require.Positive(t, pid)

		require.NoError(t, a.CreateFunction(ctx, "made"))
		h, err := client.Submit(ctx, gearman.Task{Function: "made", Key: "a key", Priority: gearman.High})
		require.NoError(t, err)
		functions, err := a.Functions(ctx)
		require.NoError(t, err)
		require.Contains(t, functions, gearman.FunctionStatus{Function: "made", Jobs: 1})
		queues, err := a.Queues(ctx)
		require.NoError(t, err)
		require.Contains(t, queues, gearman.FunctionQueue{Function: "made", High: 1})
		jobs, err := a.Jobs(ctx)
		require.NoError(t, err)
		require.Equal(t, []gearman.JobStatus{{Handle: h.ID, Background: true}}, jobs)
		keys, err := a.Keys(ctx)
		require.NoError(t, err)
		require.Equal(t, []string{"a key"}, keys)
		workers, err := a.Workers(ctx)
		require.NoError(t, err)
		var names []string
		for _, w := range workers {
			require.Equal(t, "127.0.0.1", w.Address)
			names = append(names, w.Functions...)
		}
		require.Contains(t, names, "work")

		require.NoError(t, a.MaxQueue(ctx, "made", 1))
		_, err = client.Submit(ctx, gearman.Task{Function: "made", Priority: gearman.High})
		var refused *gearman.ServerError
		require.ErrorAs(t, err, &refused)
		require.NoError(t, a.MaxQueue(ctx, "made"))
		require.NoError(t, a.Cancel(ctx, h.ID))
		require.ErrorIs(t, a.Cancel(ctx, "H:nowhere:1"), gearman.ErrNotFound)
		require.ErrorIs(t, a.DropFunction(ctx, "nothing"), gearman.ErrNotFound)
		var adminError *gearman.AdminError
		require.ErrorAs(t, a.Shutdown(ctx), &adminError)
		require.Error(t, a.CreateFunction(ctx, "two\nlines"))
		_, err = a.Version(ctx)
		require.NoError(t, err, "refusals leave the connection as it is")
	})
}

func TestAdminDeadLetters(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t, func(c *server.Config) { c.Queue.JobRetries = 1 })
	ctx := t.Context()
	a, client := dialAdmin(t, s.Addr), newClient(t, s.Addr)
	h, err := client.Submit(ctx, gearman.Task{Function: "poison", Key: "k", Payload: []byte("x\ny"), Priority: gearman.Low})
	require.NoError(t, err)
	worker, err := net.Dial("tcp", s.Addr)
	require.NoError(t, err)
	_, err = io.WriteString(worker, "\x00REQ\x00\x00\x00\x01\x00\x00\x00\x06poison\x00REQ\x00\x00\x00\x09\x00\x00\x00\x00")
	require.NoError(t, err)
	_, err = io.ReadFull(worker, make([]byte, 12))
	require.NoError(t, err)
	worker.Close()
	require.Eventually(t, func() bool { return s.Snapshot().Levels.DeadLetters == 1 }, patience, time.Millisecond)

	all, err := a.DeadLetters(ctx)
	require.NoError(t, err)
	require.Len(t, all, 1)
	require.WithinDuration(t, time.Now(), all[0].Died, time.Minute)
	all[0].Died = time.Time{}
	require.Equal(t, gearman.DeadLetter{Handle: h.ID, Function: "poison", Key: "k", Attempts: 1, Size: 3}, all[0])

	d, err := a.DeadLetter(ctx, h.ID)
	require.NoError(t, err)
	require.Equal(t, []string{"low", `x\x0ay`}, []string{d.Priority, d.Payload})
	require.Len(t, d.History, 1)
	require.Equal(t, []any{1, "127.0.0.1", "worker lost"}, []any{d.History[0].Number, d.History[0].Worker, d.History[0].Reason})

	_, err = a.DeadLetter(ctx, "H:none:1")
	require.ErrorIs(t, err, gearman.ErrNotFound)
	require.ErrorIs(t, a.DropDead(ctx, "H:none:1"), gearman.ErrNotFound)
	require.NoError(t, a.RetryDead(ctx, h.ID))
	require.Equal(t, 1, s.Snapshot().Levels.Queued)
	require.ErrorIs(t, a.RetryDead(ctx, h.ID), gearman.ErrNotFound)
}

// answering is an admin connection to a server that answers everything with text.
func answering(t *testing.T, text string) *gearman.Admin {
	near, far := net.Pipe()
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, _ = far.Read(make([]byte, 1000))
		_, _ = io.WriteString(far, text) // the other end may have had enough
		far.Close()
	}()
	a, err := gearman.DialAdmin(t.Context(), gearman.AdminConfig{
		Dial: func(context.Context, string, string) (net.Conn, error) { return near, nil },
	})
	require.NoError(t, err)
	t.Cleanup(func() {
		a.Close()
		<-done
	})
	return a
}

func TestAdminReadsWhatServersSay(t *testing.T) {
	t.Parallel()
	workers, err := answering(t, "39 ::1 - :\n38 127.0.0.1 an id : with : a\nb c\n.\n").Workers(t.Context())
	require.NoError(t, err)
	require.Equal(t, []gearman.WorkerStatus{
		{Connection: 39, Address: "::1", Functions: []string{}},
		{Connection: 38, Address: "127.0.0.1", ID: "an id", Functions: []string{"with", ":", "a"}},
	}, workers, "a line that is none is not taken for one")
	functions, err := answering(t, "a\nb\tc\t1\t2\t3\n.\n").Functions(t.Context())
	require.NoError(t, err)
	require.Equal(t, []gearman.FunctionStatus{{"a\nb\tc", 1, 2, 3}}, functions)
	keys, err := answering(t, "ERR is a key\n.\n").Keys(t.Context())
	require.NoError(t, err)
	require.Equal(t, []string{"ERR is a key"}, keys)
	_, err = answering(t, "ERR UNKNOWN_COMMAND Unknown+server+command\r\n").Functions(t.Context())
	require.ErrorContains(t, err, "UNKNOWN_COMMAND Unknown server command")
}

func TestAdminReadsTheStore(t *testing.T) {
	t.Parallel()
	retained, err := answering(t, "f\tk\t3\t60\t3600\nno columns\n.\n").Retained(t.Context())
	require.NoError(t, err)
	require.Equal(t, []gearman.RetainedResult{{Function: "f", Key: "k", Size: 3, Age: time.Minute, Left: time.Hour}}, retained)
	scheduled, err := answering(t, "H:1\tf\tk\t1700000000\n.\n").Scheduled(t.Context())
	require.NoError(t, err)
	require.Equal(t, []gearman.ScheduledJob{{Handle: "H:1", Function: "f", Key: "k", At: time.Unix(1700000000, 0)}}, scheduled)
	g, err := answering(t, "durable\tyes\nsync\talways\nretention\tfetch-*=12h\nretention\tx=1h\ncancel\tyes\nattach\tyes\n"+
		"payload-guard\treject\nretries\tyes\nstate\tfull\nlater\tnews\n.\n").Guarantees(t.Context())
	require.NoError(t, err)
	require.Equal(t, gearman.Guarantees{Durable: gearman.Yes, Sync: "always", Retention: gearman.Yes, Retained: "fetch-*=12h, x=1h",
		PayloadGuard: "reject", Cancel: gearman.Yes, Attach: gearman.Yes, Retries: gearman.Yes, State: "full"}, g)
	_, err = answering(t, "ERR UNKNOWN_COMMAND Unknown+server+command\r\n").Guarantees(t.Context())
	require.ErrorIs(t, err, gearman.ErrUnsupported)
}

func TestAdminAgainstAHostileServer(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"ends in the middle": "a\t1\t",
		"endless line":       strings.Repeat("x", 5<<20),
		"no columns":         strings.Repeat("x\n", 3<<20),
		"nothing":            "",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := answering(t, text)
			_, err := a.Functions(t.Context())
			require.ErrorIs(t, err, gearman.ErrConnectionLost)
			_, again := a.Version(t.Context())
			require.Equal(t, err, again)
		})
	}
}

func TestAdminEndsWithItsContext(t *testing.T) {
	t.Parallel()
	near, far := net.Pipe()
	defer far.Close()
	a, err := gearman.DialAdmin(t.Context(), gearman.AdminConfig{
		Dial: func(context.Context, string, string) (net.Conn, error) { return near, nil },
	})
	require.NoError(t, err)
	ctx, cancel := context.WithCancelCause(t.Context())
	reason := errors.New("enough")
	go func() {
		_, _ = far.Read(make([]byte, 100))
		cancel(reason)
	}()
	_, err = a.Version(ctx)
	require.ErrorIs(t, err, reason)
	require.NoError(t, a.Close())

	_, err = gearman.DialAdmin(t.Context(), gearman.AdminConfig{Server: "127.0.0.1:1"})
	require.ErrorIs(t, err, gearman.ErrNoServers)
	require.NotErrorIs(t, err, os.ErrDeadlineExceeded)
}
