package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/geartrain/geartrain/gearman"
)

// newPauseCommand is `geartrain pause FUNCTION`, newResumeCommand its opposite. Each says how many jobs
// it is about.
func newPauseCommand(std *streams) *cobra.Command {
	return newHaltCommand(std, "pause FUNCTION", "Hand out no more jobs of a function; running ones go on, new ones wait",
		(*gearman.Admin).Pause, "paused %s on %s: %d jobs wait, %d run on\n")
}

func newResumeCommand(std *streams) *cobra.Command {
	return newHaltCommand(std, "resume FUNCTION", "Hand out the jobs of a function again after pause",
		(*gearman.Admin).Resume, "resumed %s on %s: %d jobs were waiting, %d run\n")
}

func newHaltCommand(std *streams, use, short string, do func(*gearman.Admin, context.Context, string) error, said string) *cobra.Command {
	a := &adminCommand{std: std}
	cmd := &cobra.Command{
		Use: use, Short: short, Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.changeSaying(cmd, func(ctx context.Context, server string, admin *gearman.Admin) (adminRow, string, error) {
				before, err := admin.Functions(ctx)
				if err == nil {
					err = do(admin, ctx, args[0])
				}
				var jobs gearman.FunctionStatus
				for _, f := range before {
					if f.Function == args[0] {
						jobs = f
					}
				}
				row := haltedRow{changedRow{server}, args[0], jobs.Jobs - jobs.Running, jobs.Running}
				return row, fmt.Sprintf(said, visible(args[0]), server, row.Waiting, row.Running), err
			})
		},
	}
	a.register(cmd.Flags())
	return cmd
}

// haltedRow is a server that has paused or resumed a function, with the jobs that were there.
type haltedRow struct {
	changedRow
	Function string `json:"function"`
	Waiting  int    `json:"waiting"`
	Running  int    `json:"running"`
}
