package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// module is the prefix of our own packages.
const module = "github.com/geartrain/geartrain/"

// layer says what the packages below a path may and may not import, outside tests. Paths are ours
// where they begin with "./", and stand for what is below them too where they end in "/...".
type layer struct {
	packages string
	ours     []string // the only packages of ours that may be imported directly; nil: any
	direct   []string // what must not be imported directly
	reach    []string // what must not be reached at all
	because  string
}

var layers = []layer{
	{"./gearman/protocol", []string{}, []string{"net", "net/http/...", "net/rpc/...", "net/textproto", "os/...", "log/...", "sync/..."}, nil,
		"the wire is bytes alone, so that client, server, proxies and tests can all stand on it"},
	{"./gearman/protocol/transcript", []string{"./gearman/protocol"}, []string{"net/...", "os/...", "log/..."}, nil,
		"conversations are played against anything, not only over sockets"},
	{"./gearman", []string{"./gearman/protocol"}, nil, []string{"net/http/...", "gopkg.in/yaml.v3", "./server/...", "./flow/..."},
		"the library is good alone, and small in the programs that use it"},
	{"./gearman/command", []string{"./gearman", "./gearman/protocol"}, nil, []string{"./server/...", "./flow/..."},
		"running a program as a job needs the worker library alone"},
	{"./gearman/load", []string{"./gearman/protocol"}, nil, []string{"./server/...", "./flow/..."},
		"what measures servers stands on the wire alone, not on a client that would be measured too"},
	{"./server/queue", []string{"./gearman/protocol", "./server/store"}, []string{"net/...", "os/...", "log/...", "sync/...", "context", "math/rand", "crypto/rand"}, nil,
		"the queue is a pure state machine: no I/O, no clock, no goroutine, no chance but that of a seed"},
	{"./server/poll", []string{}, nil, nil,
		"watching sockets has nothing to do with what is said over them"},
	{"./server/...", nil, nil, []string{"./gearman", "./gearman/command/...", "./flow/...", "./cmd/...", "./examples/..."},
		"the server never imports the client; its tests do"},
	{"./server", nil, nil, []string{"./server/web/...", "./server/servertest"},
		"the page knows the server, never the other way round"},
	{"./flow/...", nil, nil, []string{"./cmd/...", "./examples/..."},
		"imports run one way"},
	{"./flow/wording", []string{}, nil, nil, "what messages have in common stands beneath all that say some"},
	{"./flow/value", []string{"./flow/wording"}, nil, nil, "values know nothing of the pipelines that pass them on"},
	{"./flow/change", []string{"./flow/value"}, nil, nil, "how values differ has nothing to do with where they come from"},
	{"./flow/expression", []string{"./flow/value", "./flow/wording"}, []string{"net", "net/http/...", "os/...", "log/...", "math/rand/...", "crypto/rand"}, nil,
		"expressions are pure: they see the values that they are given, and nothing else"},
	{"./flow/sources", []string{"./flow/wording"}, nil, nil, "files in keys are found without knowing what for"},
	{"./flow", []string{"./flow/value", "./flow/expression", "./flow/sources", "./flow/wording", "./gearman", "./gearman/command", "./gearman/protocol"},
		nil, []string{"./flow/form/...", "gopkg.in/yaml.v3"}, "a plan knows nothing of the form that it was written in"},
	{"./flow/form/document", []string{"./flow/value", "./flow/expression", "./flow/wording"}, nil, nil,
		"YAML is read without knowing what pipelines are"},
	{"./flow/form", nil, nil, []string{"./flow/runs/..."}, "a file is read and checked without running it"},
	{"./flow", nil, nil, []string{"./server/..."},
		"pipelines run on any job server"},
	{"./flow/runs", []string{"./flow", "./flow/form", "./flow/value", "./gearman", "./gearman/command"}, nil, []string{"./server/..."},
		"the life of runs needs a client, not a server"},
}

// testLibraries are for tests, and for packages that serve tests, whose names end in "test".
var testLibraries = []string{
	"github.com/stretchr/testify/...", "pgregory.net/rapid/...", "go.uber.org/goleak/...",
	"github.com/rogpeppe/go-internal/testscript/...", "testing/...",
}

func TestImports(t *testing.T) {
	t.Parallel()
	packages := listPackages(t)
	for _, l := range layers {
		for _, p := range packages {
			if !below(p.ImportPath, l.packages) {
				continue
			}
			for _, path := range p.Imports {
				require.False(t, l.ours != nil && strings.HasPrefix(path, module) && !slices.Contains(l.ours, short(path)),
					"%s imports %s: %s", p.ImportPath, path, l.because)
				require.False(t, belowAny(path, l.direct), "%s imports %s: %s", p.ImportPath, path, l.because)
			}
			for _, path := range p.Deps {
				require.False(t, belowAny(path, l.reach), "%s reaches %s: %s", p.ImportPath, path, l.because)
			}
		}
	}
}

func TestTestLibrariesStayOutOfPrograms(t *testing.T) {
	t.Parallel()
	for _, p := range listPackages(t) {
		for _, path := range p.Deps {
			require.False(t, belowAny(path, testLibraries) && !strings.HasSuffix(p.ImportPath, "test"),
				"%s reaches %s, which is for tests", p.ImportPath, path)
		}
	}
}

// Only one package knows YAML, so that the library can be changed there.
func TestYAMLIsReadInOnePlace(t *testing.T) {
	t.Parallel()
	for _, p := range listPackages(t) {
		if slices.Contains(p.Imports, "gopkg.in/yaml.v3") {
			require.Equal(t, module+"flow/form/document", p.ImportPath, "only the reader of pipeline files imports YAML")
		}
	}
}

func TestPackagesHaveDoc(t *testing.T) {
	t.Parallel()
	for _, p := range listPackages(t) {
		if len(p.GoFiles) > 0 {
			require.NotEmpty(t, p.Doc, "%s has no package comment", p.ImportPath)
		}
	}
}

// What a package does at start-up without being asked cannot be tested, and no importer sees it.
func TestNoInit(t *testing.T) {
	t.Parallel()
	for _, p := range listPackages(t) {
		for _, name := range p.GoFiles {
			file, err := parser.ParseFile(token.NewFileSet(), filepath.Join(p.Dir, name), nil, 0)
			require.NoError(t, err)
			for _, decl := range file.Decls {
				f, ok := decl.(*ast.FuncDecl)
				require.False(t, ok && f.Recv == nil && f.Name.Name == "init", "%s/%s has an init function", p.ImportPath, name)
			}
		}
	}
}

// listedPackage is what go list tells about a package, without its tests.
type listedPackage struct {
	ImportPath, Dir, Doc   string
	GoFiles, Imports, Deps []string
}

func listPackages(t *testing.T) []listedPackage {
	if _, err := exec.LookPath("go"); err != nil {
		t.Skip("the go command is not installed")
	}
	cmd := exec.CommandContext(t.Context(), "go", "list", "-json=ImportPath,Dir,Doc,GoFiles,Imports,Deps", "./...")
	cmd.Dir = filepath.Join("..", "..")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	require.NoError(t, err, stderr.String())
	var all []listedPackage
	for d := json.NewDecoder(bytes.NewReader(out)); ; {
		var p listedPackage
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			require.NotEmpty(t, all)
			return all
		} else {
			require.NoError(t, err)
		}
		all = append(all, p)
	}
}

// below reports whether a path is what the pattern stands for.
func below(path, pattern string) bool {
	if rest, ok := strings.CutPrefix(pattern, "./"); ok {
		pattern = module + rest
	}
	parent, tree := strings.CutSuffix(pattern, "/...")
	return path == parent || tree && strings.HasPrefix(path, parent+"/")
}

func belowAny(path string, patterns []string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool { return below(path, p) })
}

// short writes one of our packages as the layers do.
func short(path string) string { return "./" + strings.TrimPrefix(path, module) }
