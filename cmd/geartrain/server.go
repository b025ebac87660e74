package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"net"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/geartrain/geartrain/server"
	"github.com/geartrain/geartrain/server/queue"
)

// serverCommand is `geartrain server`: the job server, in the foreground, one process.
type serverCommand struct {
	std     *streams
	logging *logFlags
	limits  limitFlags
	data    dataFlags
	rules   policyFlags
	old     gearmandFlags

	port     int
	listen   []string
	insecure bool
	shutdown bool
	drain    time.Duration
	runner   runnerFlags
}

func newServerCommand(std *streams, logging *logFlags) *cobra.Command {
	s := &serverCommand{std: std, logging: logging}
	cmd := &cobra.Command{
		Use:   "server [@CONFIG-FILE]",
		Short: "The job server, for any Gearman client and worker; ends on SIGTERM",
		Long: `The job server speaks Gearman on port 4730 of loopback, unless told otherwise. It keeps its queues in
memory, or with --data the background jobs and retained results on disk too. It stays in the foreground and logs to standard error. SIGTERM, SIGINT and SIGUSR1 end it gracefully: it takes
no new work and delivers what runs, for --drain-timeout; a second signal ends it at once. Every option of gearmand
1.1 is accepted; one that has no meaning here says so in a line of the log. As with gearmand, whatever goes wrong is
exit code 1.`,
		RunE: func(cmd *cobra.Command, args []string) error { return asGearmand(s.run(cmd, args)) },
	}
	cmd.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return asGearmand(usageError("%w; see: %s --help", err, cmd.CommandPath()))
	})
	cmd.Flags().SortFlags = false
	s.register(cmd.Flags())
	return cmd
}

func (s *serverCommand) register(flags *pflag.FlagSet) {
	flags.IntVarP(&s.port, "port", "p", 4730, "port, 0 for a free one")
	flags.StringArrayVarP(&s.listen, "listen", "L", nil, "address, HOST, HOST:PORT or unix:/path; may be repeated (default 127.0.0.1)")
	flags.BoolVar(&s.insecure, "insecure", false, "allow an address that other machines reach: whoever reaches it runs and reads jobs")
	flags.BoolVar(&s.shutdown, "admin-shutdown", false, `allow the admin command "shutdown" to everyone who connects`)
	flags.DurationVar(&s.drain, "drain-timeout", 30*time.Second, "how long a graceful end waits for running jobs, 0 for not at all")
	s.runner.register(flags)
	s.data.register(flags)
	s.rules.register(flags)
	s.limits.register(flags)
	s.old.register(flags)
}

func (s *serverCommand) run(cmd *cobra.Command, args []string) error {
	if err := configFileArgument(args); err != nil {
		return err
	}
	if err := s.old.readConfig(cmd.Flags(), args); err != nil {
		return err
	}
	if s.old.version {
		_, err := fmt.Fprintf(s.std.out, "geartrain %s (for gearmand 1.1)\n", version)
		return err
	}
	if err := s.check(); err != nil || s.old.checkArgs {
		return err
	}
	if s.old.daemon && !inBackground() {
		return goToBackground(s.std.err)
	}
	logger, done, err := s.logger()
	if err != nil {
		return err
	}
	defer done()
	for _, line := range s.old.meaningless(cmd.Flags()) {
		logger.Warn(line)
	}
	if err := s.old.apply(); err != nil {
		return err
	}
	limitMemory(int64(s.limits.memory))
	return s.start(cmd.Context(), logger)
}

// check finds what is wrong with the options before anything is opened.
func (s *serverCommand) check() error {
	if s.port < 0 || s.port > math.MaxUint16 {
		return usageError("--port %d: a port is a number from 0 to %d", s.port, math.MaxUint16)
	}
	if err := s.old.check(); err != nil {
		return err
	}
	if _, err := s.logging.logger(io.Discard); err != nil {
		return err
	}
	if err := s.data.check(); err != nil {
		return err
	}
	cfg, err := s.config(slog.New(slog.DiscardHandler))
	if err != nil {
		return err
	}
	if _, err := server.New(cfg); err != nil {
		return usageError("%w", err)
	}
	return nil
}

// start opens the ports and the store, and serves until a signal. Signals are watched from before
// anybody can know that the server is there.
func (s *serverCommand) start(ctx context.Context, logger *slog.Logger) error {
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, drainSignals()...)
	defer signal.Stop(signals)
	cfg, err := s.config(logger)
	if err != nil {
		return err
	}
	listeners, err := s.open(ctx, cfg)
	if err != nil {
		return err
	}
	defer s.old.leave()
	kept, closeStore, err := s.data.open(logger) // by the user that settle has made us
	if err != nil {
		closeAll(listeners)
		return err
	}
	cfg.Store = kept
	srv, err := server.New(cfg)
	if err != nil {
		closeAll(listeners)
		return errors.Join(usageError("%w", err), closeStore())
	}
	for _, ln := range listeners {
		fmt.Fprintf(s.std.err, "geartrain: listening on %s, %s\n", ln.Addr(), s.data.where())
	}
	if err := sayReady(); err != nil {
		logger.Warn("the process that started this one does not wait for it", "reason", err)
	}
	return errors.Join(s.serve(ctx, srv, listeners, logger, signals), closeStore())
}

// open opens the ports and does what must happen then.
func (s *serverCommand) open(ctx context.Context, cfg server.Config) ([]net.Listener, error) {
	opener, err := server.New(cfg)
	if err != nil {
		return nil, usageError("%w", err)
	}
	listeners, err := opener.Listen(ctx, s.addresses()...)
	if errors.Is(err, syscall.EADDRINUSE) {
		return nil, fmt.Errorf("%w: another program listens there; nothing was started; end it, or choose another port with -p", err)
	}
	if err != nil {
		return nil, fmt.Errorf("%w; nothing was started", err)
	}
	if err := s.old.settle(); err != nil {
		s.old.leave()
		closeAll(listeners)
		return nil, err
	}
	return listeners, nil
}

func closeAll(listeners []net.Listener) {
	for _, ln := range listeners {
		ln.Close()
	}
}

// serve ends gracefully at the first signal and at once at the second.
func (s *serverCommand) serve(ctx context.Context, srv *server.Server, listeners []net.Listener, logger *slog.Logger, signals <-chan os.Signal) error {
	draining, drain := context.WithCancel(ctx)
	defer drain()
	ended := make(chan struct{})
	var watching sync.WaitGroup
	watching.Go(func() { giveMemoryBack(srv, ended) })
	watching.Go(func() {
		for stop := drain; ; stop = func() { srv.Close() } {
			select {
			case sig := <-signals:
				fmt.Fprintf(s.std.err, "geartrain: %s, ending\n", sig)
				stop()
			case <-ended:
				return
			}
		}
	})
	stopRunner, err := s.startRunner(draining, listeners, logger, &watching)
	if err != nil {
		drain() // Serve then ends at once, and closes the listeners
	}
	err = errors.Join(err, srv.Serve(draining, listeners...))
	drain()
	err = errors.Join(err, stopRunner())
	close(ended)
	watching.Wait()
	return err
}

// config is what the flags say. What they say wrongly is an error about usage.
func (s *serverCommand) config(logger *slog.Logger) (server.Config, error) {
	cfg := server.Config{
		Queue: queue.Config{
			HandlePrefix: s.old.handlePrefix(),
			JobRetries:   s.old.jobRetries,
			WakeUp:       s.old.workerWakeup,
			Exceptions:   s.old.exceptions,
		},
		Version:       version,
		Insecure:      s.insecure,
		AdminShutdown: s.shutdown,
		DrainTimeout:  orNever(s.drain),
		KeepAlive:     s.old.keepAlive(),
		Logger:        logger,
	}
	s.limits.apply(&cfg)
	if err := s.data.apply(&cfg); err != nil {
		return cfg, err
	}
	return cfg, s.rules.apply(&cfg.Queue)
}

// logger writes where --log-file says; done closes it.
func (s *serverCommand) logger() (logger *slog.Logger, done func(), err error) {
	logging := *s.logging
	if level := s.old.logLevel(); level != "" {
		logging.level = level
	}
	to, done := s.old.openLog(s.std.err)
	logger, err = logging.logger(to)
	return logger, done, err
}

// orNever is a flag's duration where the server takes zero for its default, and less for never.
func orNever(d time.Duration) time.Duration {
	if d == 0 {
		return -1
	}
	return d
}

// addresses are what -L and -p say together: an address without a port takes the one of -p.
func (s *serverCommand) addresses() []string {
	port := strconv.Itoa(s.port)
	if len(s.listen) == 0 {
		return []string{net.JoinHostPort("127.0.0.1", port)}
	}
	var addresses []string
	for _, address := range s.listen {
		if !strings.HasPrefix(address, "unix:") {
			switch host, given, err := net.SplitHostPort(address); {
			case err != nil:
				address = net.JoinHostPort(strings.Trim(address, "[]"), port)
			case given == "":
				address = net.JoinHostPort(host, port)
			}
		}
		addresses = append(addresses, address)
	}
	return addresses
}
