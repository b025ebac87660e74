// Command report is the last job of stdlib.yaml: it reads the counts of all packages from standard
// input, as JSON, and writes the ranked report to standard output.
package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"

	"github.com/geartrain/geartrain/examples/stdlib/source"
)

func main() {
	if err := run(os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "report:", err)
		os.Exit(1)
	}
}

func run(r io.Reader, w io.Writer) error {
	var args struct {
		Packages []source.Count `json:"packages"`
	}
	if err := json.NewDecoder(r).Decode(&args); err != nil {
		return fmt.Errorf("read counts: %w", err)
	}
	return source.WriteReport(w, args.Packages)
}
