package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"

	"github.com/spf13/cobra"

	"github.com/geartrain/geartrain/flow"
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
	all := []flow.Problem{}
	var unreadable error
	for _, name := range names {
		plan, problems, err := readPlan(std, name)
		all = append(all, problems...)
		if plan != nil {
			more, err := server.check(ctx, plan)
			all = append(all, more...)
			unreadable = errors.Join(unreadable, err)
		}
		var invalid *flow.ValidationError
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
func writeProblems(std *streams, problems []flow.Problem, format string) error {
	switch format {
	case "json":
		return json.NewEncoder(std.out).Encode(problems)
	case "github":
		for _, p := range problems {
			severity := "error"
			if p.Warning {
				severity = "warning"
			}
			_, err := fmt.Fprintf(std.out, "::%s file=%s,line=%d,col=%d,endColumn=%d,title=%s::%s\n",
				severity, p.File, p.Line, p.Column, p.EndColumn, p.Rule, p.Message)
			if err != nil {
				return err
			}
		}
		return nil
	}
	return flow.WriteProblems(std.out, problems)
}

// readPlan reads a pipeline file, or standard input for "-". The problems are all there are, warnings
// among them; the error is a *[flow.ValidationError], or says why the file is not readable.
func readPlan(std *streams, name string) (*flow.Plan, []flow.Problem, error) {
	var plan *flow.Plan
	var warnings []flow.Problem
	var err error
	if name == "-" {
		plan, warnings, err = flow.Load("standard input", std.in)
	} else {
		plan, warnings, err = flow.LoadFile(name)
	}
	var invalid *flow.ValidationError
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
	return plan, warnings, nil
}

// loadPlan is readPlan for commands that go on with the plan: they say all problems on standard error.
func loadPlan(std *streams, name string) (*flow.Plan, error) {
	plan, problems, err := readPlan(std, name)
	if writeErr := flow.WriteProblems(std.err, problems); writeErr != nil {
		return nil, writeErr
	}
	var invalid *flow.ValidationError
	if errors.As(err, &invalid) {
		return nil, &codedError{exitInvalid, fmt.Errorf("%s is not valid; nothing was run", name)}
	}
	return plan, err
}
