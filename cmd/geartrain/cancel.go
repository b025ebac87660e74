package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/geartrain/geartrain/gearman"
)

// cancelCommand is `geartrain cancel`: it ends jobs and says what they were.
type cancelCommand struct {
	std     *streams
	logging *logFlags
	servers serverFlags
	state   stateFlags
	handles []string
	asJSON  bool
}

// cancelled is one job that was looked for: a line, or an object of the JSON array.
type cancelled struct {
	Server   string           `json:"server"`
	Function string           `json:"function,omitempty"`
	Key      string           `json:"key,omitempty"`
	Handle   string           `json:"handle,omitempty"`
	State    gearman.JobState `json:"state"` // it was in
}

func newCancelCommand(std *streams, logging *logFlags) *cobra.Command {
	c := &cancelCommand{std: std, logging: logging}
	cmd := &cobra.Command{
		Use:   "cancel (RUN [STAGE] | FUNCTION KEY | --handle HANDLE...)",
		Short: "End a run, a stage of it, or a job",
		Long: `End a run, or one stage of it: no more of its jobs begin, and those that run are given up. RUN is an id that begins
with "r1.", as much of it as no other run has, or "last".

End a job, whoever waits for it. Queued or scheduled it goes; running it is taken from its worker, which is told to
stop if it can be; its clients get a failure. The answer comes when that is stored, and says in which state the job
was. Code 7: there was no such job, and nothing was changed. Every server that is named is asked.

A stock gearmand can end queued jobs only, and only by their handles (8).`,
		Example: `  geartrain cancel last
  geartrain cancel r1.abcdef fetch
  geartrain cancel resize photo-17
  geartrain cancel --handle H:queue.example:42`,
		Args: cobra.MaximumNArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
			defer stop()
			switch {
			case len(c.handles) == 0 && len(args) > 0 && namesRun(args[0]):
				return c.cancelRun(ctx, args[0], args[1:])
			case len(c.handles) > 0 && len(args) == 0:
				return interrupted(ctx, c.cancelHandles(ctx))
			case len(c.handles) == 0 && len(args) == 2:
				return interrupted(ctx, c.cancelKey(ctx, args[0], args[1]))
			}
			return usageError("say what: RUN, RUN STAGE, FUNCTION KEY, or --handle HANDLE; usage: %s", cmd.UseLine())
		},
	}
	flags := cmd.Flags()
	c.servers.register(flags)
	c.state.register(flags)
	flags.StringArrayVar(&c.handles, "handle", nil, "a job by its handle, as `geartrain do -b` prints it; may be repeated")
	flags.BoolVar(&c.asJSON, "json", false, "print one JSON array")
	return cmd
}

func (c *cancelCommand) cancelKey(ctx context.Context, function, key string) error {
	return c.each(ctx, 1, func(client *gearman.Client, server string) ([]cancelled, error) {
		state, err := client.CancelKey(ctx, function, key)
		return []cancelled{{Server: server, Function: function, Key: key, State: state}}, err
	})
}

func (c *cancelCommand) cancelHandles(ctx context.Context) error {
	return c.each(ctx, len(c.handles), func(client *gearman.Client, server string) ([]cancelled, error) {
		var jobs []cancelled
		var failed error
		for _, handle := range c.handles {
			state, err := client.Cancel(ctx, gearman.Handle{Server: server, ID: handle})
			if err == nil {
				jobs = append(jobs, cancelled{Server: server, Handle: handle, State: state})
			}
			failed = errors.Join(failed, err)
		}
		return jobs, failed
	})
}

// each asks every server and prints what was ended. wanted is how many jobs were named.
func (c *cancelCommand) each(ctx context.Context, wanted int, cancel func(*gearman.Client, string) ([]cancelled, error)) error {
	done := []cancelled{}
	var failed error
	for _, server := range c.servers.orDefault() {
		jobs, err := c.on(ctx, server, cancel)
		failed = errors.Join(failed, err)
		for _, job := range jobs {
			if job.State != gearman.JobNone && job.State != "" {
				done = append(done, job)
			}
		}
	}
	if err := c.print(done); err != nil {
		return err
	}
	if failed == nil && len(done) < wanted {
		return &codedError{exitNotFound, fmt.Errorf("%d of %d jobs are not there, or have ended; of these nothing was changed", wanted-len(done), wanted)}
	}
	return failed
}

func (c *cancelCommand) on(ctx context.Context, server string, cancel func(*gearman.Client, string) ([]cancelled, error)) ([]cancelled, error) {
	client, err := newClient(c.std, c.logging, []string{server})
	if err != nil {
		return nil, err
	}
	defer client.Close()
	return cancel(client, server)
}

// print says what was ended: a line for each job.
func (c *cancelCommand) print(done []cancelled) error {
	if c.asJSON {
		return printJSON(c.std.out, done)
	}
	for _, job := range done {
		name := job.Handle
		if name == "" {
			name = job.Function + " " + job.Key
		}
		if _, err := fmt.Fprintf(c.std.out, "cancelled %s: it was %s\n", visible(name), job.State); err != nil {
			return err
		}
	}
	return nil
}
