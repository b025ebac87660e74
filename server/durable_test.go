package server_test

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/geartrain/geartrain/gearman/protocol"
	"github.com/geartrain/geartrain/server"
	"github.com/geartrain/geartrain/server/servertest"
	"github.com/geartrain/geartrain/server/store"
)

// ward is a store in memory whose commits a test can stop, fail and count.
type ward struct {
	store.Memory
	gate chan struct{} // not nil: each commit waits for one value; closed: for none

	mu      sync.Mutex
	mad     bool  // commits panic
	fault   error // of the next commits
	forgive bool  // but those without refusable operations
	tries   int
	loading chan struct{} // not nil: Load waits until it is closed
	missing map[store.ID]bool
}

func (w *ward) Commit(ops []store.Op) error {
	if w.gate != nil {
		<-w.gate
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.tries++
	if w.mad {
		panic("mad")
	}
	if w.fault != nil && !(w.forgive && must(ops)) {
		return fmt.Errorf("ward: %w", w.fault)
	}
	return w.Memory.Commit(ops)
}

func must(ops []store.Op) bool {
	for i := range ops {
		if !ops[i].Must && ops[i].Kind != store.Delete {
			return false
		}
	}
	return true
}

func (w *ward) Load(ctx context.Context, inline int, fn func(store.Record) error) error {
	if w.loading != nil {
		select {
		case <-w.loading:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return w.Memory.Load(ctx, inline, fn)
}

func (w *ward) Body(id store.ID) ([]byte, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.missing[id] {
		return nil, store.ErrDamaged
	}
	return w.Memory.Body(id)
}

func (w *ward) breaks(err error, forgive bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.fault, w.forgive = err, forgive
}

func (w *ward) count() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.tries
}

func (w *ward) records() int { return int(w.Stats().Records) }

func with(s store.Store) servertest.Option {
	return func(c *server.Config) { c.Store = s }
}

func (p *peer) background(function, unique, payload string) string {
	p.t.Helper()
	p.send(protocol.SubmitJobBg, function, unique, payload)
	return p.expect(protocol.JobCreated)[0]
}

// work takes a job, which must be there, and returns its handle and payload.
func (p *peer) work() (handle, payload string) {
	p.t.Helper()
	p.send(protocol.GrabJob)
	args := p.expect(protocol.JobAssign)
	return args[0], args[2]
}

func worker(t *testing.T, s *servertest.Server, function string) *peer {
	w := dial(t, s)
	w.send(protocol.CanDo, function)
	return w
}

// silent checks that the peer hears nothing while everything is at rest.
func (p *peer) silent() {
	p.t.Helper()
	synctest.Wait()
	require.NoError(p.t, p.SetReadDeadline(time.Now().Add(time.Millisecond)))
	var b [1]byte
	n, err := p.Read(b[:])
	require.Zero(p.t, n, "%q", b[:n])
	require.Error(p.t, err)
}

func TestJobCreatedWaitsForTheStore(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := &ward{gate: make(chan struct{})}
		s := servertest.Pipe(t, with(w))
		p, other := dial(t, s), dial(t, s)
		go p.send(protocol.SubmitJobBg, "f", "", "x")
		p.silent()
		wk := worker(t, s, "f")
		wk.send(protocol.GrabJob)
		wk.expect(protocol.NoJob) // nobody has it before it is stored
		other.submit("g", "", "foreground jobs wait for nothing")

		w.gate <- struct{}{}
		p.expect(protocol.JobCreated)
		require.Equal(t, 1, w.records())
		close(w.gate)
		h, payload := wk.work()
		require.Equal(t, "x", payload)
		wk.send(protocol.WorkComplete, h, "")
		wk.echo() // what it hears after a result says that the result is safe
		require.Zero(t, w.records())
	})
}

// What comes behind a packet that waits comes after it.
func TestAnswersKeepTheirOrder(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := &ward{gate: make(chan struct{})}
		s := servertest.Pipe(t, with(w))
		p := dial(t, s)
		var all []byte
		for i := range 3 {
			all = append(all, packet(protocol.SubmitJobBg, "f", "", fmt.Sprint(i))...)
			all = append(all, packet(protocol.EchoReq, fmt.Sprint(i))...)
		}
		go p.raw(all)
		p.silent()
		close(w.gate)
		for i := range 3 {
			p.expect(protocol.JobCreated)
			p.expect(protocol.EchoRes, fmt.Sprint(i))
		}
	})
}

func TestManyConnectionsShareACommit(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := &ward{gate: make(chan struct{})}
		s := servertest.Pipe(t, with(w))
		var peers []*peer
		for range 20 {
			p := dial(t, s)
			peers = append(peers, p)
			p.send(protocol.SubmitJobBg, "f", "", "x")
		}
		synctest.Wait()
		close(w.gate)
		for _, p := range peers {
			p.expect(protocol.JobCreated)
		}
		require.LessOrEqual(t, w.count(), 3)
		require.Equal(t, 20, w.records())
	})
}

func TestFullStoreRefusesAndRecovers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := &ward{}
		s := servertest.Pipe(t, with(w))
		p, wk := dial(t, s), worker(t, s, "f")
		p.background("f", "", "before")
		w.breaks(store.ErrFull, false)
		for range 100 {
			p.send(protocol.SubmitJobBg, "f", "", "refused")
			p.expect(protocol.Error, protocol.CodeDiskFull)
		}
		require.Less(t, w.count(), 10, "it is not asked each time")
		h, payload := wk.work()
		require.Equal(t, "before", payload)
		wk.send(protocol.WorkComplete, h, "")
		wk.send(protocol.GrabJob)
		wk.expect(protocol.NoJob)
		p.submit("g", "", "foreground")
		tries := w.count()
		time.Sleep(10 * time.Second)
		require.Less(t, w.count()-tries, 30, "it is tried calmly")

		w.breaks(nil, false)
		time.Sleep(time.Second)
		require.Zero(t, w.records(), "the end of the first job was kept and is stored now")
		p.background("f", "", "after")
		_, payload = wk.work()
		require.Equal(t, "after", payload)
	})
}

// The store has some room for the ends of jobs when it takes no new ones.
func TestFullStoreTakesEndsAtOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := &ward{}
		s := servertest.Pipe(t, with(w))
		p, wk := dial(t, s), worker(t, s, "f")
		p.background("f", "", "1")
		p.background("f", "", "2")
		w.breaks(store.ErrFull, true)
		p.send(protocol.SubmitJobBg, "f", "", "refused")
		p.expect(protocol.Error, protocol.CodeDiskFull)
		for left := 1; left >= 0; left-- {
			h, _ := wk.work()
			wk.send(protocol.WorkComplete, h, "")
			wk.echo()
			require.Equal(t, left, w.records())
		}
	})
}

func TestFailedStoreIsFinal(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		log := &lineLog{}
		w := &ward{}
		s := servertest.Pipe(t, with(w), func(c *server.Config) { c.Logger = log.logger() })
		p := dial(t, s)
		p.background("f", "", "kept")
		w.breaks(store.ErrFailed, false)
		p.send(protocol.SubmitJobBg, "f", "", "x")
		p.expect(protocol.Error, protocol.CodeStoreFailed)
		w.breaks(nil, false)
		tries := w.count()
		for range 3 {
			p.send(protocol.SubmitJobBg, "f", "", "x")
			p.expect(protocol.Error, protocol.CodeStoreFailed)
		}
		require.Equal(t, tries, w.count())
		require.Contains(t, p.list("guarantees"), "state\tfailed")
		require.Contains(t, p.list("guarantees"), "durable\tno")
		h, _ := worker(t, s, "f").work()
		require.NotEmpty(t, h)
		p.submit("g", "", "foreground goes on")
		require.Equal(t, 1, strings.Count(strings.Join(log.lines(), "\n"), "nothing more is stored"))
	})
}

func TestFailedStoreEndsTheServerIfAsked(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := &ward{}
		s, err := server.New(server.Config{Store: w, EndOnStoreFailure: true, Logger: (&lineLog{}).logger()})
		require.NoError(t, err)
		done := make(chan error)
		go func() { done <- s.Serve(t.Context()) }()
		synctest.Wait()
		w.breaks(store.ErrFailed, false)
		near, far := net.Pipe()
		defer near.Close()
		go s.ServeConn(t.Context(), far)
		_, err = near.Write(packet(protocol.SubmitJobBg, "f", "", "x"))
		require.NoError(t, err)
		require.ErrorIs(t, <-done, store.ErrFailed)
	})
}

func TestJobsSurviveARestart(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := &ward{}
		long := strings.Repeat("long ", 20_000)
		first := servertest.Pipe(t, with(w))
		p := dial(t, first)
		handles := []string{p.background("f", "k", "short"), p.background("f", "", long), p.background("f", "", "third")}
		wk := worker(t, first, "f")
		wk.work() // and does not come back
		require.NoError(t, first.Drain())
		require.Equal(t, 3, w.records())

		second := servertest.Pipe(t, with(w))
		p = dial(t, second)
		require.Equal(t, handles[0], p.background("f", "k", "short"), "the key is that of the job")
		wk = worker(t, second, "f")
		for i, want := range []string{"short", long, "third"} {
			h, payload := wk.work()
			require.Equal(t, handles[i], h)
			require.Equal(t, want, payload)
			wk.send(protocol.WorkComplete, h, "")
		}
		require.NotContains(t, handles, p.background("f", "", "a new one"))
	})
}

// Bodies that are only in the store come in the order of the answers, and among them.
func TestBodiesAreReadAtHandOut(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := &ward{missing: map[store.ID]bool{}}
		s := servertest.Pipe(t, with(w))
		p := dial(t, s)
		var payloads, handles []string
		for i := range 8 {
			payload := strings.Repeat(fmt.Sprint(i), 300+i%3*20_000)
			payloads, handles = append(payloads, payload), append(handles, p.background("f", "", payload))
		}
		var lost store.ID
		_, err := fmt.Sscanf(handles[3], "H:test:%d", &lost)
		require.NoError(t, err)
		w.mu.Lock()
		w.missing[lost] = true
		w.mu.Unlock()

		wk := worker(t, s, "f")
		var all []byte
		for i := range 8 {
			all = append(all, packet(protocol.GrabJob)...)
			all = append(all, packet(protocol.EchoReq, fmt.Sprint(i))...)
		}
		go wk.raw(all)
		for i := range 8 {
			if i == 3 {
				wk.expect(protocol.NoJob)
			} else {
				wk.expect(protocol.JobAssign, handles[i], "f", payloads[i])
			}
			wk.expect(protocol.EchoRes, fmt.Sprint(i))
		}
		require.EqualValues(t, 1, s.Snapshot().Counters.BodiesLost)
	})
}

func TestWhileLoading(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := &ward{loading: make(chan struct{})}
		require.NoError(t, w.Memory.Commit(nil))
		s := servertest.Pipe(t, with(w))
		p := dial(t, s)
		p.echo()
		p.send(protocol.OptionReq, "exceptions")
		p.expect(protocol.OptionRes, "exceptions")
		require.Equal(t, "OK geartrain\n", p.admin("version"))
		require.Contains(t, p.list("guarantees"), "state\tloading")
		p.send(protocol.SubmitJobBg, "f", "", "x")
		p.silent()
		close(w.loading)
		p.expect(protocol.JobCreated)
	})
}

// No list says that there are no jobs only because they are not back yet.
func TestListsWaitForWhatIsStored(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := &ward{}
		first := servertest.Pipe(t, with(w))
		handle := dial(t, first).background("f", "k", "x")
		require.NoError(t, first.Drain())

		w.loading = make(chan struct{})
		second := servertest.Pipe(t, with(w))
		var all []*peer
		lists := []string{"status", "prioritystatus", "show jobs", "show unique jobs"}
		for _, list := range lists {
			p := dial(t, second)
			p.raw([]byte(list + "\n"))
			p.silent()
			all = append(all, p)
		}
		close(w.loading)
		for i, want := range []string{"f\t1\t0\t0\n.\n", "f\t0\t1\t0\t0\n.\n", handle + "\t0\t0\t1\n.\n", "k\n.\n"} {
			require.Equal(t, want, all[i].answer(true), lists[i])
		}
	})
}

func TestEndWhileLoading(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := &ward{loading: make(chan struct{})}
		s := servertest.Pipe(t, with(w))
		p := dial(t, s)
		p.send(protocol.SubmitJobBg, "f", "", "x")
		synctest.Wait()
		require.NoError(t, s.Drain())
		p.closed()
		require.Zero(t, w.count())
	})
}

// A peer that does not read what waits for the store loses its connection like any other.
func TestHeldPacketsAreBounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := &ward{gate: make(chan struct{})}
		s := servertest.Pipe(t, with(w), func(c *server.Config) { c.MaxOutbox = 64 << 10 })
		p, writer := dial(t, s), dial(t, s)
		writer.send(protocol.SubmitJobBg, "f", "", "x")
		synctest.Wait()
		go func() {
			p.Write(packet(protocol.SubmitJobBg, "f", "", "x"))
			echo := packet(protocol.EchoReq, strings.Repeat("x", 8<<10))
			for range 20 {
				if _, err := p.Write(echo); err != nil {
					return
				}
			}
		}()
		time.Sleep(time.Minute)
		p.closed()
		close(w.gate)
		require.EqualValues(t, 1, s.Snapshot().Counters.SlowPeers)
	})
}

// Whoever submits faster than the store writes is not read any further; workers are.
func TestSubmissionsWaitForASlowStore(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := &ward{gate: make(chan struct{})}
		s := servertest.Pipe(t, with(w), func(c *server.Config) { c.MaxMemory = 8 << 20 })
		first, p := dial(t, s), dial(t, s)
		first.send(protocol.SubmitJobBg, "f", "", "occupies the store")
		synctest.Wait()
		sent := 0
		done := make(chan struct{})
		go func() {
			defer close(done)
			for range 40 {
				if _, err := p.Write(packet(protocol.SubmitJobBg, "f", "", strings.Repeat("x", 100_000))); err != nil {
					return
				}
				sent++
			}
		}()
		synctest.Wait()
		require.Less(t, sent, 20)
		wk := worker(t, s, "g")
		h := dial(t, s).submit("g", "", "x")
		got, _ := wk.work()
		require.Equal(t, h, got)
		close(w.gate)
		for range 40 {
			p.expect(protocol.JobCreated)
		}
		<-done
	})
}

// A listing on a connection that waits for a body comes after it.
func TestListingBehindABody(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := &ward{}
		s := servertest.Pipe(t, with(w))
		p := dial(t, s)
		for i := range 1500 {
			p.background(fmt.Sprintf("f%d", i), "", strings.Repeat("x", 300))
		}
		wk := worker(t, s, "f7")
		begin := time.Now()
		go wk.raw(append(packet(protocol.GrabJob), "status\n"...))
		wk.expect(protocol.JobAssign)
		in := bufio.NewReader(wk)
		lines := 0
		for line := ""; line != ".\n"; lines++ {
			var err error
			line, err = in.ReadString('\n')
			require.NoError(t, err)
		}
		require.Greater(t, lines, 500) // the reader of packets has swallowed some
		require.Less(t, time.Since(begin), time.Second)
	})
}

// A store that panics has failed; the connection that happened to write has not.
func TestStorePanics(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := &ward{mad: true}
		p := dial(t, servertest.Pipe(t, with(w)))
		p.send(protocol.SubmitJobBg, "f", "", "x")
		p.expect(protocol.Error, protocol.CodeStoreFailed)
		p.submit("f", "", "x")
	})
}
