//go:build unix

package command

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/geartrain/geartrain/gearman"
	"github.com/geartrain/geartrain/server/servertest"
)

// serve offers functions on a server of their own and gives a client for it.
func serve(t *testing.T, offer func(*gearman.Worker)) *gearman.Client {
	addr := servertest.Start(t).Addr
	quiet := slog.New(slog.DiscardHandler)
	w, err := gearman.NewWorker(gearman.WorkerConfig{Servers: []string{addr}, Logger: quiet, Concurrency: 4, DrainFor: -1})
	require.NoError(t, err)
	offer(w)
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	ended := make(chan error, 1)
	go func() { ended <- w.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		require.NoError(t, <-ended)
	})
	c, err := gearman.NewClient(gearman.ClientConfig{Servers: []string{addr}, Logger: quiet})
	require.NoError(t, err)
	t.Cleanup(func() { c.Close() })
	return c
}

func TestHandler(t *testing.T) {
	t.Parallel()
	c := serve(t, func(w *gearman.Worker) {
		w.Handle("cat", program("cat").Handler())
		w.HandleWith("env", gearman.FunctionConfig{Timeout: time.Hour}, program("env").Handler())
		w.Handle("exit", program("exit", "3", "no luck").Handler())
		w.Handle("speak", program("stderr").Handler())
	})
	payload := bytes.Repeat([]byte("\x00\xff\n"), 1<<20)
	result, err := c.Do(t.Context(), gearman.Task{Function: "cat", Payload: payload})
	require.NoError(t, err)
	require.True(t, bytes.Equal(payload, result.Payload))

	result, err = c.Do(t.Context(), gearman.Task{Function: "env", Key: "k1"})
	require.NoError(t, err)
	env := strings.Split(string(result.Payload), "\n")
	require.Subset(t, env, []string{"GEARTRAIN_FUNCTION=env", "GEARTRAIN_KEY=k1", "GEARTRAIN_ATTEMPT=1", "GEARTRAIN_HANDLE=" + result.Handle.ID})
	var deadline string
	for _, e := range env {
		if value, ok := strings.CutPrefix(e, "GEARTRAIN_DEADLINE="); ok {
			deadline = value
		}
	}
	at, err := time.Parse(time.RFC3339, deadline)
	require.NoError(t, err)
	require.WithinDuration(t, time.Now().Add(time.Hour), at, time.Minute)

	_, err = c.Do(t.Context(), gearman.Task{Function: "exit"})
	require.ErrorIs(t, err, gearman.ErrTaskFailed)
	require.ErrorContains(t, err, "exit code 3: no luck")

	var said []string
	_, err = c.Do(t.Context(), gearman.Task{Function: "speak", Payload: []byte("::status 1/2\n::data d\n::warning w\n"),
		OnStatus:  func(n, d int) { said = append(said, "status") },
		OnData:    func(p []byte) { said = append(said, "data "+string(p)) },
		OnWarning: func(p []byte) { said = append(said, "warning "+string(p)) },
	})
	require.NoError(t, err)
	require.Equal(t, []string{"status", "data d", "warning w"}, said)
}

// A timeout, which the server notices too, leaves no process behind.
func TestHandlerTimeoutKillsTheProgram(t *testing.T) {
	t.Parallel()
	w := newWitness(t)
	hang := program("hang", w.addr())
	hang.Grace = -1
	c := serve(t, func(worker *gearman.Worker) {
		worker.HandleWith("hang", gearman.FunctionConfig{Timeout: 2 * time.Second}, hang.Handler())
	})
	set := c.NewTaskSet(t.Context())
	set.Add(gearman.Task{Function: "hang", Retry: gearman.Retry{Attempts: 100}}) // in 2 s a busy machine may not have started it
	w.started()()
	set.Cancel(os.ErrClosed) // nobody waits for it any more
	if err := set.Wait(); !errors.Is(err, gearman.ErrTimeout) {
		require.ErrorIs(t, err, os.ErrClosed)
	}
}

// A worker that stops without a drain takes its programs with it.
func TestWorkerStopKillsTheProgram(t *testing.T) {
	t.Parallel()
	w := newWitness(t)
	hang := program("hang", w.addr())
	hang.Grace = 100 * time.Millisecond
	var gone func()
	t.Run("worker", func(t *testing.T) {
		c := serve(t, func(worker *gearman.Worker) { worker.Handle("hang", hang.Handler()) })
		set := c.NewTaskSet(t.Context())
		set.Add(gearman.Task{Function: "hang"})
		gone = w.started()
		set.Cancel(os.ErrClosed)
	})
	gone()
}
