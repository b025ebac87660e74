// Package source holds what the jobs of the stdlib example do: count one package's source files, and
// merge the counts of many into a report. The commands count and report wrap it.
package source

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// Count is what is known about one package. It is a job's result, as JSON.
type Count struct {
	Package     string         `json:"package"` // its import path
	Files       int            `json:"files"`
	Lines       int            `json:"lines"`
	Functions   int            `json:"functions"`   // with methods
	Identifiers map[string]int `json:"identifiers"` // how often each is used, the blank one left out
	Imports     []string       `json:"imports"`     // sorted, each once
}

// Read counts the Go files of the folder dir, whose import path is path. Test files and files of
// another package (the programs that generate code are package main) are left out, so a package of
// tests alone counts nothing. Build constraints are not looked at: counts are the same on all systems.
func Read(path, dir string) (Count, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return Count{}, fmt.Errorf("package %q: %w", path, err)
	}
	count := Count{Package: path, Identifiers: map[string]int{}, Imports: []string{}}
	for _, entry := range entries {
		name := entry.Name()
		if !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") {
			continue
		}
		if err := count.readFile(filepath.Join(dir, name)); err != nil {
			return Count{}, fmt.Errorf("package %q: %w", path, err)
		}
	}
	slices.Sort(count.Imports)
	count.Imports = slices.Compact(count.Imports)
	return count, nil
}

func (c *Count) readFile(name string) error {
	text, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	file, err := parser.ParseFile(token.NewFileSet(), name, text, parser.SkipObjectResolution)
	if err != nil {
		return err
	}
	if file.Name.Name == "main" {
		return nil
	}
	c.Files++
	c.Lines += bytes.Count(text, []byte("\n"))
	return c.add(file)
}

func (c *Count) add(file *ast.File) error {
	for _, spec := range file.Imports {
		path, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			return fmt.Errorf("import %s: %w", spec.Path.Value, err)
		}
		c.Imports = append(c.Imports, path)
	}
	ast.Inspect(file, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.FuncDecl:
			c.Functions++
		case *ast.Ident:
			if n.Name != "_" {
				c.Identifiers[n.Name]++
			}
		}
		return true
	})
	return nil
}
