package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/geartrain/geartrain/gearman"
)

// changeCommands are the commands that change something.
func (a *adminCommand) changeCommands() []*cobra.Command {
	return []*cobra.Command{
		a.changeCommand("cancel HANDLE", "End a job, whoever waits for it", (*gearman.Admin).Cancel),
		{
			Use: "cancel-key FUNCTION KEY", Short: "End the job of a key, whoever waits for it", Args: cobra.ExactArgs(2),
			RunE: func(cmd *cobra.Command, args []string) error {
				return a.change(cmd, func(ctx context.Context, admin *gearman.Admin) error { return admin.CancelKey(ctx, args[0], args[1]) })
			},
		},
		a.changeCommand("pause FUNCTION", "Hand out no more jobs of a function; running ones go on", (*gearman.Admin).Pause),
		a.changeCommand("resume FUNCTION", "Hand them out again", (*gearman.Admin).Resume),
		a.maxQueueCommand(),
		a.changeCommand("create FUNCTION", "Make a function known before anyone uses it", (*gearman.Admin).CreateFunction),
		a.changeCommand("drop FUNCTION", "Forget a function without workers, with its waiting jobs", (*gearman.Admin).DropFunction),
		{
			Use: "shutdown", Short: "Ask for the graceful end; servers need --admin-shutdown for it", Args: cobra.NoArgs,
			RunE: func(cmd *cobra.Command, _ []string) error {
				return a.change(cmd, func(ctx context.Context, admin *gearman.Admin) error { return admin.Shutdown(ctx) })
			},
		},
	}
}

// changeCommand is a command about one job or one function.
func (a *adminCommand) changeCommand(use, short string, do func(*gearman.Admin, context.Context, string) error) *cobra.Command {
	return &cobra.Command{
		Use: use, Short: short, Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.change(cmd, func(ctx context.Context, admin *gearman.Admin) error { return do(admin, ctx, args[0]) })
		},
	}
}

func (a *adminCommand) maxQueueCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "maxqueue FUNCTION [MAX | HIGH NORMAL LOW]",
		Short: "Limit the waiting jobs of each priority; without a number, or with 0: no limit",
		Args: func(_ *cobra.Command, args []string) error {
			if n := len(args); n != 1 && n != 2 && n != 4 {
				return fmt.Errorf("%d arguments, want a function and no number, one or three", n)
			}
			for _, text := range args[1:] {
				if _, err := strconv.ParseUint(text, 10, 31); err != nil {
					return fmt.Errorf("%q is no limit", text)
				}
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			var limits []int
			for _, text := range args[1:] {
				n, err := strconv.Atoi(text)
				if err != nil {
					return err
				}
				limits = append(limits, n)
			}
			return a.change(cmd, func(ctx context.Context, admin *gearman.Admin) error {
				return admin.MaxQueue(ctx, args[0], limits...)
			})
		},
	}
}

// deadCommand is about dead letters.
func (a *adminCommand) deadCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "dead", Short: "Background jobs that used up their attempts (--job-retries)", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(
		a.listCommand("list", "All of them, the oldest first", "SERVER HANDLE FUNCTION KEY ATTEMPTS SIZE DIED", deadRows),
		a.showDeadCommand(),
		a.changeCommand("retry HANDLE", "Make it a job again, under a new handle", (*gearman.Admin).RetryDead),
		a.changeCommand("drop HANDLE", "Forget it", (*gearman.Admin).DropDead),
	)
	return cmd
}

func (a *adminCommand) showDeadCommand() *cobra.Command {
	return &cobra.Command{
		Use: "show HANDLE", Short: "One of them, with its attempts", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			var row deadRow
			err := errors.New("no server was asked")
			for _, server := range a.servers.orDefault() {
				err = a.ask(cmd.Context(), server, func(ctx context.Context, admin *gearman.Admin) error {
					d, err := admin.DeadLetter(ctx, args[0])
					row = deadRowOf(server, d)
					return err
				})
				if err == nil {
					return a.printDead(row)
				}
			}
			return err
		},
	}
}

// deadRow is a dead letter; the last three fields are only shown of a single one.
type deadRow struct {
	Server   string        `json:"server"`
	Handle   string        `json:"handle"`
	Function string        `json:"function"`
	Key      string        `json:"key"`
	Attempts int           `json:"attempts"`
	Size     int           `json:"size"`
	Died     time.Time     `json:"died"`
	Priority string        `json:"priority,omitempty"`
	Payload  string        `json:"payload,omitempty"`
	History  []deadAttempt `json:"history,omitempty"`
}

type deadAttempt struct {
	Number  int       `json:"number"`
	Worker  string    `json:"worker"`
	Started time.Time `json:"started"`
	Ended   time.Time `json:"ended"`
	Reason  string    `json:"reason"`
	Detail  string    `json:"detail,omitempty"`
}

// came is what the attempt came to.
func (at deadAttempt) came() string {
	if at.Detail == "" {
		return at.Reason
	}
	return at.Reason + ": " + at.Detail
}

func deadRowOf(server string, d gearman.DeadLetter) deadRow {
	row := deadRow{server, d.Handle, d.Function, d.Key, d.Attempts, d.Size, d.Died, d.Priority, d.Payload, nil}
	for _, a := range d.History {
		row.History = append(row.History, deadAttempt(a))
	}
	return row
}

func deadRows(ctx context.Context, server string, admin *gearman.Admin) ([]adminRow, error) {
	list, err := admin.DeadLetters(ctx)
	return rowsOf(list, err, func(d gearman.DeadLetter) adminRow { return deadRowOf(server, d) })
}

func (r deadRow) cells() []string {
	return []string{r.Server, r.Handle, r.Function, r.Key, strconv.Itoa(r.Attempts), strconv.Itoa(r.Size), r.Died.Format(time.RFC3339)}
}

// printDead writes one dead letter, a name and its value in each line.
func (a *adminCommand) printDead(row deadRow) error {
	if a.asJSON {
		return printJSON(a.std.out, row)
	}
	lines := []adminRow{
		nameRow{"handle", row.Handle}, nameRow{"server", row.Server}, nameRow{"function", row.Function},
		nameRow{"key", row.Key}, nameRow{"priority", row.Priority}, nameRow{"died", row.Died.Format(time.RFC3339)},
		nameRow{"size", strconv.Itoa(row.Size)}, nameRow{"payload", row.Payload},
	}
	for _, at := range row.History {
		lines = append(lines, nameRow{"attempt " + strconv.Itoa(at.Number),
			fmt.Sprintf("%s, %s to %s: %s", visible(at.Worker), at.Started.Format(time.RFC3339), at.Ended.Format(time.RFC3339), at.came())})
	}
	return printTable(a.std.out, "NAME VALUE", lines)
}

// nameRow is a line of printDead.
type nameRow struct{ name, value string }

func (r nameRow) cells() []string { return []string{r.name, r.value} }
