package main

import (
	"io"

	"github.com/spf13/cobra"
)

// streams are the three standard streams of one invocation.
type streams struct {
	in  io.Reader
	out io.Writer // results and lists, nothing else
	err *console  // progress, log, hints
}

func newRoot(std *streams) *cobra.Command {
	var logging logFlags
	root := &cobra.Command{
		Use:           "geartrain",
		Short:         "Batch pipelines on Gearman task sets, with a job server that keeps its word",
		SilenceUsage:  true,
		SilenceErrors: true,
		Args:          cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return cmd.Help()
		},
	}
	root.SetIn(std.in)
	root.SetOut(std.out)
	root.SetErr(std.err)
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return usageError("%w; see: %s --help", err, cmd.CommandPath())
	})
	logging.register(root.PersistentFlags())
	root.AddCommand(
		newRunCommand(std, &logging),
		newPsCommand(std),
		newStatusCommand(std),
		newLogsCommand(std),
		newWhyCommand(std),
		newResultsCommand(std),
		newRetryCommand(std, &logging),
		newValidateCommand(std, &logging),
		newScheduleCommand(std, &logging),
		newBackfillCommand(std, &logging),
		newPlanCommand(std, &logging),
		newGraphCommand(std),
		newTestCommand(std, &logging),
		newExplainCommand(std),
		newDiffCommand(std),
		newReportCommand(std),
		newWorkerCommand(std, &logging),
		newDoCommand(std, &logging),
		newAttachCommand(std, &logging),
		newCancelCommand(std, &logging),
		newKeyCommand(std),
		newServerCommand(std, &logging),
		newAdminCommand(std),
		newDoctorCommand(std, &logging),
		newPauseCommand(std),
		newResumeCommand(std),
		newBackupCommand(std),
		newOldCommand(std, &logging),
		newSchemaCommand(std),
		newBenchCommand(std, &logging),
		newVersionCommand(std),
	)
	for _, sub := range root.Commands() {
		usageForArguments(sub)
	}
	return root
}

// usageForArguments makes wrong positional arguments a usage error, as wrong flags are, of cmd and of
// all beneath it.
func usageForArguments(cmd *cobra.Command) {
	for _, sub := range cmd.Commands() {
		usageForArguments(sub)
	}
	check := cmd.Args
	if check == nil {
		check = cobra.ArbitraryArgs
	}
	cmd.Args = func(cmd *cobra.Command, args []string) error {
		if err := check(cmd, args); err != nil {
			return usageError("%w; usage: %s", err, cmd.UseLine())
		}
		return nil
	}
}
