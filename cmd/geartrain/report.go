package main

import (
	"bufio"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/geartrain/geartrain/flow/page"
)

func newReportCommand(std *streams) *cobra.Command {
	var state stateFlags
	cmd := &cobra.Command{
		Use:   "report RUN",
		Short: "Write a run as one HTML page that needs nothing else",
		Long: `Writes a page to standard output: how the run ended, a bar for each stage on a common time axis, failures by what they
have in common, the slowest items, those with the most attempts, hooks, and the end of the log. The page has no scripts
and fetches nothing, so it can be mailed and archived; its size does not grow with the number of jobs. RUN is a run's id, a
beginning of it, or "last".`,
		Example: `  geartrain report last >run.html`,
		Args:    cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			folder, run, err := state.find(args[0])
			if err != nil {
				return err
			}
			defer folder.Close() // it is only read
			shown, err := page.Read(run)
			if err != nil {
				return err
			}
			w := bufio.NewWriter(std.out)
			if err := errors.Join(shown.Write(w), w.Flush()); err != nil {
				return fmt.Errorf("write the page: %w", err)
			}
			return nil
		},
	}
	state.register(cmd.Flags())
	return cmd
}
