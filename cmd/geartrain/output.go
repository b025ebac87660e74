package main

import (
	"fmt"
	"io"

	"github.com/geartrain/geartrain/gearman"
)

// jobOutput writes what a job sends: data and result to standard output, warnings and progress to
// standard error.
type jobOutput struct {
	std      *streams
	prefix   bool // the function's name goes before each result
	stripped bool // a newline goes behind each result

	err error // the first of the writes
}

// watch has the task's reports written. The result is for finish.
func (o *jobOutput) watch(t *gearman.Task) {
	function := t.Function
	t.OnData = func(p []byte) { o.result(function, p) }
	t.OnWarning = func(p []byte) { _ = o.write(o.std.err, function, p) } // standard error is all there is to complain on
	t.OnStatus = func(numerator, denominator int) {
		fmt.Fprintf(o.std.err, "%d/%d\n", numerator, denominator)
	}
}

// result writes a result, or a part of one, unless a write has failed.
func (o *jobOutput) result(function string, p []byte) {
	if o.err != nil {
		return
	}
	if err := o.write(o.std.out, function, p); err != nil {
		o.err = fmt.Errorf("write the result: %w", err)
	}
}

func (o *jobOutput) write(w io.Writer, function string, p []byte) error {
	var line []byte
	if o.prefix {
		line = append(append(line, function...), ": "...)
	}
	line = append(line, p...)
	if o.stripped {
		line = append(line, '\n')
	}
	_, err := w.Write(line)
	return err
}
