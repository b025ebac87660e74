// Command count is one job of stdlib.yaml: it counts the source files of one package of the standard
// library and writes the counts to standard output as JSON.
//
//	count net/http
package main

import (
	"encoding/json"
	"fmt"
	"go/build"
	"os"
	"path/filepath"

	"github.com/geartrain/geartrain/examples/stdlib/source"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "count:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) != 1 {
		return fmt.Errorf("want one argument, the import path of a package, got %d", len(args))
	}
	dir := filepath.Join(build.Default.GOROOT, "src", filepath.FromSlash(args[0]))
	count, err := source.Read(args[0], dir)
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(count)
}
