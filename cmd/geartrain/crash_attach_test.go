//go:build unix

package main

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/geartrain/geartrain/gearman"
)

// Who waits for a job by its key goes on waiting when the server is killed, whether the job was queued or
// running, and takes the kept result of one that has ended.
func TestAttachedClientsOutliveTheServer(t *testing.T) {
	t.Parallel()
	s := newMortal(t)
	client, err := gearman.NewClient(gearman.ClientConfig{Servers: []string{"unix:" + s.socket}, Logger: slog.New(slog.DiscardHandler)})
	require.NoError(t, err)
	defer client.Close()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	_, err = client.Submit(ctx, gearman.Task{Function: "report", Key: "today", Payload: []byte("data"), Retain: time.Hour})
	require.NoError(t, err)
	created := make(chan gearman.Handle, 100)
	set := client.NewTaskSet(ctx)
	attached := set.Attach(gearman.Task{Function: "report", Key: "today", OnCreated: func(h gearman.Handle) { created <- h }})
	first := <-created
	for range 3 {
		s.kill()
		s.start()
		require.Equal(t, first, <-created, "a stored job keeps its name")
	}

	running, release := make(chan struct{}, 100), make(chan struct{})
	startWorker(t, s, 1, "report", func(_ context.Context, job *gearman.Job) ([]byte, error) {
		running <- struct{}{}
		<-release
		return append(job.Payload(), " done"...), nil
	})
	<-running
	s.kill()
	s.start()
	require.Equal(t, first, <-created)
	close(release)
	result, err := attached.Wait(ctx)
	require.NoError(t, err)
	require.Equal(t, "data done", string(result))
	require.NoError(t, set.Wait())

	s.kill()
	s.start()
	r, err := client.Attach(ctx, gearman.Task{Function: "report", Key: "today"})
	require.NoError(t, err)
	require.Equal(t, "data done", string(r.Payload))
	_, err = client.Attach(ctx, gearman.Task{Function: "report", Key: "tomorrow"})
	require.ErrorIs(t, err, gearman.ErrNoJob)
}
