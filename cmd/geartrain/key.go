package main

import (
	"fmt"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"github.com/geartrain/geartrain/flow"
	"github.com/geartrain/geartrain/flow/value"
)

// keyCommand is `geartrain key explain`: a job's key and what it is made of.
type keyCommand struct {
	std     *streams
	version string
	scope   string
	kind    string
	asJSON  bool
	only    bool
	stage   keyStage
}

func newKeyCommand(std *streams) *cobra.Command {
	cmd := &cobra.Command{
		Use: "key", Short: "Idempotency keys", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newKeyExplainCommand(std))
	return cmd
}

func newKeyExplainCommand(std *streams) *cobra.Command {
	k := &keyCommand{std: std}
	cmd := &cobra.Command{
		Use:   "explain FUNCTION [ARGUMENT...] | --file FILE --stage NAME [ITEM...]",
		Short: "Print the parts of a job's key, the bytes that are hashed, and the key",
		Long: `Print what a pipeline's key is made of: the parts, their canonical bytes, and the key, which is "f1." and the SHA-256
of these bytes in base 32. Each ARGUMENT is a job of its own; - is standard input; without any it is the job without
arguments. Keys are equal exactly when all parts are: so two jobs that should have been one, or are and should not be,
are told apart here. With --file the parts are those of the jobs that a stage of the pipeline makes of items, after its
args, key, version and sources; of a stage without items there is one job and no ITEM. How other languages make the same key is in flow/KEYS.md.`,
		Example: `  geartrain key explain fetch https://example.org/
  geartrain key explain resize --kind json '{"width": 100, "photo": "a.png"}'
  geartrain key explain --file crawl.yaml --stage fetch -p seed=https://example.org/ https://example.org/a
  geartrain do fetch -u "$(geartrain key explain --only fetch URL)" URL`,
		Args: func(cmd *cobra.Command, args []string) error {
			if k.stage.file != "" {
				return nil
			}
			return cobra.MinimumNArgs(1)(cmd, args)
		},
		RunE: func(_ *cobra.Command, args []string) error { return k.run(args) },
	}
	flags := cmd.Flags()
	flags.StringVar(&k.version, "version", "", "version of the function; another version is other work")
	flags.StringVar(&k.scope, "scope", "", "the run's id; empty for keys that hold across runs, as with fresh:")
	flags.StringVar(&k.kind, "kind", "text", `what the arguments are: "text", "json" or "bytes"; text that is no UTF-8 counts as bytes`)
	flags.BoolVar(&k.asJSON, "json", false, "print one JSON array")
	flags.BoolVar(&k.only, "only", false, "print the keys alone, one in a line")
	k.stage.register(flags)
	return cmd
}

// explained is one key with its parts.
type explained struct {
	Function  string       `json:"function"`
	Version   string       `json:"version"`
	Scope     string       `json:"scope"`
	Kind      flow.KeyKind `json:"kind"`
	Arguments any          `json:"arguments"` // bytes stand as base64
	Canonical string       `json:"canonical"`
	Key       string       `json:"key"`

	given string // the arguments as they were written
}

func (k *keyCommand) run(args []string) error {
	if k.asJSON && k.only {
		return usageError("--json and --only are two ways to print: choose one")
	}
	if k.stage.file != "" {
		return k.explainStage(args)
	}
	if k.stage.name != "" {
		return usageError("--stage wants --file")
	}
	function, arguments := args[0], args[1:]
	var all []explained
	if len(arguments) == 0 {
		one, err := k.explain(function, flow.KeyNone, nil, "")
		if err != nil {
			return err
		}
		all = append(all, one)
	}
	for _, text := range arguments {
		one, err := k.argument(function, text)
		if err != nil {
			return err
		}
		all = append(all, one)
	}
	return k.print(all)
}

// argument explains the key of one job from its argument as it was written.
func (k *keyCommand) argument(function, text string) (explained, error) {
	text, err := k.text(text)
	if err != nil {
		return explained{}, err
	}
	switch kind := flow.KeyKind(k.kind); {
	case kind == flow.KeyJSON:
		v, err := value.DecodeJSON([]byte(text))
		if err != nil {
			return explained{}, usageError("argument %.40q: %w", text, err)
		}
		return k.explain(function, kind, v, text)
	case kind == flow.KeyBytes, kind == flow.KeyText && !utf8.ValidString(text):
		return k.explain(function, flow.KeyBytes, []byte(text), text)
	case kind == flow.KeyText:
		return k.explain(function, kind, text, text)
	}
	return explained{}, k.wrongKind()
}

func (k *keyCommand) wrongKind() error {
	return usageError("--kind %.40q: want text, json or bytes", k.kind)
}

func (k *keyCommand) explain(function string, kind flow.KeyKind, arguments any, given string) (explained, error) {
	e, err := explainedOf(flow.KeyParts{Function: function, Version: k.version, Scope: k.scope, Kind: kind, Arguments: arguments})
	e.given = given
	return e, err
}

func explainedOf(parts flow.KeyParts) (explained, error) {
	canonical, err := parts.Canonical()
	if err != nil {
		return explained{}, usageError("%w", err)
	}
	key, err := parts.Key()
	if err != nil {
		return explained{}, usageError("%w", err)
	}
	given, err := writtenArguments(parts)
	return explained{parts.Function, parts.Version, parts.Scope, parts.Kind, parts.Arguments, string(canonical), key, given}, err
}

func (k *keyCommand) print(all []explained) error {
	if k.asJSON {
		return printJSON(k.std.out, all)
	}
	for i, e := range all {
		if k.only {
			if _, err := fmt.Fprintln(k.std.out, e.Key); err != nil {
				return err
			}
			continue
		}
		if i > 0 {
			fmt.Fprintln(k.std.out)
		}
		rows := []adminRow{
			nameRow{"function", e.Function}, nameRow{"version", e.Version}, nameRow{"scope", e.Scope}, nameRow{"kind", string(e.Kind)},
			nameRow{"arguments", e.given}, nameRow{"canonical", e.Canonical}, nameRow{"key", e.Key},
		}
		if err := printTable(k.std.out, "PART VALUE", rows); err != nil {
			return err
		}
	}
	return nil
}
