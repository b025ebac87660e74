package gearman

import (
	"testing"

	"github.com/stretchr/testify/require"

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

// A worker with a number of jobs asks for no more than those, and then leaves.
func TestWorkerEndsAfterItsJobs(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newTestWorker(t, 4, func(c *WorkerConfig) { c.MaxJobs = 2 })
		w.Handle("f", echo)
		c := w.run(t)
		c.hello(false, "f")
		c.assign("H:1", "f", "one")
		c.until("WORK_COMPLETE H:1|one")
		c.send(protocol.NoJob) // what did not come does not count
		c.until("PRE_SLEEP")
		c.send(protocol.Noop)
		c.until("GRAB_JOB_UNIQ")
		c.assign("H:2", "f", "two")
		c.until("WORK_COMPLETE H:2|two", "ECHO_REQ "+farewell)
		c.send(protocol.EchoRes, farewell)
		require.Empty(t, c.closed())
		<-w.ended
		require.NoError(t, w.err)
	})
}
