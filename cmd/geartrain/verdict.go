package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"syscall"

	"github.com/geartrain/geartrain/flow"
	"github.com/geartrain/geartrain/flow/wording"
)

// verdict says on standard error what is wrong and how to go on, and gives the exit code to the end.
func (r *runCommand) verdict(report *flow.Report, err error, signal os.Signal, again string) error {
	if report != nil {
		sayFailures(r.std.err, report)
		r.sayRetry(report)
		r.sayTouched(report)
	}
	switch {
	case signal != nil && err != nil:
		return &codedError{signalCode(signal), fmt.Errorf("the run was ended by a signal (%s)\n%s", signal, continueWith(again))}
	case errors.Is(err, syscall.EPIPE):
		return nil // whoever read the output has seen enough
	case errors.Is(err, flow.ErrRunTimeout):
		return &codedError{exitTimeout, fmt.Errorf("%w\n%s", err, continueWith(again))}
	case err != nil && unreachable(report):
		return &codedError{exitNoServer, fmt.Errorf("%w\n%s", err, continueWith(again))}
	case err != nil:
		return err
	case report.Status == flow.Partial && r.strict:
		return &codedError{exitFailed, errors.New("some jobs failed, and --strict allows none")}
	case report.Status == flow.Partial:
		return &codedError{exitPartial, errors.New("some jobs failed, within the budget of their stages")}
	}
	return nil
}

// continueWith is the last line of a run that can be carried on.
func continueWith(again string) string { return "continue with: " + again }

// sayRetry says how what failed is run again, where the run is kept.
func (r *runCommand) sayRetry(report *flow.Report) {
	failed := slices.ContainsFunc(report.Stages, func(s flow.StageReport) bool { return s.Failed > 0 })
	if r.keeps && failed && !r.quiet {
		fmt.Fprintf(r.std.err, "only what failed, again: geartrain retry %s\n", shortID(report.Run))
	}
}

// sayTouched says what starting a run again came to.
func (r *runCommand) sayTouched(report *flow.Report) {
	if r.kept == nil || r.quiet {
		return
	}
	ran, answered := 0, 0
	for _, s := range report.Stages {
		ran += s.Done + s.Failed - s.Answered - s.Joined
		answered += s.Answered
	}
	fmt.Fprintf(r.std.err, "%d jobs ran again, %d had their results\n", ran, answered)
}

// unreachable reports whether jobs failed for want of a server and for no other reason.
func unreachable(report *flow.Report) bool {
	failed := 0
	for _, stage := range report.Stages {
		for _, reason := range stage.Reasons {
			if reason.Reason != "unreachable" {
				return false
			}
			failed++
		}
	}
	return failed > 0
}

// maxSaidReasons is how many reasons are told of each stage.
const maxSaidReasons = 10

// sayFailures writes each stage's failures by what they have in common: a count, and one of several.
func sayFailures(w io.Writer, report *flow.Report) {
	for _, stage := range report.Stages {
		for i, reason := range stage.Reasons {
			if i == maxSaidReasons {
				fmt.Fprintf(w, "%s: and %d other reasons\n", stage.Stage, len(stage.Reasons)-i)
				break
			}
			example := ""
			if reason.Count > 1 {
				example = "; one of them: item " + wording.Shorten(string(reason.Example.Item), 200)
			}
			fmt.Fprintf(w, "%s: %d failed: %s%s\n", stage.Stage, reason.Count, reason.Message, example)
		}
	}
}
