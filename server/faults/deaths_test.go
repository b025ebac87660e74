//go:build linux

package faults_test

import (
	"fmt"
	"io"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/geartrain/geartrain/gearman/protocol"
)

// Workers that die with every third job in hand: every client is answered, once, with its own bytes, and
// nothing is left.
func TestWorkersDie(t *testing.T) {
	t.Parallel()
	p := start(t)
	by := watch(t, p)
	var working sync.WaitGroup
	stop := make(chan struct{})
	for n := range 8 {
		working.Go(func() { mortal(t, p, uint64(n), stop) })
	}
	jobs := size(300, 20_000)
	inSteps(8, 8, func(n int) {
		c := reach(t, p)
		if c == nil {
			return
		}
		for i := n; i < jobs; i += 8 {
			payload := strconv.Itoa(i)
			_, err := c.Write(packet(protocol.SubmitJob, "fragile", payload, payload))
			if err == nil {
				err = answered(c.in, payload)
			}
			if err != nil {
				t.Errorf("job %d: %v", i, err)
				return
			}
		}
	})
	close(stop)
	working.Wait()
	by.unimpressed(t)
	await(t, "nothing is left", func() bool { s := p.status(t, "fragile"); return s == "" || s == "0\t0\t0" })
	p.unharmed(t)
}

// mortal is a worker that dies now and then, and comes back.
func mortal(t *testing.T, p *process, seed uint64, stop <-chan struct{}) {
	r := rand.New(rand.NewPCG(seed, 3))
	for {
		select {
		case <-stop:
			return
		default:
		}
		c := reach(t, p)
		if c == nil {
			return
		}
		_, _ = c.Write(append(packet(protocol.CanDo, "fragile"), packet(protocol.GrabJob)...)) // reading tells
		for {
			got, err := c.in.Read()
			if err != nil || got.Type != protocol.JobAssign || r.IntN(3) == 0 {
				break
			}
			done := protocol.AppendPacket(nil, protocol.Request, protocol.WorkComplete, got.Arg(0), got.Arg(2))
			if _, err := c.Write(append(done, packet(protocol.GrabJob)...)); err != nil {
				break
			}
		}
		c.abort()
	}
}

// A job that ends every worker ends as a dead letter, with its history, and the workers' other jobs are done.
func TestPoison(t *testing.T) {
	t.Parallel()
	p := start(t, "--job-retries", "3")
	client := dial(t, p)
	client.send(protocol.SubmitJobBg, "poison", "bad", "x")
	handle := client.expect(protocol.JobCreated)[0]
	for range 3 {
		worker := dial(t, p)
		worker.send(protocol.CanDo, "poison")
		await(t, "the job is here again", func() bool {
			worker.send(protocol.GrabJob)
			got, err := worker.in.Read()
			require.NoError(t, err)
			return got.Type == protocol.JobAssign
		})
		worker.abort()
	}
	await(t, "it is a dead letter", func() bool { return strings.HasPrefix(p.admin(t, "dead letters"), handle+"\tpoison\tbad\t3\t") })
	require.Equal(t, 3, strings.Count(p.admin(t, "show dead "+handle), "\nattempt\t"))
	worker := dial(t, p)
	worker.send(protocol.CanDo, "poison")
	worker.send(protocol.GrabJob)
	worker.expect(protocol.NoJob)
	p.unharmed(t)
}

// Clients die with jobs queued. Whoever shares a key with them is answered, and the jobs that nobody waits
// for are gone before a worker comes.
func TestClientsDie(t *testing.T) {
	t.Parallel()
	p := start(t)
	by := watch(t, p)
	n := size(100, 3000)
	survivors := make([]*peer, n)
	for i := range survivors {
		key := fmt.Sprint("key ", i)
		dead, alive := dial(t, p), dial(t, p)
		dead.send(protocol.SubmitJob, "shared", key, key)
		dead.send(protocol.SubmitJob, "orphan", key, key)
		dead.expect(protocol.JobCreated)
		dead.expect(protocol.JobCreated)
		if i%2 == 0 {
			dead.abort() // before the other one comes, which is then the first
		}
		alive.send(protocol.SubmitJob, "shared", key, key)
		alive.expect(protocol.JobCreated)
		dead.abort()
		survivors[i] = alive
	}
	await(t, "the orphans are gone", func() bool { return p.status(t, "orphan") == "" })
	require.Equal(t, fmt.Sprintf("%d\t0\t0", n), p.status(t, "shared"))
	worker := dial(t, p)
	worker.send(protocol.CanDo, "shared")
	var working sync.WaitGroup
	working.Go(func() { serve(worker.TCPConn) })
	for i, c := range survivors {
		require.Equal(t, fmt.Sprint("key ", i), c.expect(protocol.WorkComplete)[1])
		c.Close()
	}
	worker.Close()
	working.Wait()
	by.unimpressed(t)
	await(t, "nothing is left", func() bool { return p.status(t, "shared") == "" })
	p.unharmed(t)
}

// Half of a conversation: peers that have said all they will say still get all their answers.
func TestHalfClosed(t *testing.T) {
	t.Parallel()
	p := start(t)
	worker := dial(t, p)
	worker.send(protocol.CanDo, "f")
	client := dial(t, p)
	client.raw(append(packet(protocol.SubmitJob, "f", "", "x"), "version\n"...))
	require.NoError(t, client.CloseWrite())
	client.expect(protocol.JobCreated)
	await(t, "the worker is known", func() bool { return strings.Contains(p.admin(t, "workers"), " : f\n") })
	var all strings.Builder
	done := make(chan error, 1)
	go func() {
		_, err := io.Copy(&all, client)
		done <- err
	}()
	worker.send(protocol.GrabJob)
	got, err := worker.in.Read()
	require.NoError(t, err)
	if got.Type == protocol.JobAssign { // a client that closed its side may be taken for gone, or not
		worker.send(protocol.WorkComplete, string(got.Arg(0)), "x")
	}
	require.NoError(t, <-done)
	p.unharmed(t)
}
