package flow_test

import (
	"context"
	"log/slog"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/geartrain/geartrain/flow"
	"github.com/geartrain/geartrain/gearman"
	"github.com/geartrain/geartrain/server/servertest"
)

// benchClient is a client of a server over TCP with an echo worker.
func benchClient(b *testing.B) *gearman.Client {
	server := servertest.Start(b)
	log := slog.New(slog.DiscardHandler)
	w, err := gearman.NewWorker(gearman.WorkerConfig{Servers: []string{server.Addr}, Logger: log, Concurrency: 16})
	require.NoError(b, err)
	w.Handle("echo", func(_ context.Context, job *gearman.Job) ([]byte, error) { return job.Payload(), nil })
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- w.Run(ctx) }()
	b.Cleanup(func() {
		stop()
		require.NoError(b, <-done)
	})
	c, err := gearman.NewClient(gearman.ClientConfig{Servers: []string{server.Addr}, Logger: log})
	require.NoError(b, err)
	b.Cleanup(func() { c.Close() })
	return c
}

// BenchmarkTaskSet is one job of a bare task set, to compare [BenchmarkStage] with.
func BenchmarkTaskSet(b *testing.B) {
	client := benchClient(b)
	b.ReportAllocs()
	b.ResetTimer()
	set := client.NewTaskSet(b.Context())
	set.SetLimit(flow.DefaultWindow)
	for i := range b.N {
		set.Add(gearman.Task{Function: "echo", Payload: strconv.AppendInt(nil, int64(i), 10)})
	}
	require.NoError(b, set.Wait())
}

// BenchmarkStage is one job of a stage: its key, its place, its kept result.
func BenchmarkStage(b *testing.B) {
	runner := &flow.Runner{Client: benchClient(b), TempDir: b.TempDir()}
	plan := &flow.Plan{Name: "p", Stages: []flow.Stage{{Name: "s", Function: "echo", Input: flow.Input{Kind: flow.FromInput}}}}
	b.ReportAllocs()
	b.ResetTimer()
	report, err := plan.Run(b.Context(), runner, flow.RunOptions{Input: func(yield func([]byte) bool) {
		for i := range b.N {
			if !yield(strconv.AppendInt(nil, int64(i), 10)) {
				return
			}
		}
	}})
	require.NoError(b, err)
	require.Equal(b, b.N, report.Stages[0].Done)
}
