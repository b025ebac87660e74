package gearman

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/geartrain/geartrain/gearman/protocol"
)

func TestAnswersAreMatchedInOrderOfSubmission(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFakeServer(t)
		set := f.client().NewTaskSet(t.Context())
		a, b, c := set.Add(Task{Function: "f", Key: "a"}), set.Add(Task{Function: "f", Key: "b"}), set.Add(Task{Function: "f", Key: "c"})
		s := f.accept()
		for range 3 {
			s.expect(protocol.SubmitJob)
		}
		s.send(protocol.JobCreated, "H:1")
		s.send(protocol.Error, protocol.CodeQueueError, "Job queue is full")
		s.send(protocol.JobCreated, "H:3")
		s.send(protocol.WorkComplete, "H:3", "third")
		s.send(protocol.WorkComplete, "H:1", "first")
		require.Error(t, set.Wait())

		got, err := a.Wait(t.Context())
		require.NoError(t, err)
		require.Equal(t, "first", string(got))
		got, err = c.Wait(t.Context())
		require.NoError(t, err)
		require.Equal(t, "third", string(got))
		_, err = b.Wait(t.Context())
		refusal, ok := errors.AsType[*ServerError](err)
		require.True(t, ok)
		require.Equal(t, protocol.CodeQueueError, refusal.Code)
		task, ok := errors.AsType[*TaskError](err)
		require.True(t, ok)
		require.Equal(t, "b", task.Key)
	})
}

func TestAServerThatDoesNotKnowExceptionsIsUsed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFakeServer(t)
		future := f.client().NewTaskSet(t.Context()).Add(Task{Function: "f"})
		s := f.connected()
		s.send(protocol.Error, "unknown_option", "") // in Perl it is written small
		s.send(protocol.Error, protocol.CodeUnknownOption, "no")
		s.take("H:1")
		s.send(protocol.WorkFail, "H:1")
		_, err := future.Wait(t.Context())
		require.ErrorIs(t, err, ErrTaskFailed)
	})
}

func TestTasksWithOneKeyShareAHandle(t *testing.T) {
	t.Parallel()
	each := func(s *fakeConn, packet protocol.Type, args ...string) {
		for range 3 {
			s.send(packet, args...)
		}
	}
	for name, end := range map[string]func(s *fakeConn){
		"told once for each": func(s *fakeConn) {
			var asked sync.WaitGroup
			asked.Go(func() { s.expect(protocol.GetStatus) })
			each(s, protocol.WorkComplete, "H:1", "done")
			asked.Wait()
		},
		"told once for all": func(s *fakeConn) {
			s.send(protocol.WorkComplete, "H:1", "done")
			s.expect(protocol.GetStatus)
			s.send(protocol.StatusRes, "H:1", "0", "0", "0", "0")
		},
		"told twice": func(s *fakeConn) {
			s.send(protocol.WorkComplete, "H:1", "done")
			s.expect(protocol.GetStatus)
			s.send(protocol.WorkComplete, "H:1", "done")
			s.send(protocol.StatusRes, "H:1", "0", "0", "0", "0")
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				f := newFakeServer(t)
				set := f.client().NewTaskSet(t.Context())
				results := set.Results()
				data := make(map[int]string)
				for i := range 3 {
					set.Add(Task{Function: "f", Key: "same", OnData: func(p []byte) { data[i] += string(p) }})
				}
				s := f.accept()
				for range 3 {
					s.take("H:1")
				}
				each(s, protocol.WorkData, "H:1", "a")
				each(s, protocol.WorkData, "H:1", "b")
				end(s)
				n := 0
				for r, err := range results {
					require.NoError(t, err)
					require.Equal(t, "done", string(r.Payload))
					n++
				}
				require.Equal(t, 3, n)
				require.Equal(t, map[int]string{0: "ab", 1: "ab", 2: "ab"}, data)
			})
		})
	}
}

func TestFailAfterExceptionIsTheSameEnd(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFakeServer(t)
		c := f.client()
		one := c.NewTaskSet(t.Context()).Add(Task{Function: "f", Key: "k"})
		two := c.NewTaskSet(t.Context()).Add(Task{Function: "f", Key: "k"})
		s := f.accept()
		s.take("H:1")
		s.take("H:1")
		s.send(protocol.WorkException, "H:1", "bang")
		s.expect(protocol.GetStatus)
		s.send(protocol.WorkFail, "H:1")
		s.send(protocol.WorkException, "H:1", "bang")
		s.send(protocol.WorkFail, "H:1")
		for _, future := range []*Future[[]byte]{one, two} {
			_, err := future.Wait(t.Context())
			e, ok := errors.AsType[*TaskError](err)
			require.True(t, ok)
			require.ErrorIs(t, err, ErrTaskFailed)
			require.Equal(t, "bang", string(e.Exception))
			require.Equal(t, Handle{"fake", "H:1"}, e.Handle)
		}
	})
}

func TestReconnectResubmitsByKey(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFakeServer(t)
		set := f.client().NewTaskSet(t.Context())
		ended := map[string]int{}
		for _, key := range []string{"done", "accepted", "sent"} {
			set.Add(Task{Function: "f", Key: key, OnComplete: func(r Result) { ended[key]++ }})
		}
		s := f.accept()
		s.take("H:1")
		s.take("H:2")
		s.expect(protocol.SubmitJob)
		s.send(protocol.WorkComplete, "H:1", "")
		f.setDown(true)
		s.conn.Close()
		time.Sleep(10 * time.Second)
		f.setDown(false)

		s = f.accept()
		_, key, _ := s.take("H:1") // a new server has its own numbers
		require.Equal(t, "accepted", key)
		_, key, _ = s.take("H:2")
		require.Equal(t, "sent", key)
		s.send(protocol.WorkComplete, "H:2", "")
		s.send(protocol.WorkComplete, "H:1", "")
		require.NoError(t, set.Wait())
		require.Equal(t, map[string]int{"done": 1, "accepted": 1, "sent": 1}, ended)
	})
}

func TestGivesUpWithoutServers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFakeServer(t)
		f.setDown(true)
		c := f.client(func(cfg *ClientConfig) { cfg.GiveUpAfter = 7 * time.Second })
		began := time.Now()
		_, err := c.Do(t.Context(), Task{Function: "f"})
		require.ErrorIs(t, err, ErrNoServers)
		require.ErrorIs(t, err, errRefused)
		require.Equal(t, 7*time.Second, time.Since(began))

		_, err = c.Status(t.Context(), Handle{"fake", "H:1"})
		require.ErrorIs(t, err, errRefused)
		_, err = c.Echo(t.Context(), nil)
		require.ErrorIs(t, err, ErrNoServers)

		f.setDown(false) // and what comes later is served again
		go func() {
			s := f.accept()
			s.expect(protocol.SubmitJobHighBg)
			s.send(protocol.JobCreated, "H:1")
		}()
		h, err := c.Submit(t.Context(), Task{Function: "f", Priority: High})
		require.NoError(t, err)
		require.Equal(t, Handle{"fake", "H:1"}, h)
	})
}

func TestServersThatAreDownAreSkipped(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFakeServer(t)
		c := f.client(func(cfg *ClientConfig) {
			cfg.Servers = []string{"dead1", "fake", "dead2"}
			cfg.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
				if strings.HasPrefix(address, "dead") {
					return nil, errRefused
				}
				return f.dial(ctx, network, address)
			}
		})
		began := time.Now()
		set := c.NewTaskSet(t.Context())
		for range 20 {
			set.Add(Task{Function: "f", OnComplete: func(r Result) {
				if r.Handle.Server != "fake" {
					t.Errorf("answered by %s", r.Handle)
				}
			}})
		}
		s := f.accept()
		for i := range 20 {
			s.take(fmt.Sprint("H:", i))
			s.send(protocol.WorkComplete, fmt.Sprint("H:", i), "")
		}
		require.NoError(t, set.Wait())
		require.Zero(t, time.Since(began))
	})
}

func TestHostileServer(t *testing.T) {
	t.Parallel()
	header := func(magic, kind, size uint32) string {
		return string(protocol.AppendHeader(nil, protocol.Magic(magic), protocol.Type(kind), int(size)))
	}
	for name, bytes := range map[string]string{
		"text":               "HTTP/1.1 400 Bad Request\r\n\r\n",
		"huge claim":         header(uint32(protocol.Response), uint32(protocol.WorkData), 1<<31),
		"a request":          header(uint32(protocol.Request), uint32(protocol.Noop), 0),
		"unasked handle":     header(uint32(protocol.Response), uint32(protocol.JobCreated), 3) + "H:9" + strings.Repeat(header(uint32(protocol.Response), uint32(protocol.JobCreated), 3)+"H:9", 3),
		"unknown type":       header(uint32(protocol.Response), 999, 0),
		"too few arguments":  header(uint32(protocol.Response), uint32(protocol.StatusRes), 1) + "x",
		"unknown handle":     header(uint32(protocol.Response), uint32(protocol.WorkComplete), 4) + "H:9\x00",
		"unasked answers":    header(uint32(protocol.Response), uint32(protocol.EchoRes), 1) + "x",
		"unasked error":      header(uint32(protocol.Response), uint32(protocol.Error), 3) + "a\x00b",
		"job for a worker":   header(uint32(protocol.Response), uint32(protocol.JobAssign), 5) + "a\x00b\x00c",
		"options not wanted": header(uint32(protocol.Response), uint32(protocol.OptionRes), 1) + "x",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				f := newFakeServer(t)
				c := f.client(func(cfg *ClientConfig) { cfg.GiveUpAfter = 5 * time.Second })
				go func() { // every connection gets the same treatment
					for s := range f.conns {
						go io.Copy(io.Discard, s.conn)
						io.WriteString(s.conn, bytes)
					}
				}()
				defer close(f.conns)
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				_, err := c.Do(ctx, Task{Function: "f"})
				require.Error(t, err)
				c.Close()
			})
		})
	}
}

func TestStatusAndEcho(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFakeServer(t)
		c := f.client()
		go func() {
			s := f.accept()
			require.Equal(t, "H:1", string(s.expect(protocol.GetStatus)[0]))
			s.send(protocol.StatusRes, "H:other", "1", "1", "9", "9")
			s.send(protocol.StatusRes, "H:1", "1", "1", "3", "10")
			require.Equal(t, "k", string(s.expect(protocol.GetStatusUnique)[0]))
			s.send(protocol.StatusResUnique, "k", "1", "0", "0", "0", "4")
			s.send(protocol.EchoRes, string(s.expect(protocol.EchoReq)[0]))
			s.expect(protocol.GetStatus)
			s.conn.Close()
		}()
		status, err := c.Status(t.Context(), Handle{"fake", "H:1"})
		require.NoError(t, err)
		require.Equal(t, Status{Known: true, Running: true, Numerator: 3, Denominator: 10}, status)
		status, err = c.StatusByKey(t.Context(), "f", "k")
		require.NoError(t, err)
		require.Equal(t, Status{Known: true, Waiting: 4}, status)
		echo, err := c.Echo(t.Context(), []byte("a\x00b"))
		require.NoError(t, err)
		require.Equal(t, "a\x00b", string(echo))
		_, err = c.Status(t.Context(), Handle{"fake", "H:1"})
		require.ErrorIs(t, err, ErrConnectionLost)
		_, err = c.Status(t.Context(), Handle{"elsewhere", "H:1"})
		require.ErrorContains(t, err, "not a server of this client")
	})
}

func TestCloseFailsWhatIsOpen(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFakeServer(t)
		c := f.client()
		set := c.NewTaskSet(t.Context())
		set.Add(Task{Function: "f"})
		s := f.accept()
		s.take("H:1")
		retried := set.Add(Task{Function: "f", Retry: Retry{Attempts: 2, Delay: time.Hour}})
		s.take("H:2")
		s.send(protocol.WorkFail, "H:2")
		synctest.Wait()
		require.NoError(t, c.Close())
		require.ErrorIs(t, set.Wait(), ErrClosed)
		_, err := retried.Wait(t.Context())
		require.ErrorIs(t, err, ErrClosed)
		_, err = c.Do(t.Context(), Task{Function: "f"})
		require.ErrorIs(t, err, ErrClosed)
		_, err = c.Echo(t.Context(), nil)
		require.Error(t, err)
		require.NoError(t, c.Close())
	})
}

func TestAServerThatShutsDownIsLeft(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFakeServer(t)
		c := f.client()
		set := c.NewTaskSet(t.Context())
		running := set.Add(Task{Function: "f", Key: "running"})
		s := f.accept()
		s.take("H:1")
		set.Add(Task{Function: "f", Key: "late"})
		s.expect(protocol.SubmitJob)
		s.send(protocol.Error, protocol.CodeShuttingDown, "draining")
		s.send(protocol.WorkComplete, "H:1", "in time")
		got, err := running.Wait(t.Context())
		require.NoError(t, err)
		require.Equal(t, "in time", string(got))
		s.conn.Close()

		s = f.accept()
		_, key, _ := s.take("H:1")
		require.Equal(t, "late", key)
		s.send(protocol.WorkComplete, "H:1", "")
		require.NoError(t, set.Wait())
	})
}

func TestServerAddress(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ in, network, address string }{
		{"localhost", "tcp", "localhost:4730"},
		{"example.org:1", "tcp", "example.org:1"},
		{":4731", "tcp", "localhost:4731"},
		{"host:", "tcp", "host:4730"},
		{"", "tcp", "localhost:4730"},
		{"[::1]:7003", "tcp", "[::1]:7003"},
		{"[::1]", "tcp", "[::1]:4730"},
		{"::1", "tcp", "[::1]:4730"},
		{"unix:/run/gearman.sock", "unix", "/run/gearman.sock"},
		{"unix:", "", ""},
		{"a:b:c", "", ""},
		{"http://x", "", ""},
	} {
		network, address, err := serverAddress(c.in)
		require.Equal(t, c.network == "", err != nil, "%q: %v", c.in, err)
		require.Equal(t, [2]string{c.network, c.address}, [2]string{network, address}, c.in)
	}
	_, err := NewClient(ClientConfig{Servers: []string{"a:b:c"}})
	require.ErrorContains(t, err, "want host")
}

func TestHandleText(t *testing.T) {
	t.Parallel()
	for _, h := range []Handle{{"localhost:4730", "H:host:1"}, {"unix:/run//g.sock", "H:x:2"}} {
		got, err := ParseHandle(h.String())
		require.NoError(t, err)
		require.Equal(t, h, got)
	}
	for _, bad := range []string{"", "//", "a//", "H:host:1", "//x"} {
		_, err := ParseHandle(bad)
		require.Error(t, err, bad)
	}
}

func TestRendezvous(t *testing.T) {
	t.Parallel()
	servers := []string{"a", "b", "c", "d"}
	first := map[string]int{}
	for i := range 4000 {
		key := fmt.Sprint("k", i)
		order := rendezvous{}.Pick("f", key, servers)
		require.Equal(t, order, rendezvous{}.Pick("f", key, []string{"d", "c", "b", "a"}))
		require.ElementsMatch(t, servers, order)
		first[order[0]]++

		var without []string // without its first server, a key goes to its second
		for _, s := range servers {
			if s != order[0] {
				without = append(without, s)
			}
		}
		require.Equal(t, order[1:], rendezvous{}.Pick("f", key, without))
	}
	for s, n := range first {
		require.InDelta(t, 1000, n, 150, s)
	}
}
