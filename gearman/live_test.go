package gearman_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os/exec"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/geartrain/geartrain/gearman"
	"github.com/geartrain/geartrain/server/servertest"
)

// patience is a limit for what hangs. Only a failing test ever waits so long.
const patience = 2 * time.Minute

// onServers runs the test against this module's server and against gearmand, where it is installed.
func onServers(t *testing.T, test func(t *testing.T, addr string)) {
	t.Run("geartrain", func(t *testing.T) {
		t.Parallel()
		test(t, servertest.Start(t).Addr)
	})
	t.Run("gearmand", func(t *testing.T) {
		t.Parallel()
		test(t, startGearmand(t))
	})
}

func startGearmand(t *testing.T) string {
	path, err := exec.LookPath("gearmand")
	if err != nil {
		t.Skip("gearmand is not installed")
	}
	addr := servertest.FreeAddress(t)
	host, port, err := net.SplitHostPort(addr)
	require.NoError(t, err)
	cmd := exec.Command(path, "-L", host, "-p", port, "-l", "none")
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // it may be gone, which is as good
		_ = cmd.Wait()
	})
	require.Eventually(t, func() bool {
		conn, err := net.Dial("tcp", addr)
		if err == nil {
			conn.Close()
		}
		return err == nil
	}, patience, 10*time.Millisecond)
	return addr
}

func newClient(t *testing.T, servers ...string) *gearman.Client {
	c, err := gearman.NewClient(gearman.ClientConfig{Servers: servers, Logger: slog.New(slog.DiscardHandler)})
	require.NoError(t, err)
	t.Cleanup(func() { c.Close() })
	return c
}

// startWorker runs a worker with these handlers until the test is over.
func startWorker(t *testing.T, addr string, handlers map[string]gearman.HandlerFunc) {
	w, err := gearman.NewWorker(gearman.WorkerConfig{Servers: []string{addr}, Concurrency: 4, Logger: slog.New(slog.DiscardHandler)})
	require.NoError(t, err)
	for name, h := range handlers {
		w.Handle(name, h)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { _ = w.Run(ctx) }) // it ends with ctx
	t.Cleanup(func() {
		cancel()
		running.Wait()
	})
}

func echo(_ context.Context, job *gearman.Job) ([]byte, error) { return job.Payload(), nil }

func TestTaskSetOnRealServers(t *testing.T) {
	t.Parallel()
	onServers(t, func(t *testing.T, addr string) {
		startWorker(t, addr, map[string]gearman.HandlerFunc{
			"echo": echo,
			"fail": func(context.Context, *gearman.Job) ([]byte, error) { return nil, gearman.ErrFail },
			"boom": func(context.Context, *gearman.Job) ([]byte, error) { return nil, errors.New("division by zero") },
			"talk": func(_ context.Context, job *gearman.Job) ([]byte, error) {
				return nil, errors.Join(job.SendData([]byte("a\x00b")), job.SendStatus(3, 10), job.SendWarning([]byte("w")))
			},
		})
		set := newClient(t, addr).NewTaskSet(t.Context())
		sum := 0
		for i := range 1000 {
			set.Add(gearman.Task{Function: "echo", Payload: fmt.Append(nil, i), OnComplete: func(r gearman.Result) {
				n, err := strconv.Atoi(string(r.Payload))
				if err != nil || n != i {
					t.Errorf("%d: got %q", i, r.Payload)
				}
				sum += n
			}})
		}
		big := set.Add(gearman.Task{Function: "echo", Payload: make([]byte, 3<<20)})
		failed := set.Add(gearman.Task{Function: "fail"})
		boom := set.Add(gearman.Task{Function: "boom"})
		var talk string
		set.Add(gearman.Task{Function: "talk",
			OnData:     func(p []byte) { talk += fmt.Sprintf("data %q, ", p) },
			OnStatus:   func(n, d int) { talk += fmt.Sprintf("status %d/%d, ", n, d) },
			OnWarning:  func(p []byte) { talk += fmt.Sprintf("warning %s, ", p) },
			OnComplete: func(gearman.Result) { talk += "end" },
		})
		err := set.Wait()
		require.ErrorIs(t, err, gearman.ErrTaskFailed)
		require.Equal(t, gearman.Progress{Added: 1004, Completed: 1002, Failed: 2}, set.Progress())
		require.Equal(t, 999*1000/2, sum)
		require.Equal(t, `data "a\x00b", status 3/10, warning w, end`, talk)
		p, err := big.Wait(t.Context())
		require.NoError(t, err)
		require.Len(t, p, 3<<20)
		_, err = failed.Wait(t.Context())
		e, ok := errors.AsType[*gearman.TaskError](err)
		require.True(t, ok)
		require.Nil(t, e.Exception)
		_, err = boom.Wait(t.Context())
		e, ok = errors.AsType[*gearman.TaskError](err)
		require.True(t, ok)
		require.Equal(t, "division by zero", string(e.Exception))
	})
}

func TestOneKeyOneRun(t *testing.T) {
	t.Parallel()
	onServers(t, func(t *testing.T, addr string) {
		var runs atomic.Int64
		gate := make(chan struct{})
		startWorker(t, addr, map[string]gearman.HandlerFunc{
			"once": func(_ context.Context, job *gearman.Job) ([]byte, error) {
				runs.Add(1)
				<-gate
				return []byte("one"), job.SendData([]byte("half"))
			},
		})
		c, other := newClient(t, addr), newClient(t, addr)
		set := c.NewTaskSet(t.Context())
		set2 := other.NewTaskSet(t.Context())
		half := 0
		for range 5 {
			task := gearman.Task{Function: "once", Key: "k", OnData: func([]byte) { half++ }}
			set.Add(task)
			task.OnData = nil
			set2.Add(task)
		}
		waiting := func(n int) func() bool {
			return func() bool {
				s, err := c.StatusByKey(t.Context(), "once", "k")
				return err == nil && s.Known && s.Running && s.Waiting == n
			}
		}
		require.Eventually(t, waiting(10), patience, 10*time.Millisecond)
		close(gate)
		require.NoError(t, set.Wait())
		require.NoError(t, set2.Wait())
		require.EqualValues(t, 1, runs.Load())
		require.Equal(t, 5, half)
	})
}

func TestATimedOutTaskJoinsItsOwnRun(t *testing.T) {
	t.Parallel()
	onServers(t, func(t *testing.T, addr string) {
		var runs atomic.Int64
		retried := make(chan struct{})
		startWorker(t, addr, map[string]gearman.HandlerFunc{
			"slow": func(context.Context, *gearman.Job) ([]byte, error) {
				runs.Add(1)
				<-retried
				return []byte("after all"), nil
			},
		})
		retries, release := 0, sync.OnceFunc(func() { close(retried) })
		r, err := newClient(t, addr).Do(t.Context(), gearman.Task{
			Function: "slow", Timeout: time.Second, Retry: gearman.Retry{Attempts: 1_000_000}, // a busy machine takes long
			OnRetry: func(int, error) { retries++ },
			OnCreated: func(gearman.Handle) { // before that the job must not end, or the retry would be another one
				if retries >= 3 {
					release()
				}
			},
		})
		require.NoError(t, err)
		require.Equal(t, "after all", string(r.Payload))
		require.GreaterOrEqual(t, r.Attempt, 4)
		require.EqualValues(t, 1, runs.Load())
	})
}

func TestBackgroundAndStatus(t *testing.T) {
	t.Parallel()
	onServers(t, func(t *testing.T, addr string) {
		c := newClient(t, addr)
		h, err := c.Submit(t.Context(), gearman.Task{Function: "bg", Key: "k", Payload: []byte("x")})
		require.NoError(t, err)
		require.Equal(t, addr, h.Server)
		s, err := c.Status(t.Context(), h)
		require.NoError(t, err)
		require.Equal(t, gearman.Status{Known: true}, s)
		done := make(chan string, 1)
		startWorker(t, addr, map[string]gearman.HandlerFunc{"bg": func(_ context.Context, job *gearman.Job) ([]byte, error) {
			done <- string(job.Payload())
			return nil, nil
		}})
		require.Equal(t, "x", <-done)
		require.Eventually(t, func() bool {
			s, err := c.Status(t.Context(), h)
			return err == nil && !s.Known
		}, patience, 10*time.Millisecond)
		p, err := c.Echo(t.Context(), []byte("hello"))
		require.NoError(t, err)
		require.Equal(t, "hello", string(p))
	})
}

// A proxy that cuts connections stands for servers that are restarted: every callback of the set
// runs exactly once all the same.
func TestSetSurvivesLostConnections(t *testing.T) {
	t.Parallel()
	onServers(t, func(t *testing.T, addr string) {
		startWorker(t, addr, map[string]gearman.HandlerFunc{"echo": echo})
		p := newProxy(t, addr)
		set := newClient(t, p.addr()).NewTaskSet(t.Context())
		set.SetLimit(200)
		seen := make([]int, 3000)
		for i := range seen {
			set.Add(gearman.Task{Function: "echo", Payload: fmt.Append(nil, i), OnComplete: func(r gearman.Result) {
				seen[i]++
				if i%500 == 250 {
					p.cut()
				}
			}})
		}
		require.NoError(t, set.Wait())
		for i, n := range seen {
			require.Equal(t, 1, n, i)
		}
	})
}

// One of two servers goes away for good: its tasks move to the other one.
func TestSetMovesToTheNextServer(t *testing.T) {
	t.Parallel()
	first, second := servertest.Start(t), servertest.Start(t)
	for _, s := range []*servertest.Server{first, second} {
		startWorker(t, s.Addr, map[string]gearman.HandlerFunc{"echo": echo})
	}
	set := newClient(t, first.Addr, second.Addr).NewTaskSet(t.Context())
	set.SetLimit(100)
	on, done := map[string]int{}, 0
	for range 1000 {
		set.Add(gearman.Task{Function: "echo", OnComplete: func(r gearman.Result) {
			on[r.Handle.Server]++
			if done++; done == 300 {
				first.Close()
			}
		}})
	}
	require.NoError(t, set.Wait())
	require.Equal(t, 1000, on[first.Addr]+on[second.Addr])
	require.Greater(t, on[first.Addr], 10)
	require.Greater(t, on[second.Addr], on[first.Addr])
}

// proxy relays to a server until it is told to cut all connections.
type proxy struct {
	ln    net.Listener
	group sync.WaitGroup

	mu    sync.Mutex // guards conns
	conns []net.Conn
}

func newProxy(t *testing.T, addr string) *proxy {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	p := &proxy{ln: ln}
	p.group.Go(func() {
		for {
			near, err := ln.Accept()
			if err != nil {
				return
			}
			far, err := net.Dial("tcp", addr)
			if err != nil {
				near.Close()
				continue
			}
			p.mu.Lock()
			p.conns = append(p.conns, near, far)
			p.mu.Unlock()
			p.group.Go(func() { relay(near, far) })
			p.group.Go(func() { relay(far, near) })
		}
	})
	t.Cleanup(func() {
		ln.Close()
		p.cut()
		p.group.Wait()
	})
	return p
}

func relay(to, from net.Conn) {
	_, _ = io.Copy(to, from) // it is cut at any moment
	to.Close()
	from.Close()
}

func (p *proxy) addr() string { return p.ln.Addr().String() }

func (p *proxy) cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range p.conns {
		c.Close()
	}
	p.conns = nil
}

func TestDial(t *testing.T) {
	t.Parallel()
	const dead = "127.0.0.1:1"
	_, err := gearman.Dial(t.Context(), dead)
	require.ErrorIs(t, err, gearman.ErrNoServers)
	require.ErrorContains(t, err, dead)

	alive := servertest.Start(t).Addr
	startWorker(t, alive, map[string]gearman.HandlerFunc{"echo": echo})
	c, err := gearman.Dial(t.Context(), dead, alive)
	require.NoError(t, err)
	defer c.Close()
	for range 10 { // whichever server their keys prefer
		_, err = c.Do(t.Context(), gearman.Task{Function: "echo"})
		require.NoError(t, err)
	}
}

func BenchmarkAdd(b *testing.B) {
	s := servertest.Start(b)
	w, err := gearman.NewWorker(gearman.WorkerConfig{Servers: []string{s.Addr}, Concurrency: 16, Logger: slog.New(slog.DiscardHandler)})
	require.NoError(b, err)
	w.Handle("echo", echo)
	ctx, cancel := context.WithCancel(b.Context())
	var running sync.WaitGroup
	running.Go(func() { _ = w.Run(ctx) }) // it ends with ctx
	defer running.Wait()
	defer cancel()
	c, err := gearman.Dial(b.Context(), s.Addr)
	require.NoError(b, err)
	defer c.Close()
	for _, limit := range []int{0, 1, 64, 1000} {
		b.Run(fmt.Sprintf("limit=%d", limit), func(b *testing.B) {
			b.ReportAllocs()
			set := c.NewTaskSet(b.Context())
			set.SetLimit(limit)
			payload := make([]byte, 64)
			for b.Loop() {
				set.Add(gearman.Task{Function: "echo", Payload: payload})
			}
			require.NoError(b, set.Wait())
		})
	}
}
