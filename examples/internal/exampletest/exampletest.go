// Package exampletest runs the examples' pipeline files in their tests.
package exampletest

import (
	"bytes"
	"context"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/geartrain/geartrain/flow"
	"github.com/geartrain/geartrain/flow/form"
	"github.com/geartrain/geartrain/gearman"
	"github.com/geartrain/geartrain/server/servertest"
)

// RunFile runs a pipeline file with a server and a worker of its own and returns its output. The run
// must end well, and the file must be free of problems and warnings.
func RunFile(t *testing.T, file string, params map[string]string) string {
	t.Helper()
	read, err := form.LoadFile(file)
	require.NoError(t, err)
	require.Empty(t, read.Warnings)
	plan := read.Plan
	values, err := flow.ParseParams(plan, params, time.Now())
	require.NoError(t, err)
	secrets, err := flow.ReadSecrets(plan, os.LookupEnv)
	require.NoError(t, err)

	srv := servertest.Start(t)
	var log locked
	worker, err := gearman.NewWorker(gearman.WorkerConfig{Servers: []string{srv.Addr}})
	require.NoError(t, err)
	flow.HandleCommands(worker, plan, flow.CommandOptions{Params: values, Secrets: secrets, Stderr: &log})
	ctx, stop := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { require.NoError(t, worker.Run(ctx)) })
	defer running.Wait()
	defer stop()

	client, err := gearman.Dial(ctx, srv.Addr)
	require.NoError(t, err)
	defer client.Close()
	var output strings.Builder
	_, err = plan.Run(ctx, &flow.Runner{Client: client, TempDir: t.TempDir(), Secrets: secrets}, flow.RunOptions{Params: values, Output: &output})
	require.NoError(t, err, log.String())
	return output.String()
}

// locked is a buffer for many goroutines.
type locked struct {
	mu     sync.Mutex // guards buffer
	buffer bytes.Buffer
}

func (l *locked) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buffer.Write(p)
}

func (l *locked) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buffer.String()
}
