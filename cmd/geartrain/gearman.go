package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/geartrain/geartrain/gearman"
)

// oldCommand is the `gearman` command of gearmand: what this program is when it is called by that
// name. Its letters are all that command's.
type oldCommand struct {
	std     *streams
	logging *logFlags

	functions []string
	host      string
	port      uint16
	timeout   int // milliseconds
	pidFile   string
	verbose   bool
	ssl       bool
	daemon    bool

	worker bool
	count  int

	lines, stripped bool
	do              doCommand // the rest of the client's letters
}

func newOldCommand(std *streams, logging *logFlags) *cobra.Command {
	o := &oldCommand{std: std, logging: logging, do: doCommand{std: std}}
	cmd := &cobra.Command{
		Use:    "gearman [-f FUNCTION...] [DATA...] | gearman -w [-f FUNCTION...] [COMMAND [ARGS...]]",
		Short:  "The classic command: this program does the same when a link to it is called gearman",
		Hidden: true,
		RunE:   func(cmd *cobra.Command, args []string) error { return o.run(cmd.Context(), args) },
	}
	flags := cmd.Flags()
	flags.StringArrayVarP(&o.functions, "function", "f", nil, "function to use for jobs, may be repeated")
	flags.StringVarP(&o.host, "host", "h", "", "job server host, or host:port (default $GEARMAN_SERVER, then localhost)")
	flags.Uint16VarP(&o.port, "port", "p", 0, "job server port (default 4730)")
	flags.IntVarP(&o.timeout, "timeout", "t", 0, "timeout in milliseconds")
	flags.StringVarP(&o.pidFile, "pid-file", "i", "", "write the process id to this file")
	flags.BoolVarP(&o.verbose, "verbose", "v", false, "say more: handles, progress")
	flags.BoolVarP(&o.ssl, "ssl", "S", false, "refused: TLS is not built in yet")
	flags.BoolVarP(&o.daemon, "daemon", "d", false, "go to the background")
	flags.BoolVarP(&o.worker, "worker", "w", false, "be a worker; without a command it prints the payloads")
	flags.IntVarP(&o.count, "count", "c", 0, "jobs for the worker to run before it ends")
	flags.BoolVarP(&o.lines, "lines", "n", false, "a job for each line; a worker sends each line as data")
	flags.BoolVarP(&o.stripped, "strip", "N", false, "as -n, without the newlines")
	flags.BoolVarP(&o.do.background, "background", "b", false, "run jobs in the background")
	flags.BoolVarP(&o.do.high, "high", "I", false, "high priority")
	flags.BoolVarP(&o.do.low, "low", "L", false, "low priority")
	flags.BoolVarP(&o.do.prefix, "prefix", "P", false, "print the function's name before each output")
	flags.BoolVarP(&o.do.noInput, "no-input", "s", false, "send a job without reading standard input")
	flags.StringVarP(&o.do.key, "unique", "u", "", "unique key of the job")
	flags.BoolP("help", "H", false, "print this")
	return cmd
}

func (o *oldCommand) run(ctx context.Context, args []string) error {
	switch {
	case o.ssl:
		return usageError("-S: TLS is not built in yet")
	case len(o.functions) == 0:
		return usageError("no function; usage: gearman -f FUNCTION [DATA...], or gearman -w -f FUNCTION COMMAND; see: gearman -H")
	case o.timeout < 0 || o.count < 0:
		return usageError("-t and -c take no negative numbers")
	case o.daemon && !inBackground():
		return goToBackground(o.std.err)
	}
	if o.pidFile != "" {
		if err := os.WriteFile(o.pidFile, strconv.AppendInt(nil, int64(os.Getpid()), 10), 0o644); err != nil {
			return fmt.Errorf("pid file: %w", err)
		}
		defer os.Remove(o.pidFile)
	}
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	if o.worker {
		return o.work(ctx, args)
	}
	return interrupted(ctx, o.ask(ctx, args))
}

// servers are those of -h and -p, or of the environment.
func (o *oldCommand) servers() []string {
	if o.host == "" && o.port == 0 {
		if servers := splitServers(os.Getenv("GEARMAN_SERVER")); len(servers) > 0 {
			return servers
		}
		return (&serverFlags{}).orDefault()
	}
	host := cmp.Or(o.host, "localhost")
	if o.port == 0 {
		return []string{host}
	}
	return []string{net.JoinHostPort(strings.Trim(host, "[]"), strconv.Itoa(int(o.port)))}
}

// ask submits the jobs: each function gets all of the data.
func (o *oldCommand) ask(ctx context.Context, data []string) error {
	if o.timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, time.Duration(o.timeout)*time.Millisecond)
		defer cancel()
	}
	client, err := newClient(o.std, o.logging, o.servers())
	if err != nil {
		return err
	}
	defer client.Close()
	if err := errors.Join(client.Connect(ctx), sayReady()); err != nil {
		return err
	}
	o.do.lines, o.do.stripped = o.lines, o.stripped
	for payload, err := range o.do.payloads(data) {
		if err != nil {
			return err
		}
		for _, function := range o.functions {
			if err := o.one(ctx, client, function, payload); err != nil {
				return err
			}
		}
	}
	return nil
}

func (o *oldCommand) one(ctx context.Context, client *gearman.Client, function string, payload []byte) error {
	task := o.do.task(function, payload)
	created := func(h gearman.Handle) {
		if o.verbose {
			fmt.Fprintln(o.std.out, "Task created:", h.ID)
		}
	}
	if !o.do.background {
		task.OnCreated = created
		return o.do.foreground(ctx, client, task)
	}
	handle, err := client.Submit(ctx, task)
	if err == nil {
		created(handle)
	}
	return err
}
