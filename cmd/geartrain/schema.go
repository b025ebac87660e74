package main

import (
	"github.com/spf13/cobra"

	"github.com/geartrain/geartrain/flow/form"
)

func newSchemaCommand(std *streams) *cobra.Command {
	return &cobra.Command{
		Use:   "schema",
		Short: "Print the form of pipeline files as a JSON Schema, for editors",
		Long: `Prints a JSON Schema (2020-12) of pipeline files, made from the same table as the validator. With it an editor
knows the keys, what they are for and what they take; whether a file is valid only "geartrain validate" knows.`,
		Example: `  geartrain schema >pipeline.schema.json
  # yaml-language-server: $schema=pipeline.schema.json      (the first line of a pipeline file)`,
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			text, err := form.Schema()
			if err != nil {
				return err
			}
			_, err = std.out.Write(text)
			return err
		},
	}
}
