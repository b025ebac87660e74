package main

import (
	"fmt"
	"io"
	"unicode/utf8"

	"github.com/spf13/pflag"

	"github.com/geartrain/geartrain/flow"
	"github.com/geartrain/geartrain/flow/value"
)

// keyStage is the stage of a pipeline file whose keys are explained, in a run of it.
type keyStage struct {
	file  string
	name  string
	index int
	run   runCommand
}

func (s *keyStage) register(flags *pflag.FlagSet) {
	flags.StringVarP(&s.file, "file", "f", "", "pipeline file; the arguments are then items of --stage")
	flags.StringVar(&s.name, "stage", "", "stage of the pipeline")
	flags.StringArrayVarP(&s.run.params, "param", "p", nil, "a parameter of the pipeline, name=value; may be repeated")
	flags.StringVar(&s.run.paramsFile, "params", "", "JSON file with parameters; -p wins")
	flags.StringVar(&s.run.at, "at", "", "the run's logical time, as 2026-11-22T10:18:34Z (default now, which is a new run)")
	flags.IntVar(&s.index, "index", 0, "index of the first item, for keys that depend on it")
}

// explainStage prints the keys of the jobs that a stage makes of items; without any, of the stage's one job.
func (k *keyCommand) explainStage(items []string) error {
	s := &k.stage
	switch {
	case s.name == "":
		return usageError("--file wants --stage")
	case k.version != "":
		return usageError("--version: the version is the file's to say")
	}
	plan, err := loadPlan(k.std, s.file)
	if err != nil {
		return err
	}
	s.run.std, s.run.concurrency = k.std, 1
	options, err := s.run.options(plan, noKeeper())
	if err != nil {
		return err
	}
	if k.scope != "" {
		options.ID = k.scope
	}
	data := []flow.Datum{{Kind: flow.KeyNone}}
	if len(items) > 0 {
		if data, err = k.items(items); err != nil {
			return err
		}
	}
	var all []explained
	for i, item := range data {
		parts, err := plan.JobParts(options, s.name, item, s.index+i)
		if err != nil {
			return usageError("%w", err)
		}
		for _, p := range parts {
			one, err := explainedOf(p)
			if err != nil {
				return err
			}
			all = append(all, one)
		}
	}
	return k.print(all)
}

func (k *keyCommand) items(texts []string) ([]flow.Datum, error) {
	all := make([]flow.Datum, len(texts))
	for i, text := range texts {
		text, err := k.text(text)
		if err != nil {
			return nil, err
		}
		all[i] = flow.Datum{Kind: flow.KeyKind(k.kind), Raw: []byte(text)}
		switch all[i].Kind {
		case flow.KeyJSON, flow.KeyText, flow.KeyBytes:
		default:
			return nil, k.wrongKind()
		}
	}
	return all, nil
}

// text is an argument as it was written, or standard input.
func (k *keyCommand) text(argument string) (string, error) {
	if argument != "-" {
		return argument, nil
	}
	input, err := io.ReadAll(k.std.in)
	if err != nil {
		return "", fmt.Errorf("read standard input: %w", err)
	}
	return string(input), nil
}

// writtenArguments are a job's arguments as they could be given to the command.
func writtenArguments(p flow.KeyParts) (string, error) {
	switch a := p.Arguments.(type) {
	case nil:
		return "", nil
	case string:
		if p.Kind == flow.KeyText && utf8.ValidString(a) {
			return a, nil
		}
	case []byte:
		return string(a), nil
	}
	text, err := value.EncodeJSON(p.Arguments)
	return string(text), err
}
