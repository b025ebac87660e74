// Package jobserver lets each example run by itself: against the job servers that were named, or
// against one inside the process, with a worker beside it.
package jobserver

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"strings"

	"github.com/geartrain/geartrain/gearman"
	"github.com/geartrain/geartrain/server"
)

// Servers are the job servers that a person named: with -S, which may be repeated, else in
// GEARTRAIN_SERVERS, else in GEARMAN_SERVERS. None: the example brings its own.
type Servers []string

// Flag adds -S to flags. The result is complete when flags have been parsed.
func Flag(flags *flag.FlagSet) *Servers {
	servers := &Servers{}
	flags.Func("S", "job server `HOST:PORT`, may be repeated (default $GEARTRAIN_SERVERS, $GEARMAN_SERVERS, else one inside)",
		func(address string) error {
			*servers = append(*servers, split(address)...)
			return nil
		})
	return servers
}

func split(list string) []string {
	return strings.FieldsFunc(list, func(r rune) bool { return r == ',' || r == ' ' })
}

func (s Servers) named() []string {
	for _, servers := range [][]string{s, split(os.Getenv("GEARTRAIN_SERVERS")), split(os.Getenv("GEARMAN_SERVERS"))} {
		if len(servers) > 0 {
			return servers
		}
	}
	return nil
}

// Serve is a worker: it does the jobs that register gives handlers for, until ctx ends. Without named
// servers it takes those of localhost.
func (s Servers) Serve(ctx context.Context, register func(*gearman.Worker)) error {
	worker, err := newWorker(s.named(), register)
	if err != nil {
		return err
	}
	return worker.Run(ctx)
}

// Ask calls f with a client. Without named servers it first starts a server on a free port of the
// loopback interface and a worker with what register gives it, and ends both afterwards.
func (s Servers) Ask(ctx context.Context, register func(*gearman.Worker), f func(*gearman.Client) error) (err error) {
	servers := s.named()
	if len(servers) == 0 {
		inside, startErr := start(ctx, register)
		if startErr != nil {
			return startErr
		}
		defer func() { err = errors.Join(err, inside.stop()) }()
		servers = []string{inside.address}
	}
	client, err := gearman.Dial(ctx, servers...)
	if err != nil {
		return err
	}
	defer client.Close()
	return f(client)
}

// inside is a server and a worker in this process. The worker ends first, so that it has a server to
// say goodbye to.
type inside struct {
	address string
	server  running
	worker  running
}

// running is something with a Run method that was started.
type running struct {
	end  context.CancelFunc
	done chan struct{}
	err  error // read it after done
}

func start(ctx context.Context, register func(*gearman.Worker)) (*inside, error) {
	srv, err := server.New(server.Config{Logger: logger(), DrainTimeout: -1})
	if err != nil {
		return nil, err
	}
	listeners, err := srv.Listen(ctx, "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	in := &inside{address: listeners[0].Addr().String()}
	worker, err := newWorker([]string{in.address}, register)
	if err != nil {
		return nil, errors.Join(err, listeners[0].Close())
	}
	in.server.start(ctx, func(ctx context.Context) error { return srv.Serve(ctx, listeners...) })
	in.worker.start(ctx, worker.Run)
	return in, nil
}

// start runs f until stop, even if ctx ends before.
func (r *running) start(ctx context.Context, f func(context.Context) error) {
	ctx, r.end = context.WithCancel(context.WithoutCancel(ctx))
	r.done = make(chan struct{})
	go func() {
		defer close(r.done)
		r.err = f(ctx)
	}()
}

func (r *running) stop() error {
	r.end()
	<-r.done
	return r.err
}

func (in *inside) stop() error { return errors.Join(in.worker.stop(), in.server.stop()) }

func newWorker(servers []string, register func(*gearman.Worker)) (*gearman.Worker, error) {
	worker, err := gearman.NewWorker(gearman.WorkerConfig{Servers: servers, Concurrency: concurrency, Logger: logger()})
	if err != nil {
		return nil, fmt.Errorf("worker: %w", err)
	}
	register(worker)
	return worker, nil
}

// concurrency is enough jobs at once for handlers that wait for the network.
const concurrency = 16

// logger writes warnings and worse to standard error.
func logger() *slog.Logger {
	return slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
}
