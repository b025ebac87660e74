package main

import (
	"encoding/json"
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

// version is the release this source is, or will become.
const version = "0.1.0"

func newVersionCommand(std *streams) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "version",
		Short: "Print the version",
		Args:  cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			info := map[string]string{"version": version, "revision": revision(), "go": runtime.Version()}
			if asJSON {
				return json.NewEncoder(std.out).Encode(info)
			}
			_, err := fmt.Fprintf(std.out, "geartrain %s (%s, %s)\n", info["version"], info["revision"], info["go"])
			return err
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object")
	return cmd
}

// revision is the commit that the binary was built from, as far as the toolchain knows.
func revision() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	for _, setting := range info.Settings {
		if setting.Key == "vcs.revision" {
			return setting.Value
		}
	}
	return "unknown"
}
