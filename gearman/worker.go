package gearman

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/geartrain/geartrain/gearman/protocol"
)

const defaultDrain = 30 * time.Second

// WorkerConfig is what a Worker is made from. The zero value is a working one for localhost:4730.
type WorkerConfig struct {
	Servers        []string      // host, host:port, [v6]:port or unix:/path; all at once. Default: localhost:4730
	ID             string        // as servers list it, without spaces. Default: host-pid-random
	Concurrency    int           // jobs at once, over all servers together. Default: GOMAXPROCS
	MaxJobs        int           // Run returns after so many jobs. Default: no limit
	DrainFor       time.Duration // how long running jobs may go on when Run's context ends. Default: 30s; negative: not at all
	DialTimeout    time.Duration // for one connection. Default: 5s
	MaxPacketBytes int           // a larger job ends the connection, a larger result fails its job. Default: 64 MiB
	Logger         *slog.Logger  // Default: slog.Default()

	// Dial opens connections; TLS and in-memory tests go here. Default: net.Dialer.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
}

// Worker does jobs: it offers functions to job servers and calls their handlers.
//
//	Handle, Use ──► Run ──────────────────────► context ends ──► drain ──────────► Run returns
//	                 │ one station per server        │              │ DrainFor is over:
//	                 │ dial ⇄ lost (backoff)         │              │ contexts end
//	                 └ grab, run, answer, grab ...   └ no more grabs, jobs go on
//
// It keeps as many GRAB_JOBs on their way as it has free slots, and sends the end of a job and the
// next grab in one write. All functions share one connection to each server, except those with a
// MaxParallel, which have one each.
type Worker struct {
	config  WorkerConfig
	logger  *slog.Logger
	dialing dialing

	mu         sync.Mutex // guards the fields below, which do not change once started is set
	started    bool
	functions  map[string]*function
	middleware []Middleware

	slots *slots
	jobs  sync.WaitGroup // the goroutines of running jobs
}

// NewWorker checks and copies cfg. Connections are opened by Run.
func NewWorker(cfg WorkerConfig) (*Worker, error) {
	cfg.Servers = slices.Clone(cfg.Servers)
	if len(cfg.Servers) == 0 {
		cfg.Servers = []string{defaultServer}
	}
	for i, server := range cfg.Servers {
		if _, _, err := serverAddress(server); err != nil {
			return nil, err
		}
		if slices.Contains(cfg.Servers[:i], server) {
			return nil, fmt.Errorf("gearman: server %q is given twice", server)
		}
	}
	if cfg.Concurrency < 0 {
		return nil, fmt.Errorf("gearman: concurrency %d is negative", cfg.Concurrency)
	}
	if cfg.MaxJobs < 0 {
		return nil, fmt.Errorf("gearman: at most %d jobs is less than none", cfg.MaxJobs)
	}
	if strings.ContainsFunc(cfg.ID, func(r rune) bool { return r <= ' ' || r == 0x7f }) {
		return nil, fmt.Errorf("gearman: worker id %q: a space or control character", cfg.ID)
	}
	cfg.ID = cmp.Or(cfg.ID, defaultID())
	cfg.Concurrency = cmp.Or(cfg.Concurrency, runtime.GOMAXPROCS(0))
	cfg.DrainFor = max(cmp.Or(cfg.DrainFor, defaultDrain), 0)
	cfg.MaxPacketBytes = cmp.Or(max(cfg.MaxPacketBytes, 0), protocol.DefaultMaxPacket)
	return &Worker{
		config:    cfg,
		logger:    cmp.Or(cfg.Logger, slog.Default()),
		dialing:   dialing{dial: cfg.Dial, timeout: cfg.DialTimeout, maxPacket: cfg.MaxPacketBytes},
		functions: make(map[string]*function),
		slots:     newSlots(cfg.Concurrency),
	}, nil
}

// Handle offers a function with the default [FunctionConfig]. See HandleWith.
func (w *Worker) Handle(name string, h HandlerFunc) { w.HandleWith(name, FunctionConfig{}, h) }

// HandleWith offers a function. It panics on a name that is taken or that no server could accept, on a
// nil handler, and after Run has begun: programming errors, found at the start.
func (w *Worker) HandleWith(name string, c FunctionConfig, h HandlerFunc) {
	if err := checkFunction(name, c, h); err != nil {
		panic(err)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.mustNotRun()
	if w.functions[name] != nil {
		panic(fmt.Errorf("gearman: function %q has a handler already", name))
	}
	w.functions[name] = &function{name: name, config: c, handler: h}
}

// Use wraps the handlers of all functions, whether they were added before or are added later. The
// first middleware given is the outermost. It panics after Run has begun.
func (w *Worker) Use(mw ...Middleware) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.mustNotRun()
	w.middleware = append(w.middleware, mw...)
}

func (w *Worker) mustNotRun() {
	if w.started {
		panic(errors.New("gearman: the worker runs already"))
	}
}

// Run does jobs until ctx ends, or until MaxJobs are done. Then it drains: it asks for no more work, lets running jobs go on for
// DrainFor, ends the contexts of the rest with [ErrWorkerStopped], and returns nil once all handlers
// have returned and all its goroutines are gone. A handler that ignores its context keeps it waiting.
//
// A server that is not there or goes away is dialled again, with backoff, for as long as it takes;
// jobs that run meanwhile go on, and their ends are reported on the next connection if the server can
// still tell what they belong to. An error is returned only for what that cannot cure: no functions,
// or a second Run.
func (w *Worker) Run(ctx context.Context) error {
	if err := w.start(); err != nil {
		return err
	}
	ctx, spent := context.WithCancel(ctx)
	defer spent()
	if w.config.MaxJobs > 0 {
		w.slots.limit(w.config.MaxJobs, spent)
	}
	life, kill := context.WithCancelCause(context.WithoutCancel(ctx))
	defer kill(nil)
	var running sync.WaitGroup
	stations := w.stations(life)
	for _, s := range stations {
		running.Go(s.run)
	}
	<-ctx.Done()
	w.logger.Info("worker drains", slog.Duration("for", w.config.DrainFor), slog.Any("cause", context.Cause(ctx)))
	stopJobs := time.AfterFunc(w.config.DrainFor, func() { kill(ErrWorkerStopped) })
	defer stopJobs.Stop()
	w.slots.drain()
	for _, s := range stations {
		s.retire()
	}
	running.Wait()
	w.jobs.Wait()
	return nil
}

// start wraps the handlers and closes the worker for changes.
func (w *Worker) start() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.started {
		return errors.New("gearman: a worker runs only once")
	}
	if len(w.functions) == 0 {
		return errors.New("gearman: the worker has no functions")
	}
	w.started = true
	for _, f := range w.functions {
		for _, wrap := range slices.Backward(w.middleware) {
			f.handler = wrap(f.handler)
		}
	}
	return nil
}

// stations makes one for each server with the functions that share a connection, and one for
// each server and function that has a connection of its own.
func (w *Worker) stations(life context.Context) []*station {
	var shared []*function
	groups := make([][]*function, 0, 1)
	for _, name := range slices.Sorted(maps.Keys(w.functions)) {
		f := w.functions[name]
		if f.config.MaxParallel > 0 && f.config.MaxParallel < w.config.Concurrency {
			groups = append(groups, []*function{f})
		} else {
			shared = append(shared, f)
		}
	}
	if len(shared) > 0 {
		groups = append(groups, shared)
	}
	var all []*station
	for _, functions := range groups {
		for _, server := range w.config.Servers {
			all = append(all, newStation(w, life, server, functions))
		}
	}
	return all
}

func defaultID() string {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	host = strings.Map(func(r rune) rune {
		if r <= ' ' || r == 0x7f {
			return '_'
		}
		return r
	}, host)
	return fmt.Sprintf("%s-%d-%s", host, os.Getpid(), uuid.NewString()[:8])
}
