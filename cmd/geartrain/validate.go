package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"

	"github.com/spf13/cobra"

	"github.com/geartrain/geartrain/flow"
	"github.com/geartrain/geartrain/flow/form"
	"github.com/geartrain/geartrain/flow/form/document"
)

func newValidateCommand(std *streams, logging *logFlags) *cobra.Command {
	var asJSON bool
	var format string
	server := serverCheck{std: std, logging: logging}
	cmd := &cobra.Command{
		Use:   "validate FILE...",
		Short: "Say everything that is wrong with pipeline files; - is standard input",
		Long: `Reports every problem at once as file:line:column: message [rule]. Exit code 0: all files are valid (there may
be warnings); 3: one is not; 4: one cannot be read. A file that was not understood is never valid.

With --server the functions are looked for among those that connected workers offer, and what the server cannot do is
said, with what will happen instead.`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if asJSON {
				format = "json"
			}
			return validate(cmd.Context(), std, args, format, &server)
		},
	}
	cmd.Flags().StringArrayVarP(&server.servers, "server", "S", nil, "job server HOST:PORT to compare the files with, may be repeated (default: none is asked)")
	cmd.Flags().BoolVar(&asJSON, "json", false, "short for --format json")
	cmd.Flags().StringVar(&format, "format", "text", "text, json (one list of problems), or github (annotations)")
	return cmd
}

func validate(ctx context.Context, std *streams, names []string, format string, server *serverCheck) error {
	if format != "text" && format != "json" && format != "github" {
		return usageError("--format %q: it is text, json or github", format)
	}
	all := []document.Problem{}
	var unreadable error
	for _, name := range names {
		file, problems, err := readFile(std, name)
		all = append(all, problems...)
		if file != nil {
			more, err := server.check(ctx, file)
			all = append(all, more...)
			unreadable = errors.Join(unreadable, err)
		}
		var invalid *form.Error
		if err != nil && !errors.As(err, &invalid) {
			unreadable = errors.Join(unreadable, err)
		}
	}
	if err := writeProblems(std, all, format); err != nil {
		return err
	}
	if unreadable != nil {
		return unreadable
	}
	for _, p := range all {
		if !p.Warning {
			return &codedError{code: exitInvalid}
		}
	}
	return nil
}

// writeProblems writes the list that was asked for: it is the result, so to standard output.
func writeProblems(std *streams, problems []document.Problem, format string) error {
	switch format {
	case "json":
		return json.NewEncoder(std.out).Encode(problems)
	case "github":
		for _, p := range problems {
			if _, err := fmt.Fprintln(std.out, p.Annotation()); err != nil {
				return err
			}
		}
		return nil
	}
	return document.WriteProblems(std.out, problems)
}

// readFile reads a pipeline file, or standard input for "-". The problems are all there are, warnings
// among them; the error is a *[form.Error], or says why the file is not readable.
func readFile(std *streams, name string) (*form.File, []document.Problem, error) {
	var file *form.File
	var err error
	if name == "-" {
		file, err = form.Load("standard input", std.in)
	} else {
		file, err = form.LoadFile(name)
	}
	var invalid *form.Error
	switch {
	case errors.As(err, &invalid):
		return nil, invalid.Problems, err
	case err != nil:
		var pathErr *fs.PathError
		if errors.As(err, &pathErr) {
			err = fmt.Errorf("%s: %w", pathErr.Path, pathErr.Err)
		}
		return nil, nil, &codedError{exitNoServer, err}
	}
	return file, file.Warnings, nil
}

// loadPlan is readFile for commands that go on with the plan: they say all problems on standard error.
func loadPlan(std *streams, name string) (*flow.Plan, error) {
	file, problems, err := readFile(std, name)
	if writeErr := document.WriteProblems(std.err, problems); writeErr != nil {
		return nil, writeErr
	}
	var invalid *form.Error
	if errors.As(err, &invalid) {
		return nil, &codedError{exitInvalid, fmt.Errorf("%s is not valid; nothing was run", name)}
	}
	if err != nil {
		return nil, err
	}
	return file.Plan, nil
}
