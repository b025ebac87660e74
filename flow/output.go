package flow

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"

	"github.com/geartrain/geartrain/flow/value"
)

// writeOutput writes the pipeline's own output: the value of its Output, when the run ended well; else
// the results of the last stage, as many as there are, one per line in the order of the input.
func (r *Run) writeOutput(status Status) error {
	if r.output == nil || len(r.stages) == 0 {
		return nil
	}
	w := bufio.NewWriterSize(r.output, 64<<10)
	err := r.writeValue(w, status)
	if err == nil {
		err = w.Flush()
	}
	if err != nil {
		return fmt.Errorf("%w: %w", ErrOutput, err)
	}
	return nil
}

// takeOutput gives the results to who started the run, if it ended well.
func (r *Run) takeOutput(status Status) error {
	if r.atEnd == nil || !status.Good() {
		return nil
	}
	return r.atEnd(r)
}

func (r *Run) writeValue(w io.Writer, status Status) error {
	if r.plan.Output.IsZero() {
		last := r.stages[len(r.stages)-1]
		return last.writeResults(w)
	}
	if !status.Good() {
		return nil
	}
	v, err := r.plan.Output.Eval(r.scope(r.plan.Output))
	if err != nil {
		return fmt.Errorf("output: %w", err)
	}
	text, err := value.Text(v)
	if err != nil {
		return fmt.Errorf("output: %w", err)
	}
	_, err = io.WriteString(w, text+"\n")
	return err
}

func (s *stageRun) writeResults(w io.Writer) error {
	for p, err := range s.inOrder() {
		if err != nil {
			return err
		}
		it := s.kept(p)
		if p = it.raw; it.form == jsonItem && bytes.IndexByte(p, '\n') >= 0 {
			var line bytes.Buffer
			if err := json.Compact(&line, p); err != nil {
				return err
			}
			p = line.Bytes()
		}
		if _, err := w.Write(p); err != nil {
			return err
		}
		if _, err := io.WriteString(w, "\n"); err != nil {
			return err
		}
	}
	return nil
}
