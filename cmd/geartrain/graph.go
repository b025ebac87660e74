package main

import (
	"io"

	"github.com/spf13/cobra"

	"github.com/geartrain/geartrain/flow"
	"github.com/geartrain/geartrain/flow/draw"
)

func newGraphCommand(std *streams) *cobra.Command {
	var format string
	cmd := &cobra.Command{
		Use:   "graph FILE",
		Short: "Draw a pipeline: what waits for what, and how",
		Long: `Draws the stages of a pipeline file and what is between them: a barrier (all results, when all has ended), a
stream (each result as it arrives), mere order, a stage that feeds itself, hooks. As text, as a Mermaid flow chart for
Markdown, or for Graphviz. Nothing is run.`,
		Example: `  geartrain graph crawl.yaml
  geartrain graph crawl.yaml --format mermaid
  geartrain graph crawl.yaml --format dot | dot -Tsvg >crawl.svg`,
		Args: cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			write := map[string]func(io.Writer, *flow.Plan) error{"text": draw.Text, "mermaid": draw.Mermaid, "dot": draw.Dot}[format]
			if write == nil {
				return usageError("--format %q: it is text, mermaid or dot", format)
			}
			plan, err := loadPlan(std, args[0])
			if err != nil {
				return err
			}
			return write(std.out, plan)
		},
	}
	cmd.Flags().StringVar(&format, "format", "text", "text, mermaid or dot")
	return cmd
}
