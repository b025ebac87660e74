package main

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/geartrain/geartrain/flow"
	"github.com/geartrain/geartrain/gearman"
	"github.com/geartrain/geartrain/gearman/command"
	"github.com/geartrain/geartrain/server"
)

// minConcurrency is the least number of jobs that a run's own workers do at once: commands mostly
// wait for a disk or a network, also on a small machine.
const minConcurrency = 4

// drainForever is how long a drain waits for commands: until they end or are killed.
const drainForever = 365 * 24 * time.Hour

// drainSettles bounds how long results take from a worker to a client that are in this process too.
const drainSettles = 5 * time.Second

func defaultConcurrency() int { return max(2*runtime.GOMAXPROCS(0), minConcurrency) }

// inner is what a run brings along: a job server unless others were named, and a worker for the
// commands of its file.
//
//	startServer, startWorker ──► the run ──► stop: running commands are killed ──► the server ends
//	                                │
//	                                └─ drain: no new commands, running ones end
type inner struct {
	logger  *slog.Logger
	servers []string
	alone   bool // the job server is inside too, so nobody else works for it

	guard                  command.Guard      // ends them if this process is killed
	kill                   context.CancelFunc // ends running commands
	stopWorker, stopServer context.CancelFunc
	worker, server         sync.WaitGroup // the goroutines of each
	jobs                   *server.Server // where the jobs are; nil unless alone
	running                atomic.Int32   // commands

	mu  sync.Mutex // guards err
	err error      // the first that the server or the worker ended with
}

func newInner(logger *slog.Logger) *inner {
	return &inner{logger: logger, kill: func() {}, stopWorker: func() {}, stopServer: func() {}}
}

// startServer runs a job server on a free port of loopback, for this run alone.
func (in *inner) startServer() error {
	srv, err := server.New(server.Config{Version: version, Logger: in.logger, DrainTimeout: -1})
	if err != nil {
		return err
	}
	listeners, err := srv.Listen(context.Background(), net.JoinHostPort("127.0.0.1", "0"))
	if err != nil {
		return err
	}
	in.servers, in.jobs = []string{listeners[0].Addr().String()}, srv
	ctx, stop := context.WithCancel(context.Background())
	in.stopServer = stop
	in.server.Go(func() { in.note(srv.Serve(ctx, listeners...)) })
	return nil
}

// startWorker works on the commands of plan, concurrency jobs at once.
func (in *inner) startWorker(plan *flow.Plan, commands flow.CommandOptions, concurrency int) error {
	worker, err := gearman.NewWorker(gearman.WorkerConfig{
		Servers: in.servers, Concurrency: concurrency, DrainFor: drainForever, Logger: in.logger,
	})
	if err != nil {
		return fmt.Errorf("worker for the commands of %s: %w", plan.Name, err)
	}
	killed, kill := context.WithCancel(context.Background())
	in.kill = kill
	worker.Use(func(next gearman.HandlerFunc) gearman.HandlerFunc {
		return func(ctx context.Context, job *gearman.Job) ([]byte, error) {
			in.running.Add(1)
			defer in.running.Add(-1)
			ctx, cancel := context.WithCancelCause(ctx)
			defer cancel(nil)
			defer context.AfterFunc(killed, func() { cancel(errCancelled) })()
			return next(ctx, job)
		}
	})
	commands.Guard = &in.guard
	flow.HandleCommands(worker, plan, commands)
	ctx, stop := context.WithCancel(context.Background())
	in.stopWorker = stop
	in.worker.Go(func() { in.note(worker.Run(ctx)) })
	return nil
}

// drain lets no new command begin, and waits for those that run and until client has what they gave.
func (in *inner) drain(client *gearman.Client) {
	in.stopWorker()
	in.worker.Wait()
	ctx, cancel := context.WithTimeout(context.Background(), drainSettles)
	defer cancel()
	look := time.NewTicker(time.Millisecond)
	defer look.Stop()
	for in.jobs.Snapshot().Levels.Running > 0 && ctx.Err() == nil {
		<-look.C // the worker's last words are on their way to the server
	}
	if _, err := client.Echo(ctx, nil); err != nil { // it comes after all results
		in.logger.Warn("the last results may be lost, and their jobs run again", "error", err)
	}
}

// stop ends the commands that still run, with all they started, and then the server. It returns the
// first error that one of them ended with.
func (in *inner) stop() error {
	in.kill()
	in.stopWorker()
	in.worker.Wait()
	in.stopServer()
	in.server.Wait()
	if err := in.guard.Close(); err != nil {
		in.logger.Warn("commands would have gone on if this process had been killed", "reason", err)
	}
	in.mu.Lock()
	defer in.mu.Unlock()
	return in.err
}

func (in *inner) note(err error) {
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.err == nil {
		in.err = err
	}
}
