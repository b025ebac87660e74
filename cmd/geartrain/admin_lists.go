package main

import (
	"context"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/geartrain/geartrain/gearman"
)

// listCommands are the commands that only look.
func (a *adminCommand) listCommands() []*cobra.Command {
	return []*cobra.Command{
		a.listCommand("status", "Functions: jobs in all, running jobs, workers that can do them",
			"SERVER FUNCTION JOBS RUNNING WORKERS", functionRows, "functions"),
		a.listCommand("prioritystatus", "Functions: waiting jobs by priority, workers",
			"SERVER FUNCTION HIGH NORMAL LOW WORKERS", queueRows, "priority-status"),
		a.listCommand("workers", "Connections: address, id, functions",
			"SERVER CONNECTION ADDRESS ID FUNCTIONS", workerRows),
		a.jobsCommand(),
		a.listCommand("unique-jobs", "The keys of all jobs", "SERVER KEY", keyRows),
		a.listCommand("scheduled", "Jobs that wait for their time or for their next attempt", "SERVER HANDLE FUNCTION KEY AT", scheduledRows),
		a.listCommand("retained", "Results that are kept as the answers for their keys", "SERVER FUNCTION KEY SIZE AGE LEFT", retainedRows),
		a.listCommand("guarantees", "What each server promises; geartrain doctor says what that means",
			"SERVER DURABLE SYNC RETENTION PAYLOADS CANCEL ATTACH RETRIES", guaranteeRows),
		a.listCommand("version", "What each server says it is", "SERVER VERSION", versionRows),
		a.listCommand("getpid", "The process id of each server", "SERVER PID", pidRows),
	}
}

// rowSource asks one server for the rows of a list.
type rowSource func(ctx context.Context, server string, admin *gearman.Admin) ([]adminRow, error)

func (a *adminCommand) listCommand(name, short, header string, ask rowSource, aliases ...string) *cobra.Command {
	return &cobra.Command{
		Use: name, Short: short, Aliases: aliases, Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.list(cmd, header, ask) },
	}
}

// jobsCommand lists jobs, or with --unique their keys, which the protocol keeps apart.
func (a *adminCommand) jobsCommand() *cobra.Command {
	var unique bool
	cmd := &cobra.Command{
		Use: "jobs", Short: "Jobs: handle, how often they were handed out again, kind; or their keys", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if unique {
				return a.list(cmd, "SERVER KEY", keyRows)
			}
			return a.list(cmd, "SERVER HANDLE RETRIES BACKGROUND", jobRows)
		},
	}
	cmd.Flags().BoolVar(&unique, "unique", false, "list the jobs' keys instead")
	return cmd
}

// rowsOf makes rows of what a server has answered.
func rowsOf[T any](list []T, err error, row func(T) adminRow) ([]adminRow, error) {
	rows := make([]adminRow, len(list))
	for i, entry := range list {
		rows[i] = row(entry)
	}
	return rows, err
}

type functionRow struct {
	Server   string `json:"server"`
	Function string `json:"function"`
	Jobs     int    `json:"jobs"`
	Running  int    `json:"running"`
	Workers  int    `json:"workers"`
}

func (r functionRow) cells() []string {
	return []string{r.Server, r.Function, strconv.Itoa(r.Jobs), strconv.Itoa(r.Running), strconv.Itoa(r.Workers)}
}

func functionRows(ctx context.Context, server string, admin *gearman.Admin) ([]adminRow, error) {
	list, err := admin.Functions(ctx)
	return rowsOf(list, err, func(f gearman.FunctionStatus) adminRow {
		return functionRow{server, f.Function, f.Jobs, f.Running, f.Available}
	})
}

type queueRow struct {
	Server   string `json:"server"`
	Function string `json:"function"`
	High     int    `json:"high"`
	Normal   int    `json:"normal"`
	Low      int    `json:"low"`
	Workers  int    `json:"workers"`
}

func (r queueRow) cells() []string {
	return []string{r.Server, r.Function, strconv.Itoa(r.High), strconv.Itoa(r.Normal), strconv.Itoa(r.Low), strconv.Itoa(r.Workers)}
}

func queueRows(ctx context.Context, server string, admin *gearman.Admin) ([]adminRow, error) {
	list, err := admin.Queues(ctx)
	return rowsOf(list, err, func(f gearman.FunctionQueue) adminRow {
		return queueRow{server, f.Function, f.High, f.Normal, f.Low, f.Available}
	})
}

type workerRow struct {
	Server     string   `json:"server"`
	Connection int      `json:"connection"`
	Address    string   `json:"address"`
	ID         string   `json:"id"`
	Functions  []string `json:"functions"`
}

func (r workerRow) cells() []string {
	return []string{r.Server, strconv.Itoa(r.Connection), r.Address, r.ID, strings.Join(r.Functions, " ")}
}

func workerRows(ctx context.Context, server string, admin *gearman.Admin) ([]adminRow, error) {
	list, err := admin.Workers(ctx)
	return rowsOf(list, err, func(w gearman.WorkerStatus) adminRow {
		return workerRow{server, w.Connection, w.Address, w.ID, append([]string{}, w.Functions...)}
	})
}

type jobRow struct {
	Server     string `json:"server"`
	Handle     string `json:"handle"`
	Retries    int    `json:"retries"`
	Background bool   `json:"background"`
}

func (r jobRow) cells() []string {
	return []string{r.Server, r.Handle, strconv.Itoa(r.Retries), strconv.FormatBool(r.Background)}
}

func jobRows(ctx context.Context, server string, admin *gearman.Admin) ([]adminRow, error) {
	list, err := admin.Jobs(ctx)
	return rowsOf(list, err, func(j gearman.JobStatus) adminRow {
		return jobRow{server, j.Handle, j.Retries, j.Background}
	})
}

type keyRow struct {
	Server string `json:"server"`
	Key    string `json:"key"`
}

func (r keyRow) cells() []string { return []string{r.Server, r.Key} }

func keyRows(ctx context.Context, server string, admin *gearman.Admin) ([]adminRow, error) {
	list, err := admin.Keys(ctx)
	return rowsOf(list, err, func(key string) adminRow { return keyRow{server, key} })
}

type versionRow struct {
	Server  string `json:"server"`
	Version string `json:"version"`
}

func (r versionRow) cells() []string { return []string{r.Server, r.Version} }

func versionRows(ctx context.Context, server string, admin *gearman.Admin) ([]adminRow, error) {
	text, err := admin.Version(ctx)
	if err != nil {
		return nil, err
	}
	return []adminRow{versionRow{server, text}}, nil
}

type pidRow struct {
	Server string `json:"server"`
	PID    int    `json:"pid"`
}

func (r pidRow) cells() []string { return []string{r.Server, strconv.Itoa(r.PID)} }

func pidRows(ctx context.Context, server string, admin *gearman.Admin) ([]adminRow, error) {
	pid, err := admin.PID(ctx)
	if err != nil {
		return nil, err
	}
	return []adminRow{pidRow{server, pid}}, nil
}
