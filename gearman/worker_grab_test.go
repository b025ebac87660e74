package gearman

import (
	"testing"

	"github.com/geartrain/geartrain/gearman/protocol"
)

// The first server, in Perl, knows GRAB_JOB only.
func TestWorkerOfAServerWithoutGrabJobUniq(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newTestWorker(t, 2)
		release := make(chan struct{})
		w.Handle("f", held(release))
		c := w.run(t)
		c.expect("OPTION_REQ "+protocol.OptionCancel, "OPTION_REQ "+protocol.OptionAttempts, "SET_CLIENT_ID test", "CAN_DO f", "GRAB_JOB_UNIQ")
		c.owed.Add(-1)
		c.send(protocol.Error, "unknown_option", "")
		c.send(protocol.Error, "unknown_option", "")
		c.send(protocol.Error, "server_error", "Can't locate object method CMD_")
		c.expect("GRAB_JOB")
		c.send(protocol.Error, "server_error", "of something else") // asks for nothing more
		c.silent()
		c.owed.Add(1)
		c.send(protocol.JobAssign, "H:1", "f", "payload")
		c.expect("GRAB_JOB")
		c.owed.Add(1)
		c.send(protocol.NoJob)
		c.expect("PRE_SLEEP")
		c.send(protocol.Noop)
		c.expect("GRAB_JOB")
		close(release)
		c.expect("WORK_COMPLETE H:1|payload")
		c.owed.Add(1)
		c.send(protocol.NoJob)
		w.finish(t, c)
	})
}

// An ERROR to a worker that has been served is about something else.
func TestWorkerKeepsToGrabJobUniqOnceItIsKnown(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newTestWorker(t, 1)
		w.Handle("f", echo)
		c := w.run(t)
		c.hello(false, "f")
		c.send(protocol.NoJob)
		c.expect("PRE_SLEEP")
		c.send(protocol.Noop)
		c.expect("GRAB_JOB_UNIQ")
		c.send(protocol.Error, protocol.CodeInvalidCommand, "")
		c.silent()
		w.finish(t, c)
	})
}
