package cassette

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"github.com/geartrain/geartrain/flow/value"
)

// The files of a folder.
const (
	runFile    = "run.json"
	outputFile = "output.txt"
	stageEnd   = ".jsonl"
	form       = 1
)

// maxLine is the longest line that is read, in bytes: a result, and a little.
const maxLine = 128 << 20

// ErrNoCassette: the folder has no recording.
var ErrNoCassette = errors.New("no recording")

// Open reads a folder.
func Open(dir string) (*Cassette, error) {
	c := &Cassette{dir: dir, stages: map[string]*track{}}
	root, err := os.OpenRoot(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w in %s", ErrNoCassette, dir)
	}
	if err != nil {
		return nil, fmt.Errorf("open cassette: %w", err)
	}
	defer root.Close()
	if err := c.readRun(root); err != nil {
		return nil, err
	}
	for name, info := range c.Run.Stages {
		t := &track{info: info, ends: map[string]*end{}}
		c.stages[name] = t
		if err := t.read(root, name+stageEnd); err != nil {
			return nil, fmt.Errorf("%s: %w", filepath.Join(dir, name+stageEnd), err)
		}
	}
	return c, nil
}

func (c *Cassette) readRun(root *os.Root) error {
	text, err := root.ReadFile(runFile)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%w in %s", ErrNoCassette, c.dir)
	}
	if err == nil {
		err = strictly(text, &c.Run)
	}
	if err == nil && c.Run.Form != form {
		err = fmt.Errorf("form %d of cassettes is not known; this program reads %d", c.Run.Form, form)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", filepath.Join(c.dir, runFile), err)
	}
	return nil
}

func strictly(text []byte, into any) error {
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		return err
	}
	if d.More() {
		return errors.New("more than one JSON value")
	}
	return nil
}

// read reads the lines of a stage.
func (t *track) read(root *os.Root, name string) error {
	f, err := root.Open(name)
	if err != nil {
		return err
	}
	defer f.Close() // it is only read
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, maxLine)
	for n := 1; lines.Scan(); n++ {
		if len(bytes.TrimSpace(lines.Bytes())) == 0 {
			continue
		}
		e, err := parseLine(lines.Bytes(), t.info)
		if err == nil && t.ends[e.key] != nil {
			err = errors.New("these arguments are there twice")
		}
		if err != nil {
			return fmt.Errorf("line %d: %w", n, err)
		}
		t.ends[e.key] = e
	}
	return lines.Err()
}

func parseLine(text []byte, info StageInfo) (*end, error) {
	var l line
	if err := strictly(text, &l); err != nil {
		return nil, err
	}
	return l.end(info)
}

// Save writes the folder, with what the run wrote unless that is nil, which replaces what an earlier recording left there. Files of other names are
// not touched.
func (c *Cassette) Save(output []byte) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := os.MkdirAll(c.dir, 0o777); err != nil {
		return fmt.Errorf("save cassette: %w", err)
	}
	root, err := os.OpenRoot(c.dir)
	if err != nil {
		return fmt.Errorf("save cassette: %w", err)
	}
	defer root.Close()
	old := c.stagesBefore(root)
	if err := c.write(root, output); err != nil {
		return fmt.Errorf("save cassette in %s: %w", c.dir, err)
	}
	for _, name := range old {
		if c.stages[name] == nil {
			err = errors.Join(err, root.Remove(name+stageEnd))
		}
	}
	return err
}

// stagesBefore are those of the recording that is there.
func (c *Cassette) stagesBefore(root *os.Root) []string {
	old := Cassette{dir: c.dir}
	if err := old.readRun(root); err != nil {
		return nil
	}
	return slices.Sorted(maps.Keys(old.Run.Stages))
}

func (c *Cassette) write(root *os.Root, output []byte) error {
	c.Run.Form = form
	c.Run.Stages = map[string]StageInfo{}
	for name, t := range c.stages {
		t.info = t.sorted()[0].info // which of unlike tasks was done first is chance
		c.Run.Stages[name] = t.info
		err := writeFile(root, name+stageEnd, func(w io.Writer) error { return t.write(w) })
		if err != nil {
			return err
		}
	}
	if output != nil {
		err := writeFile(root, outputFile, func(w io.Writer) error {
			_, err := w.Write(c.mask(output))
			return err
		})
		if err != nil {
			return err
		}
	}
	text, err := json.MarshalIndent(c.Run, "", "  ")
	if err != nil {
		return err
	}
	return writeFile(root, runFile, func(w io.Writer) error {
		_, err := w.Write(c.mask(append(text, '\n')))
		return err
	})
}

func (t *track) write(w io.Writer) error {
	for _, e := range t.sorted() {
		text, err := value.EncodeJSON(e.line(t.info))
		if err != nil {
			return err
		}
		if _, err := w.Write(append(text, '\n')); err != nil {
			return err
		}
	}
	return nil
}

// writeFile puts a whole file in place of another.
func writeFile(root *os.Root, name string, write func(io.Writer) error) error {
	temporary := name + ".new"
	f, err := root.Create(temporary)
	if err != nil {
		return err
	}
	w := bufio.NewWriter(f)
	err = write(w)
	if err == nil {
		err = w.Flush()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return errors.Join(err, root.Remove(temporary))
	}
	return root.Rename(temporary, name)
}

// Output is what the recorded run wrote; false: that was not recorded.
func (c *Cassette) Output() ([]byte, bool, error) {
	text, err := os.ReadFile(filepath.Join(c.dir, outputFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, false, nil
	}
	return text, err == nil, err
}
