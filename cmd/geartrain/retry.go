package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/spf13/cobra"

	"github.com/geartrain/geartrain/flow"
	"github.com/geartrain/geartrain/flow/form"
	"github.com/geartrain/geartrain/flow/runs"
)

// retryCommand is `geartrain retry`: a run that is kept, started again as the run that it is.
type retryCommand struct {
	run    runCommand
	failed bool
	from   string
	only   string
}

func newRetryCommand(std *streams, logging *logFlags) *cobra.Command {
	r := &retryCommand{run: runCommand{std: std, logging: logging}}
	cmd := &cobra.Command{
		Use:   "retry RUN",
		Short: "Start a kept run again: what failed or is missing runs, what has a result does not",
		Long: `Starts a run again, with its parameters and its logical time, from its file as it is now: a stage whose command or
version has changed is other work, and runs. What has a result is not run, unless --from or --only names a stage whose
jobs are to run in any case. It also carries on a run that was killed. A run of a sample stays one.`,
		Example: `  geartrain retry last
  geartrain retry r1.abcdef --from parse
  geartrain retry r1.abcdef --only report
  geartrain retry r1.abcdef --detach`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return r.retry(cmd.Context(), args[0]) },
	}
	flags := cmd.Flags()
	flags.BoolVar(&r.failed, "failed", false, "only what failed or is missing, which is also the default")
	flags.StringVar(&r.from, "from", "", "run all jobs of this stage again, and of those that need it")
	flags.StringVar(&r.only, "only", "", "run all jobs of this stage again, and nothing that comes after it")
	r.run.servers.register(flags)
	r.run.state.register(flags)
	flags.BoolVar(&r.run.detached, "detach", false, "leave the run to a runner of its server, and print its id")
	r.run.registerHow(flags)
	return cmd
}

func (r *retryCommand) retry(ctx context.Context, text string) error {
	if r.failed && (r.from != "" || r.only != "") || r.from != "" && r.only != "" {
		return usageError("--failed, --from and --only each say what runs again; give one of them")
	}
	if r.only != "" && r.run.detached {
		return usageError("--only cuts the pipeline short, which a runner elsewhere does not; leave out --detach")
	}
	state, kept, err := r.run.state.find(text)
	if err != nil {
		return err
	}
	k := noKeeper()
	k.state = state
	err = r.again(ctx, kept, k)
	if closeErr := k.close(); err == nil {
		err = closeErr
	}
	return err
}

func (r *retryCommand) again(ctx context.Context, kept *runs.Run, k *keeper) error {
	plan, err := r.load(kept, k)
	if err != nil {
		return err
	}
	if plan, err = r.choose(plan); err != nil {
		return err
	}
	if r.run.servers.named() == nil {
		r.run.servers.given = kept.Record.Servers
	}
	r.run.kept = &kept.Record
	return r.run.runKept(ctx, kept.Record.File, plan, k)
}

// load reads the run's file as it is now; when it is gone, as it was.
func (r *retryCommand) load(kept *runs.Run, k *keeper) (*flow.Plan, error) {
	file := kept.Record.File
	k.path = file
	if file != "" {
		if _, err := os.Stat(file); err == nil {
			if _, k.source, err = sourceOf(file); err != nil {
				return nil, err
			}
			if runs.HashFile(k.source) != kept.Record.FileHash {
				fmt.Fprintf(r.run.std.err, "note: %s has changed since the run was started; what it changes is other work\n", filepath.Base(file))
			}
			return loadPlan(r.run.std, file)
		}
	}
	source, err := kept.Source()
	if errors.Is(err, fs.ErrNotExist) || err == nil && len(source) == 0 {
		return nil, &codedError{exitNoServer, fmt.Errorf("the file of run %s is not kept; start it again with its file", shortID(kept.Record.ID))}
	}
	if err != nil {
		return nil, err
	}
	k.source = source
	read, err := form.Load(file, bytes.NewReader(source))
	if err != nil {
		return nil, err
	}
	return read.Plan, nil
}

// choose says which stages run in any case, and cuts off what is not to run.
func (r *retryCommand) choose(plan *flow.Plan) (*flow.Plan, error) {
	name := r.from + r.only
	if name == "" {
		return plan, nil
	}
	if !slices.ContainsFunc(plan.Stages, func(s flow.Stage) bool { return s.Name == name }) {
		return nil, &codedError{exitNotFound, fmt.Errorf("the pipeline has no stage %q; nothing was run", name)}
	}
	if r.only != "" {
		r.run.force = []string{name}
		return plan.Before(name), nil
	}
	r.run.force = plan.After(name)
	return plan, nil
}
