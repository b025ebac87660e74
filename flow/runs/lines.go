package runs

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"
	"sync"
	"time"
)

// Line is a line that a command said on standard error.
type Line struct {
	Time  time.Time `json:"time"`
	Stage string    `json:"stage,omitempty"` // empty: a hook's
	Key   string    `json:"key,omitempty"`   // of the job
	Text  string    `json:"text"`
}

// maxLog bounds what is kept of one start of a run.
const maxLog = 64 << 20

// lineLog keeps what commands say. The file is made with the first line.
type lineLog struct {
	root   *os.Root
	number int

	mu   sync.Mutex // guards what follows; held while a line is written
	file *os.File
	size int
	err  error
}

func newLineLog(root *os.Root, number int) *lineLog { return &lineLog{root: root, number: number} }

func logName(number int) string { return fmt.Sprintf("log/%06d.jsonl", number) }

// add keeps a line. What cannot be kept is lost: a log does not end a run.
func (l *lineLog) add(line Line) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err != nil || l.size > maxLog {
		return
	}
	if l.file == nil {
		if l.file, l.err = l.root.OpenFile(logName(l.number), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600); l.err != nil {
			return
		}
	}
	text, err := json.Marshal(line)
	if err == nil {
		l.size += len(text) + 1
		if l.size > maxLog {
			text = []byte(`{"text":"the log is full; what comes later is not kept"}`)
		}
		_, err = l.file.Write(append(text, '\n'))
	}
	l.err = err
}

func (l *lineLog) close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.file == nil {
		return nil
	}
	err := l.file.Close()
	l.file, l.err = nil, fs.ErrClosed
	return err
}

// Log is a writer for the lines of one job, or of a hook when stage and key are empty. One Write is one
// line. They are passed on to also as well, unless that is nil.
func (d *Driver) Log(stage, key string, also io.Writer) io.Writer {
	return &lineWriter{d.logs, stage, key, also}
}

type lineWriter struct {
	to         *lineLog
	stage, key string
	also       io.Writer
}

func (w *lineWriter) Write(p []byte) (int, error) {
	text := string(bytes.ToValidUTF8(bytes.TrimRight(p, "\r\n"), []byte("\uFFFD")))
	w.to.add(Line{Time: time.Now().UTC(), Stage: w.stage, Key: w.key, Text: text})
	if w.also == nil {
		return len(p), nil
	}
	return w.also.Write(p)
}

// Lines gives what commands said, in order, from the given mark on, and the mark to go on from.
// The zero mark is the begin.
func (r *Run) Lines(from LogMark) iter.Seq2[Line, LogMark] {
	return func(yield func(Line, LogMark) bool) {
		root, err := r.root()
		if err != nil {
			return
		}
		defer root.Close()
		numbers, err := segmentNumbers(root)
		if err != nil {
			return
		}
		for _, n := range numbers {
			if n < from.number {
				continue
			}
			if n > from.number {
				from = LogMark{number: n}
			}
			if !readLines(root, &from, yield) {
				return
			}
		}
	}
}

// LogMark is a place in a run's log.
type LogMark struct {
	number int
	at     int64
}

// readLines reads one file from a mark, which it moves. A line without its end is still being written.
func readLines(root *os.Root, from *LogMark, yield func(Line, LogMark) bool) bool {
	file, err := root.Open(logName(from.number))
	if err != nil {
		return errors.Is(err, fs.ErrNotExist)
	}
	defer file.Close()
	if _, err := file.Seek(from.at, io.SeekStart); err != nil {
		return false
	}
	in := bufio.NewReader(file)
	for {
		text, err := in.ReadBytes('\n')
		if err != nil {
			return true
		}
		from.at += int64(len(text))
		var line Line
		if json.Unmarshal(text, &line) != nil {
			continue
		}
		if !yield(line, *from) {
			return false
		}
	}
}
