package gearman

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/geartrain/geartrain/gearman/protocol"
)

func TestDrainLetsRunningJobsFinish(t *testing.T) {
	for _, numbered := range []bool{true, false} {
		t.Run(map[bool]string{true: "ours", false: "stock"}[numbered], func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				release := make(chan struct{})
				w := newTestWorker(t, 2)
				w.Handle("f", held(release))
				c := w.run(t)
				c.hello(numbered, "f")
				c.assign("H:1/1", "f", "first")
				c.expect("GRAB_JOB_UNIQ")
				w.stop(errors.New("enough"))
				if numbered {
					c.expect("RESET_ABILITIES")
				}
				c.silent() // a stock server would take the running job away with the functions
				c.assign("H:2/1", "f", "second")
				c.silent()
				time.Sleep(10 * time.Second)
				c.silent()
				close(release)
				ends := append(c.write(), c.write()...)
				require.ElementsMatch(t, []string{"WORK_COMPLETE H:1/1|first", "WORK_COMPLETE H:2/1|second"}, ends[:2])
				c.rest = ends[2:]
				w.finish(t, c)
			})
		})
	}
}

func TestDrainEndsContextsAndGivesJobsBack(t *testing.T) {
	bubble(t, func(t *testing.T) {
		causes := make(chan error, 2)
		w := newTestWorker(t, 2, func(c *WorkerConfig) { c.DrainFor = 20 * time.Second })
		w.Handle("f", func(ctx context.Context, job *Job) ([]byte, error) {
			<-ctx.Done()
			causes <- context.Cause(ctx)
			if string(job.Payload()) == "done" {
				return []byte("just in time"), nil
			}
			return nil, ctx.Err()
		})
		c := w.run(t)
		c.hello(true, "f")
		c.assign("H:1/1", "f", "")
		c.expect("GRAB_JOB_UNIQ")
		c.assign("H:2/1", "f", "done")
		begun := time.Now()
		w.stop(nil)
		c.expect("RESET_ABILITIES", "WORK_COMPLETE H:2/1|just in time", "ECHO_REQ bye")
		require.Equal(t, 20*time.Second, time.Since(begun))
		require.ErrorIs(t, <-causes, ErrWorkerStopped)
		c.send(protocol.EchoRes, farewell)
		require.Empty(t, c.closed(), "a job without a result is not failed: the server gives it to another")
		<-w.ended
		require.NoError(t, w.err)
	})
}

func TestDrainDoesNotWaitForAServerThatIsAway(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newTestWorker(t, 1)
		w.Handle("f", echo)
		w.server.setDown(true)
		w.launch(t)
		time.Sleep(time.Minute)
		begun := time.Now()
		w.stop(nil)
		<-w.ended
		require.NoError(t, w.err)
		require.Zero(t, time.Since(begun))
	})
}

func TestHeartbeat(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newTestWorker(t, 1)
		w.Handle("f", echo)
		c := w.run(t)
		c.hello(true, "f")
		c.send(protocol.NoJob)
		c.expect("PRE_SLEEP")
		begun := time.Now()
		c.expect("ECHO_REQ " + probe)
		require.Equal(t, heartbeat, time.Since(begun))
		c.send(protocol.EchoRes, probe)
		c.expect("ECHO_REQ " + probe)
		require.Equal(t, 2*heartbeat, time.Since(begun))
		require.Empty(t, c.closed(), "no answer: the connection is given up")
		require.Equal(t, 2*heartbeat+replyWait, time.Since(begun))
		c = <-w.server.conns
		c.hello(true, "f")
		w.finish(t, c)
	})
}

func TestAServerThatDoesNotAnswerGivesItsSlotsBack(t *testing.T) {
	bubble(t, func(t *testing.T) {
		deaf, good := newScripted(t), newScripted(t)
		w := newTestWorker(t, 1, func(c *WorkerConfig) {
			c.Servers = []string{"deaf", "good"}
			c.Dial = dialBoth(deaf, good)
		})
		w.Handle("f", echo)
		w.launch(t)
		t.Cleanup(deaf.end)
		t.Cleanup(good.end)
		silentConn, c := <-deaf.conns, <-good.conns
		c.expect("OPTION_REQ "+protocol.OptionCancel, "OPTION_REQ "+protocol.OptionAttempts, "SET_CLIENT_ID test", "CAN_DO f")
		c.send(protocol.OptionRes, protocol.OptionCancel)
		c.send(protocol.OptionRes, protocol.OptionAttempts)
		begun := time.Now()
		synctest.Wait()
		if c.owed.Load() > 0 { // the only slot may ask either of them first
			c.expect("GRAB_JOB_UNIQ")
			c.send(protocol.NoJob)
			c.expect("PRE_SLEEP")
			c.send(protocol.Noop)
		}
		c.expect("GRAB_JOB_UNIQ")
		require.LessOrEqual(t, time.Since(begun), replyWait)
		silentConn.closed()
		deaf.setDown(true)
		w.stop(nil)
		c.goodbye()
		<-w.ended
	})
}

func TestReconnect(t *testing.T) {
	for _, numbered := range []bool{true, false} {
		t.Run(map[bool]string{true: "ours", false: "stock"}[numbered], func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				release := make(chan struct{})
				w := newTestWorker(t, 3)
				w.Handle("f", held(release))
				w.Handle("report", func(ctx context.Context, job *Job) ([]byte, error) {
					<-release
					return nil, job.SendData([]byte("still here"))
				})
				c := w.run(t)
				c.hello(numbered, "f", "report")
				c.assign("H:1/1", "f", "result")
				c.expect("GRAB_JOB_UNIQ", "GRAB_JOB_UNIQ")
				c.assign("H:2/1", "report", "")
				synctest.Wait()
				w.server.setDown(true)
				c.conn.Close()
				time.Sleep(time.Minute)
				w.server.setDown(false)
				c = <-w.server.conns
				c.hello(numbered, "f", "report")
				synctest.Wait() // before the options are answered SendData would be told that there is no connection
				close(release)
				if numbered {
					want := []string{"WORK_COMPLETE H:1/1|result", "WORK_DATA H:2/1|still here", "WORK_COMPLETE H:2/1|"}
					require.Subset(t, c.until("WORK_COMPLETE H:2/1|", "WORK_COMPLETE H:1/1|result"), want)
				} else {
					synctest.Wait()
					require.NotContains(t, strings.Join(c.soFar(), "\n"), "H:1/1", "another worker has the job")
				}
				w.finish(t, c)
			})
		})
	}
}

func TestJobsThatEndWithoutAConnectionAreReportedLater(t *testing.T) {
	for _, numbered := range []bool{true, false} {
		t.Run(map[bool]string{true: "ours", false: "stock"}[numbered], func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				release := make(chan struct{})
				w := newTestWorker(t, 1)
				w.Handle("f", held(release))
				c := w.run(t)
				c.hello(numbered, "f")
				c.assign("H:1/1", "f", "result")
				synctest.Wait()
				w.server.setDown(true)
				c.conn.Close()
				synctest.Wait()
				close(release)
				time.Sleep(time.Minute)
				w.server.setDown(false)
				c = <-w.server.conns
				c.hello(numbered, "f")
				if numbered {
					c.expect("WORK_COMPLETE H:1/1|result")
				}
				c.silent()
				w.finish(t, c)
			})
		})
	}
}

// Jobs that end while a new connection's options are answered are reported there, whatever comes first.
func TestEndsThatMeetANewConnectionAreReported(t *testing.T) {
	bubble(t, func(t *testing.T) {
		const jobs = 32
		release := make(chan struct{})
		w := newTestWorker(t, jobs+1) // one slot asks
		w.Handle("f", held(release))
		c := w.run(t)
		c.hello(true, "f")
		var want []string
		for i := range jobs {
			c.assign(fmt.Sprintf("H:%d/1", i), "f", "result")
			want = append(want, fmt.Sprintf("WORK_COMPLETE H:%d/1|result", i))
			synctest.Wait()
		}
		w.server.setDown(true)
		c.conn.Close()
		synctest.Wait()
		w.server.setDown(false)
		c = <-w.server.conns
		c.hello(true, "f")
		close(release)
		c.until(want...)
		w.finish(t, c)
	})
}

func TestErrorsDoNotHarmAWorker(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newTestWorker(t, 1)
		w.Handle("f", echo)
		c := w.run(t)
		c.hello(false, "f")
		for range 5 {
			c.send(protocol.Error, protocol.CodeJobNotFound, "no such job\x1b[2J")
			c.send(protocol.JobCreated, "H:1") // not for a worker
		}
		_, err := c.conn.Write(protocol.AppendHeader(nil, protocol.Response, 77, 0)) // no such type
		require.NoError(t, err)
		_, err = c.conn.Write(protocol.AppendHeader(nil, protocol.Response, protocol.JobAssignUniq, 0)) // too few arguments
		require.NoError(t, err)
		c.assign("H:1", "f", "x")
		c.expect("WORK_COMPLETE H:1|x", "GRAB_JOB_UNIQ")
		w.finish(t, c)
	})
}

func TestHostileServerIsLeft(t *testing.T) {
	for name, bytes := range map[string][]byte{
		"not gearman":   []byte("HTTP/1.1 400 Bad Request\r\n\r\n"),
		"a request":     protocol.AppendPacket(nil, protocol.Request, protocol.Noop),
		"4 GiB claimed": protocol.AppendHeader(nil, protocol.Response, protocol.JobAssign, 1<<32-1),
		"jobs unasked": protocol.AppendPacket(protocol.AppendPacket(nil, protocol.Response, protocol.JobAssign, []byte("H:1"), []byte("f"), nil),
			protocol.Response, protocol.JobAssign, []byte("H:2"), []byte("f"), nil),
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				w := newTestWorker(t, 1)
				w.Handle("f", held(nil))
				c := w.run(t)
				c.hello(true, "f")
				go c.conn.Write(bytes) //nolint:errcheck // the worker may close before it has read all
				c.closed()
				c.conn.Close()
				c = <-w.server.conns
				packets := c.write()
				require.Contains(t, packets, "CAN_DO f")
				c.conn.Close()
				w.server.setDown(true)
				w.stop(nil)
				<-w.ended
				require.NoError(t, w.err)
			})
		})
	}
}

// dialBoth dials the server by its name.
func dialBoth(deaf, good *scripted) dialFunc {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		if strings.HasPrefix(address, "deaf") {
			return deaf.dial(ctx, network, address)
		}
		return good.dial(ctx, network, address)
	}
}
