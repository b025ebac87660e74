package main

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/geartrain/geartrain/server"
	"github.com/geartrain/geartrain/server/queue"
)

// serverCommand is `geartrain server`: the job server, in the foreground, one process.
type serverCommand struct {
	std     *streams
	logging *logFlags
	limits  limitFlags
	old     gearmandFlags

	port     int
	listen   []string
	insecure bool
	shutdown bool
	drain    time.Duration
}

func newServerCommand(std *streams, logging *logFlags) *cobra.Command {
	s := &serverCommand{std: std, logging: logging}
	cmd := &cobra.Command{
		Use:   "server [@CONFIG-FILE]",
		Short: "The job server, for any Gearman client and worker; ends on SIGTERM",
		Long: `The job server speaks Gearman on port 4730 of loopback, unless told otherwise. It keeps its queues in
memory. It stays in the foreground and logs to standard error. SIGTERM, SIGINT and SIGUSR1 end it gracefully: it takes
no new work and delivers what runs, for --drain-timeout; a second signal ends it at once. Every option of gearmand
1.1 is accepted; one that has no meaning here says so in a line of the log.`,
		Args: configFileArgument,
		RunE: s.run,
	}
	flags := cmd.Flags()
	flags.SortFlags = false
	flags.IntVarP(&s.port, "port", "p", 4730, "port, 0 for a free one")
	flags.StringArrayVarP(&s.listen, "listen", "L", nil, "address, HOST, HOST:PORT or unix:/path; may be repeated (default 127.0.0.1)")
	flags.BoolVar(&s.insecure, "insecure", false, "allow an address that other machines reach: whoever reaches it runs and reads jobs")
	flags.BoolVar(&s.shutdown, "admin-shutdown", false, `allow the admin command "shutdown" to everyone who connects`)
	flags.DurationVar(&s.drain, "drain-timeout", 30*time.Second, "how long a graceful end waits for running jobs")
	s.limits.register(flags)
	s.old.register(flags)
	return cmd
}

func (s *serverCommand) run(cmd *cobra.Command, args []string) error {
	if err := s.old.readConfig(cmd.Flags(), args); err != nil {
		return err
	}
	if s.old.version {
		_, err := fmt.Fprintf(s.std.out, "geartrain %s (for gearmand 1.1)\n", version)
		return err
	}
	if err := s.old.apply(); err != nil || s.old.checkArgs {
		return err
	}
	if s.old.daemon && !inBackground() {
		return goToBackground()
	}
	logger, done, err := s.logger()
	if err != nil {
		return err
	}
	defer done()
	for _, line := range s.old.meaningless(cmd.Flags()) {
		logger.Warn(line)
	}
	srv, err := server.New(s.config(logger))
	if err != nil {
		return usageError("%w", err)
	}
	listeners, err := srv.Listen(cmd.Context(), s.addresses()...)
	if err != nil {
		return fmt.Errorf("%w; nothing was started", err)
	}
	if err := s.old.settle(); err != nil {
		return err
	}
	defer s.old.leave()
	for _, ln := range listeners {
		fmt.Fprintf(s.std.err, "geartrain: listening on %s, queues in memory\n", ln.Addr())
	}
	return s.serve(cmd.Context(), srv, listeners)
}

// serve ends gracefully at the first signal and at once at the second.
func (s *serverCommand) serve(ctx context.Context, srv *server.Server, listeners []net.Listener) error {
	draining, drain := context.WithCancel(ctx)
	defer drain()
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, drainSignals()...)
	defer signal.Stop(signals)
	ended := make(chan struct{})
	watching := make(chan struct{})
	go func() {
		defer close(watching)
		for stop := drain; ; stop = func() { srv.Close() } {
			select {
			case sig := <-signals:
				fmt.Fprintf(s.std.err, "geartrain: %s, ending\n", sig)
				stop()
			case <-ended:
				return
			}
		}
	}()
	err := srv.Serve(draining, listeners...)
	close(ended)
	<-watching
	return err
}

func (s *serverCommand) config(logger *slog.Logger) server.Config {
	cfg := server.Config{
		Queue: queue.Config{
			HandlePrefix: s.old.handlePrefix(),
			JobRetries:   s.old.jobRetries,
			WakeUp:       s.old.workerWakeup,
		},
		Version:       version,
		Insecure:      s.insecure,
		AdminShutdown: s.shutdown,
		DrainTimeout:  s.drain,
		KeepAlive:     s.old.keepAlive(),
		Logger:        logger,
	}
	s.limits.apply(&cfg)
	return cfg
}

// logger writes where --log-file says; done closes it.
func (s *serverCommand) logger() (logger *slog.Logger, done func(), err error) {
	logging := *s.logging
	if level := s.old.logLevel(); level != "" {
		logging.level = level
	}
	to, done, err := s.old.openLog(s.std.err)
	if err != nil {
		return nil, nil, err
	}
	logger, err = logging.logger(to)
	return logger, done, err
}

// addresses are what -L and -p say together: an address without a port takes the one of -p.
func (s *serverCommand) addresses() []string {
	port := strconv.Itoa(s.port)
	if len(s.listen) == 0 {
		return []string{net.JoinHostPort("127.0.0.1", port)}
	}
	var addresses []string
	for _, address := range s.listen {
		if _, _, err := net.SplitHostPort(address); err != nil && !strings.HasPrefix(address, "unix:") {
			address = net.JoinHostPort(strings.Trim(address, "[]"), port)
		}
		addresses = append(addresses, address)
	}
	return addresses
}
