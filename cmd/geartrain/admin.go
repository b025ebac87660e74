package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/geartrain/geartrain/gearman"
)

// adminCommand is `geartrain admin`: what gearadmin does, for every server that is named.
type adminCommand struct {
	std     *streams
	servers serverFlags
	asJSON  bool
	timeout time.Duration
}

func newAdminCommand(std *streams) *cobra.Command {
	a := &adminCommand{std: std}
	cmd := &cobra.Command{
		Use:   "admin",
		Short: "Look at job servers and change what they hold; works with gearmand too",
		Long: `Each command is carried out by every server that is named. Lists are tables, or one JSON array with --json, whose
objects name their server; fields are added to them and never renamed. A command about a job or a function ends with
code 7 when no server knows it, and with 8 when a server refuses it.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	a.register(cmd.PersistentFlags())
	cmd.AddCommand(a.listCommands()...)
	cmd.AddCommand(a.changeCommands()...)
	cmd.AddCommand(a.deadCommand())
	return cmd
}

func (a *adminCommand) register(flags *pflag.FlagSet) {
	a.servers.register(flags)
	flags.BoolVar(&a.asJSON, "json", false, "print one JSON array")
	flags.DurationVar(&a.timeout, "timeout", 30*time.Second, "how long one server may take")
}

// adminRow is one object of a list: its cells are for the table, itself is for JSON.
type adminRow interface{ cells() []string }

// list asks every server and prints all rows. Rows of servers that answered are printed also when
// others did not.
func (a *adminCommand) list(cmd *cobra.Command, header string, ask func(ctx context.Context, server string, admin *gearman.Admin) ([]adminRow, error)) error {
	rows := []adminRow{}
	var failed error
	for _, server := range a.servers.orDefault() {
		err := a.ask(cmd.Context(), server, func(ctx context.Context, admin *gearman.Admin) error {
			more, err := ask(ctx, server, admin)
			rows = append(rows, more...)
			return err
		})
		failed = errors.Join(failed, err)
	}
	if len(rows) == 0 && failed != nil {
		return failed
	}
	if a.asJSON {
		return errors.Join(failed, printJSON(a.std.out, rows))
	}
	return errors.Join(failed, printTable(a.std.out, header, rows))
}

// change has every server do something. What not all of them know is found when one of them does.
func (a *adminCommand) change(cmd *cobra.Command, do func(ctx context.Context, admin *gearman.Admin) error) error {
	return a.changeSaying(cmd, func(ctx context.Context, server string, admin *gearman.Admin) (adminRow, string, error) {
		return changedRow{server}, "", do(ctx, admin)
	})
}

// changeSaying is change with a line of text, or a row of JSON, for each server that has done it.
func (a *adminCommand) changeSaying(cmd *cobra.Command, do func(ctx context.Context, server string, admin *gearman.Admin) (adminRow, string, error)) error {
	var failed, unknown error
	done := []adminRow{}
	for _, server := range a.servers.orDefault() {
		var row adminRow
		said := ""
		err := a.ask(cmd.Context(), server, func(ctx context.Context, admin *gearman.Admin) (err error) {
			row, said, err = do(ctx, server, admin)
			return err
		})
		switch {
		case err == nil:
			done = append(done, row)
			if !a.asJSON {
				_, err = io.WriteString(a.std.out, said)
				failed = errors.Join(failed, err)
			}
		case errors.Is(err, gearman.ErrNotFound):
			unknown = errors.Join(unknown, err)
		default:
			failed = errors.Join(failed, err)
		}
	}
	if failed == nil && len(done) == 0 {
		failed = unknown
	}
	if a.asJSON && len(done) > 0 {
		return errors.Join(failed, printJSON(a.std.out, done))
	}
	return failed
}

// changedRow is a server that has done what was asked.
type changedRow struct {
	Server string `json:"server"`
}

func (r changedRow) cells() []string { return []string{r.Server} }

// ask talks to one server for as long as it may take.
func (a *adminCommand) ask(ctx context.Context, server string, do func(context.Context, *gearman.Admin) error) error {
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	limited, cancel := context.WithTimeout(ctx, a.timeout)
	defer cancel()
	admin, err := gearman.DialAdmin(limited, gearman.AdminConfig{Server: server})
	if err == nil {
		defer admin.Close()
		err = do(limited, admin)
	}
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return &codedError{exitInterrupted, errors.New("interrupted")}
	case limited.Err() != nil:
		return &codedError{exitTimeout, fmt.Errorf("%s: no answer within %s", server, a.timeout)}
	case errors.Is(err, gearman.ErrNotFound):
		return &codedError{exitNotFound, fmt.Errorf("%s: %w", server, err)}
	}
	var refused *gearman.AdminError
	if errors.As(err, &refused) {
		return &codedError{exitRefused, fmt.Errorf("%s: %w", server, err)}
	}
	return err
}

func printJSON(w io.Writer, v any) error {
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	return encoder.Encode(v)
}

// printTable aligns the columns. Names come from strangers: what a terminal could take for a command
// is made visible.
func printTable(w io.Writer, header string, rows []adminRow) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, strings.ReplaceAll(header, " ", "\t"))
	for _, row := range rows {
		cells := row.cells()
		for i, cell := range cells {
			cells[i] = visible(cell)
		}
		fmt.Fprintln(table, strings.Join(cells, "\t"))
	}
	return table.Flush()
}

// visible writes control characters as \xNN and nothing as a dash.
func visible(text string) string {
	if text == "" {
		return "-"
	}
	var b strings.Builder
	for _, r := range text {
		if r < ' ' || r >= 0x7f && r < 0xa0 {
			fmt.Fprintf(&b, `\x%02x`, r)
		} else {
			b.WriteRune(r)
		}
	}
	return b.String()
}
