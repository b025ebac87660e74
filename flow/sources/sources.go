package sources

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/geartrain/geartrain/flow/wording"
)

// Check refuses what is not inside the folder, whatever is on the disk.
func Check(name string) error {
	clean := path.Clean(name)
	switch {
	case name == "":
		return fmt.Errorf("a source has no name")
	case strings.ContainsRune(name, 0) || strings.ContainsRune(name, '\\'):
		return fmt.Errorf("%q is not a path; folders are divided by /", wording.Shorten(name, 80))
	case path.IsAbs(name), clean == "..", strings.HasPrefix(clean, "../"):
		return fmt.Errorf("%q is not in the folder of the pipeline file; sources are", wording.Shorten(name, 80))
	}
	if _, err := path.Match(name, ""); err != nil {
		return fmt.Errorf("%q is not a pattern", wording.Shorten(name, 80))
	}
	return nil
}

// IsPattern reports whether the name of a source stands for any number of files.
func IsPattern(name string) bool { return strings.ContainsAny(name, "*?[") }

// maxSources is how many files one job's sources may be.
const maxSources = 10_000

var errManySources = fmt.Errorf("sources are more than %d files", maxSources)

// Find is the files of a path or pattern, in order. In a pattern ** stands for any folders.
func Find(files fs.FS, pattern string) ([]string, error) {
	pattern = path.Clean(pattern)
	if !IsPattern(pattern) {
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
	n := slices.IndexFunc(parts, IsPattern)
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

// Hashes is the files of a path or pattern, each with the SHA-256 of its contents.
func Hashes(files fs.FS, name string) (map[string]any, error) {
	found, err := Find(files, name)
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
