//go:build linux

package faults_test

import (
	"fmt"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/geartrain/geartrain/gearman/protocol"
)

// bystander is a client with a worker of its own: one job after another, while others misbehave.
type bystander struct {
	fine  []string
	stop  chan struct{}
	loops sync.WaitGroup

	mu      sync.Mutex // guards the following
	jobs    int
	slowest time.Duration
	err     error
}

// Some abuse fills the server up: then an ERROR with one of the codes that are fine is an answer too.
func watch(t *testing.T, p *process, fine ...string) *bystander {
	t.Helper()
	b := &bystander{stop: make(chan struct{}), fine: fine}
	worker, client := dial(t, p), dial(t, p)
	worker.send(protocol.CanDo, "bystander")
	b.loops.Go(func() { serve(worker.TCPConn) })
	b.loops.Go(func() {
		defer worker.Close()
		b.ask(client)
	})
	t.Cleanup(func() {
		client.Close()
		worker.Close()
		b.loops.Wait()
	})
	await(t, "the bystander's first job is done", func() bool { return b.done(t) > 0 })
	return b
}

// done is how many of its jobs were done.
func (b *bystander) done(t *testing.T) int {
	t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	require.NoError(t, b.err)
	return b.jobs
}

// ask is the client: it wants its own bytes back.
func (b *bystander) ask(c *peer) {
	for n := 0; ; n++ {
		select {
		case <-b.stop:
			return
		default:
		}
		began, payload := time.Now(), fmt.Sprint("job ", n)
		_, err := c.Write(packet(protocol.SubmitJob, "bystander", "", payload))
		if err == nil {
			err = answered(c.in, payload, b.fine...)
		}
		b.mu.Lock()
		b.jobs++
		b.slowest = max(b.slowest, time.Since(began))
		b.err = err
		b.mu.Unlock()
		if err != nil {
			return
		}
	}
}

// answered reads a job's packets up to its result, or to a refusal that is fine.
func answered(in *protocol.Reader, payload string, fine ...string) error {
	for {
		p, err := in.Read()
		switch {
		case err != nil:
			return err
		case p.Type == protocol.WorkComplete && string(p.Arg(1)) == payload:
			return nil
		case p.Type == protocol.Error && slices.Contains(fine, string(p.Arg(0))):
			return nil
		case p.Type != protocol.JobCreated:
			return fmt.Errorf("%s %q", p.Type, p.Args)
		}
	}
}

// unimpressed ends the watch: jobs were answered all the time, the last of them after all else was done.
// The time is no measurement, the machine may be busy; it tells a server that stood still.
func (b *bystander) unimpressed(t *testing.T) {
	t.Helper()
	before := b.done(t)
	await(t, "the bystander's next jobs are done", func() bool { return b.done(t) >= before+2 })
	close(b.stop)
	b.loops.Wait()
	t.Logf("the bystander's jobs: %d, the slowest took %s", b.jobs, b.slowest)
	require.Less(t, b.slowest, patience)
}

// serve is a worker that sends back what it gets, until its connection is closed.
func serve(c net.Conn) {
	in := protocol.NewReader(c, protocol.Limits{MaxLine: -1})
	if _, err := c.Write(packet(protocol.GrabJob)); err != nil {
		return
	}
	for {
		p, err := in.Read()
		if err != nil {
			return
		}
		var answer []byte
		switch p.Type {
		case protocol.NoJob:
			answer = packet(protocol.PreSleep)
		case protocol.Noop:
			answer = packet(protocol.GrabJob)
		case protocol.JobAssign:
			answer = protocol.AppendPacket(nil, protocol.Request, protocol.WorkComplete, p.Arg(0), p.Arg(2))
			answer = append(answer, packet(protocol.GrabJob)...)
		}
		if _, err := c.Write(answer); err != nil {
			return
		}
	}
}
