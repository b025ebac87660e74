package flow

import (
	"cmp"
	"errors"
	"maps"
	"os"
	"sync"

	"github.com/geartrain/geartrain/flow/expression"
	"github.com/geartrain/geartrain/flow/sources"
	"github.com/geartrain/geartrain/flow/value"
)

// sourceHashes gives the contents of a stage's sources as a part of its keys. A file is read once in a run:
// what changes it meanwhile would make one run of two kinds of work.
type sourceHashes struct {
	folder  string
	sources []expression.Template

	mu    sync.Mutex
	known map[string]map[string]any // path or pattern -> file -> SHA-256
}

// maxKnownSources is how many paths and patterns are remembered; those after them are read again each time.
const maxKnownSources = 10_000

func newSourceHashes(spec *Stage) *sourceHashes {
	return &sourceHashes{folder: spec.Folder, sources: spec.Sources, known: map[string]map[string]any{}}
}

// addTo is what the key is made of, with the files in it.
func (h *sourceHashes) addTo(keyed item, scope *expression.Scope) (item, error) {
	all := map[string]any{}
	for _, t := range h.sources {
		v, err := t.Eval(scope)
		if err != nil {
			return item{}, err
		}
		name, err := value.Text(v)
		if err != nil {
			return item{}, err
		}
		files, err := h.of(name)
		if err != nil {
			return item{}, err
		}
		maps.Copy(all, files)
	}
	v, err := keyed.value()
	if err != nil {
		return item{}, err
	}
	return itemOf(map[string]any{"args": v, "sources": all})
}

// of is the files of a path or pattern, with their hashes.
func (h *sourceHashes) of(name string) (map[string]any, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if files, ok := h.known[name]; ok {
		return files, nil
	}
	if err := sources.Check(name); err != nil {
		return nil, err
	}
	root, err := os.OpenRoot(cmp.Or(h.folder, "."))
	if err != nil {
		return nil, err
	}
	files, err := sources.Hashes(root.FS(), name)
	if err := errors.Join(err, root.Close()); err != nil {
		return nil, err
	}
	if len(h.known) < maxKnownSources {
		h.known[name] = files
	}
	return files, nil
}
