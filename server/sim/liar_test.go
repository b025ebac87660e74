package sim

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/geartrain/geartrain/gearman/protocol"
	"github.com/geartrain/geartrain/server/queue"
)

// liar is a system that changes what comes out of the queue, so that the judge has something to find.
type liar struct {
	*alone
	lie func(output) []output
}

func (l *liar) apply(ins []input) ([]output, []queue.Peer) {
	outs, gone := l.alone.apply(ins)
	return l.changed(outs), gone
}

func (l *liar) pass(to time.Time) (time.Time, bool, []output, []queue.Peer) {
	at, passed, outs, gone := l.alone.pass(to)
	return at, passed, l.changed(outs), gone
}

func (l *liar) changed(outs []output) (lies []output) {
	for _, out := range outs {
		lies = append(lies, l.lie(out)...)
	}
	return lies
}

func TestJudgeFindsLies(t *testing.T) {
	t.Parallel()
	about := func(typ protocol.Type, lie func(output) []output) func(output) []output {
		return func(out output) []output {
			if out.typ != typ {
				return []output{out}
			}
			return lie(out)
		}
	}
	lost := func(output) []output { return nil }
	twice := func(out output) []output { return []output{out, out} }
	for name, lie := range map[string]func(output) []output{
		"was not sent WORK_COMPLETE":             about(protocol.WorkComplete, lost),
		"of a job that has ended: WORK_COMPLETE": about(protocol.WorkComplete, twice),
		"of a job that has ended":                about(protocol.WorkComplete, otherPayload),
		"was not sent WORK_DATA":                 about(protocol.WorkData, lost),
		"was not sent JOB_CANCEL":                about(protocol.JobCancel, lost),
		"a submission or a grab has no answer":   about(protocol.JobCreated, lost),
		"for a peer that has not submitted":      about(protocol.JobCreated, twice),
		"a NOOP for a worker that is not asleep": about(protocol.Noop, twice),
		"a worker sleeps while a job waits":      about(protocol.Noop, lost),
		"JOB_ASSIGN without a grab":              about(protocol.JobAssign, twice),
		"the payload is not the one that was":    about(protocol.JobAssign, otherPayload),
		"before JOB_CREATED":                     about(protocol.WorkStatus, otherJob),
	} {
		t.Run(name, func(t *testing.T) {
			w := newSmall(3)
			w.sys = &liar{w.sys.(*alone), lie}
			require.ErrorContains(t, w.run(), name)
		})
	}
}

// otherPayload changes the last argument.
func otherPayload(out output) []output {
	args := append([]string(nil), out.args...)
	args[len(args)-1] += "!"
	out.args = args
	return []output{out}
}

// otherJob makes it about a job that does not exist.
func otherJob(out output) []output {
	out.args = []string{handlePrefix + "999999", "1", "1"}
	return []output{out}
}
