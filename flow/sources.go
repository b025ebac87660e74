package flow

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path"
	"slices"
	"strings"
	"sync"

	"github.com/geartrain/geartrain/flow/expression"
	"github.com/geartrain/geartrain/flow/value"
	"github.com/geartrain/geartrain/flow/wording"
)

// maxSources is how many files one job's sources may be.
const maxSources = 10_000

var errManySources = fmt.Errorf("sources are more than %d files", maxSources)

// findSources is the files of a path or pattern, in order. In a pattern ** stands for any folders.
func findSources(files fs.FS, pattern string) ([]string, error) {
	pattern = path.Clean(pattern)
	if !isPattern(pattern) {
		return oneSource(files, pattern)
	}
	var found []string
	parts := strings.Split(pattern, "/")
	err := fs.WalkDir(files, fixedFolder(parts), func(name string, entry fs.DirEntry, err error) error {
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return nil
		case err != nil:
			return err
		case entry.IsDir() || !matchesParts(parts, strings.Split(name, "/")):
			return nil
		case len(found) == maxSources:
			return errManySources
		}
		found = append(found, name)
		return nil
	})
	slices.Sort(found)
	return found, err
}

func oneSource(files fs.FS, name string) ([]string, error) {
	info, err := fs.Stat(files, name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, nil
	case err != nil:
		return nil, err
	case info.IsDir():
		return nil, fmt.Errorf("%q is a folder; write %s/** for all of its files", name, name)
	}
	return []string{name}, nil
}

// fixedFolder is the folder that all matches are in.
func fixedFolder(parts []string) string {
	n := slices.IndexFunc(parts, isPattern)
	return path.Join(append([]string{"."}, parts[:n]...)...)
}

// matchesParts compares a path with a pattern, folder by folder.
func matchesParts(pattern, name []string) bool {
	reached := make([]bool, len(name)+1) // with the part of the pattern before: how much of the path
	reached[0] = true
	for _, part := range pattern {
		next := make([]bool, len(name)+1)
		for i := range reached {
			switch {
			case part == "**":
				next[i] = reached[i] || i > 0 && next[i-1]
			case reached[i] && i < len(name):
				next[i+1], _ = path.Match(part, name[i]) // what is no pattern was refused when it was read
			}
		}
		reached = next
	}
	return reached[len(name)]
}

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
	if err := checkSourcePath(name); err != nil {
		return nil, err
	}
	root, err := os.OpenRoot(cmp.Or(h.folder, "."))
	if err != nil {
		return nil, err
	}
	files, err := hashSources(root.FS(), name)
	if err := errors.Join(err, root.Close()); err != nil {
		return nil, err
	}
	if len(h.known) < maxKnownSources {
		h.known[name] = files
	}
	return files, nil
}

func hashSources(files fs.FS, name string) (map[string]any, error) {
	found, err := findSources(files, name)
	if err != nil {
		return nil, err
	}
	if len(found) == 0 {
		return nil, fmt.Errorf("there is no file %q: %w", wording.Shorten(name, 80), fs.ErrNotExist)
	}
	hashes := make(map[string]any, len(found))
	for _, name := range found {
		if hashes[name], err = hashFile(files, name); err != nil {
			return nil, err
		}
	}
	return hashes, nil
}

func hashFile(files fs.FS, name string) (string, error) {
	f, err := files.Open(name)
	if err != nil {
		return "", err
	}
	hash := sha256.New()
	_, err = io.Copy(hash, f)
	return hex.EncodeToString(hash.Sum(nil)), errors.Join(err, f.Close())
}
