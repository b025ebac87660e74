package load_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/geartrain/geartrain/gearman/load"
	"github.com/geartrain/geartrain/gearman/protocol"
	"github.com/geartrain/geartrain/server/servertest"
)

// lie is told each packet of one direction of one connection, and says what goes on instead of it.
type lie func(p protocol.Packet, say say)

type say func(t protocol.Type, args ...[]byte)

// on is a lie about packets of one type.
func on(t protocol.Type, about lie) func() lie {
	return func() lie {
		return func(p protocol.Packet, say say) {
			if p.Type == t {
				about(p, say)
			} else {
				say(p.Type, p.Args...)
			}
		}
	}
}

// truth is no lie.
func truth() lie {
	return func(p protocol.Packet, say say) { say(p.Type, p.Args...) }
}

// liar stands between the load and a server that does nothing wrong.
type liar struct {
	server   *servertest.Server
	toServer func() lie // one for each connection
	toPeer   func() lie
	group    sync.WaitGroup
}

func (l *liar) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	server, err := l.server.Dial(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	near, far := net.Pipe()
	l.group.Go(func() { pump(server, far, protocol.Request, l.toServer()) })
	l.group.Go(func() { pump(far, server, protocol.Response, l.toPeer()) })
	return near, nil
}

// pump carries packets until one of the connections ends, and closes both.
func pump(to, from net.Conn, magic protocol.Magic, lie lie) {
	defer to.Close()
	defer from.Close()
	in := protocol.NewReader(from, protocol.Limits{})
	for {
		p, err := in.Read()
		if err != nil {
			return
		}
		var out []byte
		lie(p, func(t protocol.Type, args ...[]byte) { out = protocol.AppendPacket(out, magic, t, args...) })
		if _, err := to.Write(out); err != nil {
			return
		}
	}
}

// damaged is b with its last byte changed.
func damaged(b []byte) []byte {
	b = bytes.Clone(b)
	b[len(b)-1] ^= 1
	return b
}

// fault is something that a server does wrong.
type fault struct {
	name     string
	scenario string
	toServer func() lie
	toPeer   func() lie
	want     error
	text     string
}

func resultFaults() []fault {
	var last atomic.Value // the handle of the result before
	last.Store([]byte(nil))
	return []fault{
		{"result damaged", "sync", nil, on(protocol.WorkComplete, func(p protocol.Packet, say say) {
			say(p.Type, p.Arg(0), damaged(p.Arg(1)))
		}), load.ErrPayload, "the result: it is of job"},
		{"result of another length", "taskset", nil, on(protocol.WorkComplete, func(p protocol.Packet, say say) {
			say(p.Type, p.Arg(0), p.Arg(1)[1:])
		}), load.ErrPayload, "63 bytes, sent 64"},
		{"result twice", "latency", nil, on(protocol.WorkComplete, func(p protocol.Packet, say say) {
			say(p.Type, p.Args...)
			say(p.Type, p.Args...)
		}), load.ErrAnswers, "another result"},
		{"last result twice", "latency", nil, afterJobs(protocol.WorkComplete, 300, func(p protocol.Packet, say say) {
			say(p.Type, p.Args...)
			say(p.Type, p.Args...)
		}), load.ErrAnswers, "client 0: job 299"},
		{"result of an unknown handle", "sync", nil, on(protocol.WorkComplete, func(p protocol.Packet, say say) {
			say(p.Type, []byte("H:other:1"), p.Arg(1))
		}), load.ErrHandle, `"H:other:1"`},
		{"results exchanged", "taskset", nil, on(protocol.WorkComplete, func(p protocol.Packet, say say) {
			handle := last.Swap(bytes.Clone(p.Arg(0))).([]byte)
			if handle != nil {
				say(p.Type, handle, p.Arg(1))
			}
		}), load.ErrHandle, "with the result of job"},
		{"failure for a result", "sync", on(protocol.WorkComplete, func(p protocol.Packet, say say) {
			say(protocol.WorkFail, p.Arg(0))
		}), nil, load.ErrPacket, "WORK_FAIL"},
		{"result lost", "payload", nil, on(protocol.WorkComplete, func(protocol.Packet, say) {}),
			context.DeadlineExceeded, "1 jobs submitted, 1 created, 1 executed"},
	}
}

func handleFaults() []fault {
	return []fault{
		{"one handle for two open jobs", "sync", nil, sameOpenHandle(), load.ErrHandle, "is that of job"},
		{"one handle for two queued jobs", "flood", nil, sameHandles(), load.ErrHandle, "two jobs were given the same one"},
		{"another handle for the worker", "flood", nil, on(protocol.JobAssignUniq, func(p protocol.Packet, say say) {
			say(p.Type, damaged(p.Arg(0)), p.Arg(1), p.Arg(2), p.Arg(3))
		}), load.ErrHandle, "the worker was given another one"},
		{"another handle for each client", "coalesce", nil, eachItsOwn(), load.ErrHandle, "another client of the job"},
		{"JOB_CREATED twice", "latency", nil, on(protocol.JobCreated, func(p protocol.Packet, say say) {
			say(p.Type, p.Args...)
			say(p.Type, p.Args...)
		}), load.ErrPacket, "without a submission"},
	}
}

func workerFaults() []fault {
	return []fault{
		{"payload damaged", "flood", nil, on(protocol.JobAssignUniq, func(p protocol.Packet, say say) {
			say(p.Type, p.Arg(0), p.Arg(1), p.Arg(2), damaged(p.Arg(3)))
		}), load.ErrPayload, "worker "},
		{"another function", "sync", nil, on(protocol.JobAssignUniq, func(p protocol.Packet, say say) {
			say(p.Type, p.Arg(0), []byte("other"), p.Arg(2), p.Arg(3))
		}), load.ErrPayload, `for function "other"`},
		{"another key", "idle", nil, on(protocol.JobAssignUniq, func(p protocol.Packet, say say) {
			say(p.Type, p.Arg(0), p.Arg(1), damaged(p.Arg(2)), p.Arg(3))
		}), load.ErrPayload, "with key"},
		{"job handed out twice", "flood", nil, againInsteadOfNoJob(), load.ErrExecutions, "assigned 2 times"},
		{"job twice in a row", "idle", nil, on(protocol.JobAssignUniq, func(p protocol.Packet, say say) {
			say(p.Type, p.Args...)
			say(p.Type, p.Args...)
		}), load.ErrExecutions, "assigned 2 times"},
		{"nobody asked", "idle", nil, on(protocol.NoJob, func(p protocol.Packet, say say) {
			say(p.Type)
			say(p.Type)
		}), load.ErrPacket, "NO_JOB without a GRAB_JOB"},
		{"not coalesced", "coalesce", anotherFirstByte(), anotherFirstByteBack(), load.ErrExecutions, "not executed once: assigned "},
		{"refused", "taskset", nil, on(protocol.JobCreated, func(_ protocol.Packet, say say) {
			say(protocol.Error, []byte("QUEUE_ERROR"), []byte("no\nroom"))
		}), load.ErrRefused, `"QUEUE_ERROR" "no\nroom"`},
		{"echo damaged", "latency", nil, on(protocol.EchoRes, func(p protocol.Packet, say say) {
			say(p.Type, damaged(p.Arg(0)))
		}), load.ErrUnreachable, "ECHO_RES"},
	}
}

// afterJobs is a lie about the n-th packet of a type on a connection.
func afterJobs(t protocol.Type, n int, about lie) func() lie {
	return func() lie {
		seen := 0
		return on(t, func(p protocol.Packet, say say) {
			if seen++; seen == n {
				about(p, say)
			} else {
				say(p.Type, p.Args...)
			}
		})()
	}
}

// sameHandles gives all jobs one handle, also to the workers.
func sameHandles() func() lie {
	return func() lie {
		return func(p protocol.Packet, say say) {
			args := p.Args
			if p.Type == protocol.JobCreated || p.Type == protocol.JobAssignUniq {
				args = append([][]byte{[]byte("H:same:1")}, args[1:]...)
			}
			say(p.Type, args...)
		}
	}
}

// sameOpenHandle gives all jobs of clients one handle and keeps their results back, which would
// come under another one.
func sameOpenHandle() func() lie {
	return func() lie {
		return func(p protocol.Packet, say say) {
			switch p.Type {
			case protocol.JobCreated:
				say(p.Type, []byte("H:same:1"))
			case protocol.WorkComplete:
			default:
				say(p.Type, p.Args...)
			}
		}
	}
}

// eachItsOwn appends the connection's number to handles.
func eachItsOwn() func() lie {
	var conns atomic.Int64
	return func() lie {
		own := conns.Add(1)
		return on(protocol.JobCreated, func(p protocol.Packet, say say) {
			say(p.Type, fmt.Appendf(nil, "%s:%d", p.Arg(0), own))
		})()
	}
}

// againInsteadOfNoJob gives a worker its latest job once more.
func againInsteadOfNoJob() func() lie {
	return func() lie {
		var args [][]byte
		return func(p protocol.Packet, say say) {
			switch {
			case p.Type == protocol.JobAssignUniq:
				args = nil
				for _, a := range p.Args {
					args = append(args, bytes.Clone(a))
				}
			case p.Type == protocol.NoJob && args != nil:
				say(protocol.JobAssignUniq, args...)
				return
			}
			say(p.Type, p.Args...)
		}
	}
}

// anotherFirstByte makes the keys of every connection different on the way to the server, and
// anotherFirstByteBack makes them the same again.
func anotherFirstByte() func() lie {
	var conns atomic.Int64
	return func() lie {
		own := fmt.Appendf(nil, "%03d", conns.Add(1))
		return on(protocol.SubmitJob, func(p protocol.Packet, say say) {
			say(p.Type, p.Arg(0), append(own[:3:3], p.Arg(1)...), p.Arg(2))
		})()
	}
}

func anotherFirstByteBack() func() lie {
	return func() lie {
		return func(p protocol.Packet, say say) {
			switch p.Type {
			case protocol.JobAssignUniq:
				say(p.Type, []byte("H:same:1"), p.Arg(1), p.Arg(2)[3:], p.Arg(3))
			case protocol.JobCreated:
				say(p.Type, []byte("H:same:1"))
			default:
				say(p.Type, p.Args...)
			}
		}
	}
}

func TestFaultsAreFound(t *testing.T) {
	t.Parallel()
	faults := append(append(resultFaults(), handleFaults()...), workerFaults()...)
	for _, f := range faults {
		t.Run(f.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) { findFault(t, f) })
		})
	}
}

func findFault(t *testing.T, f fault) {
	l := &liar{server: servertest.Pipe(t), toServer: truth, toPeer: truth}
	if f.toServer != nil {
		l.toServer = f.toServer
	}
	if f.toPeer != nil {
		l.toPeer = f.toPeer
	}
	s, ok := load.Find(f.scenario)
	require.True(t, ok)
	cfg := small(s, "pipe")
	cfg.Dial = l.dial
	report, err := load.Run(t.Context(), s, cfg)
	l.group.Wait()
	require.ErrorIs(t, err, f.want)
	require.ErrorContains(t, err, f.text)
	require.ErrorContains(t, err, f.scenario+": ")
	require.False(t, report.OK)
	require.NotEmpty(t, report.Error)
	var check *load.CheckError
	require.Equal(t, !errors.Is(err, context.DeadlineExceeded), errors.As(err, &check))
}

func TestNoServer(t *testing.T) {
	t.Parallel()
	s, _ := load.Find("sync")
	_, err := load.Run(t.Context(), s, load.Config{Server: "127.0.0.1:1"})
	require.ErrorIs(t, err, load.ErrUnreachable)
	_, err = load.Run(t.Context(), s, load.Config{Server: "unix:/no/such/socket"})
	require.ErrorIs(t, err, load.ErrUnreachable)
	require.ErrorContains(t, err, "/no/such/socket")
}

// There is somebody, but not a job server.
func TestAnotherProtocol(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, _ := load.Find("sync")
		var group sync.WaitGroup
		_, err := load.Run(t.Context(), s, load.Config{Server: "pipe", Dial: func(context.Context, string, string) (net.Conn, error) {
			near, far := net.Pipe()
			group.Go(func() {
				defer far.Close()
				_, _ = far.Read(make([]byte, 100)) // what it is does not matter
				_, _ = far.Write([]byte("HTTP/1.1 400 Bad Request\r\n"))
			})
			return near, nil
		}})
		group.Wait()
		require.ErrorIs(t, err, load.ErrUnreachable)
		require.ErrorContains(t, err, "bad magic")
	})
}

// A server that says nothing at all is given up, and so is one when the caller has enough.
func TestSilence(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, _ := load.Find("sync")
		silent := func(context.Context, string, string) (net.Conn, error) {
			near, far := net.Pipe()
			t.Cleanup(func() { far.Close() })
			return near, nil
		}
		start := time.Now()
		_, err := load.Run(t.Context(), s, load.Config{Server: "pipe", Dial: silent, Timeout: time.Minute})
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.Equal(t, time.Minute, time.Since(start))

		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		ctx, stop := context.WithCancel(ctx)
		time.AfterFunc(time.Second/2, stop)
		_, err = load.Run(ctx, s, load.Config{Server: "pipe", Dial: silent})
		require.ErrorIs(t, err, context.Canceled)
	})
}
