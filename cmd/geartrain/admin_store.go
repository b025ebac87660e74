package main

import (
	"cmp"
	"context"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/geartrain/geartrain/gearman"
)

type scheduledRow struct {
	Server   string    `json:"server"`
	Handle   string    `json:"handle"`
	Function string    `json:"function"`
	Key      string    `json:"key"`
	At       time.Time `json:"at"`
}

func (r scheduledRow) cells() []string {
	return []string{r.Server, r.Handle, r.Function, r.Key, r.At.Format(time.RFC3339)}
}

func scheduledRows(ctx context.Context, server string, admin *gearman.Admin) ([]adminRow, error) {
	list, err := admin.Scheduled(ctx)
	return rowsOf(list, err, func(j gearman.ScheduledJob) adminRow {
		return scheduledRow{server, j.Handle, j.Function, j.Key, j.At.UTC()}
	})
}

// retainedRow is a kept result; ages are in seconds in JSON.
type retainedRow struct {
	Server   string `json:"server"`
	Function string `json:"function"`
	Key      string `json:"key"`
	Size     int    `json:"size"`
	Age      int64  `json:"age_seconds"`
	Left     int64  `json:"left_seconds"`
}

func (r retainedRow) cells() []string {
	seconds := func(n int64) string { return (time.Duration(n) * time.Second).String() }
	return []string{r.Server, r.Function, r.Key, strconv.Itoa(r.Size), seconds(r.Age), seconds(r.Left)}
}

func retainedRows(ctx context.Context, server string, admin *gearman.Admin) ([]adminRow, error) {
	list, err := admin.Retained(ctx)
	return rowsOf(list, err, func(r gearman.RetainedResult) adminRow {
		return retainedRow{server, r.Function, r.Key, r.Size, int64(r.Age / time.Second), int64(r.Left / time.Second)}
	})
}

type guaranteeRow struct{ gearman.Guarantees }

func (r guaranteeRow) cells() []string {
	retained := cmp.Or(r.Retained, string(r.Retention))
	return []string{r.Server, string(r.Durable), r.Sync, retained, r.PayloadGuard, string(r.Cancel), string(r.Attach), string(r.Retries)}
}

func guaranteeRows(ctx context.Context, server string, admin *gearman.Admin) ([]adminRow, error) {
	g, err := admin.Guarantees(ctx)
	if err != nil {
		return nil, err
	}
	g.Server, g.Extension = server, true
	g.Version, err = admin.Version(ctx)
	return []adminRow{guaranteeRow{g}}, err
}

// newBackupCommand is `geartrain backup DIR`.
func newBackupCommand(std *streams) *cobra.Command {
	a := &adminCommand{std: std}
	cmd := &cobra.Command{
		Use:   "backup DIR",
		Short: "Have a server write a copy of its data into a new folder on its own machine, while it runs",
		Long: `The server writes the copy itself, into a folder on its machine which must not be there yet, and lies in the folder of
its --backup-dir; DIR may be relative to that. The copy is of one moment, and jobs go on meanwhile. To restore it,
start a server with --data and a copy of it. A server without --data or --backup-dir refuses (8), and so does any for
peers on other machines.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(a.servers.orDefault()) > 1 {
				return usageError("a backup is of one server; name one with -S")
			}
			dir := args[0]
			return a.changeSaying(cmd, func(ctx context.Context, server string, admin *gearman.Admin) (adminRow, string, error) {
				return changedRow{server}, "backup of " + server + " written to " + visible(dir) + "\n", admin.Backup(ctx, dir)
			})
		},
	}
	a.register(cmd.Flags())
	return cmd
}
