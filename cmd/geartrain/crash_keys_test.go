//go:build unix

package main

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/geartrain/geartrain/gearman"
	"github.com/geartrain/geartrain/gearman/protocol"
)

// startWorker runs a worker of the library, which comes back to a server that was killed.
func startWorker(t *testing.T, s *mortal, slots int, function string, handler gearman.HandlerFunc) {
	t.Helper()
	w, err := gearman.NewWorker(gearman.WorkerConfig{
		Servers: []string{"unix:" + s.socket}, Concurrency: slots, Logger: slog.New(slog.DiscardHandler),
	})
	require.NoError(t, err)
	w.Handle(function, handler)
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = w.Run(ctx) // it ends with the test
	}()
	t.Cleanup(func() {
		stop()
		<-done
	})
}

// A thousand clients ask for one key. There is one run, also if the server is killed while they wait and
// they ask again, but for a run that was lost with it; and all get the same bytes.
func TestKilledServerAnswersAKeyOnce(t *testing.T) {
	t.Parallel()
	for name, kills := range map[string]int{"undisturbed": 0, "killed": crashes()} {
		t.Run(name, func(t *testing.T) {
			const clients = 1000
			s := newMortal(t, "--retain", "*=1h")
			var runs atomic.Int64
			startWorker(t, s, 4, "once", func(context.Context, *gearman.Job) ([]byte, error) {
				n := runs.Add(1)
				time.Sleep(10 * time.Millisecond) // that is how long it takes
				return fmt.Appendf(nil, "run %d", n), nil
			})
			answers := make(chan string, clients)
			var asking sync.WaitGroup
			for range clients {
				asking.Go(func() { answers <- ask(s, "once", "the key") })
			}
			for range kills {
				time.Sleep(time.Duration(rand.IntN(60)) * time.Millisecond)
				s.kill()
				s.start()
			}
			asking.Wait()
			first := <-answers
			for range clients - 1 {
				require.Equal(t, first, <-answers)
			}
			ran := runs.Load()
			require.LessOrEqual(t, ran, int64(1+kills))
			require.Equal(t, first, ask(s, "once", "the key"), "later too")
			require.Equal(t, ran, runs.Load())
		})
	}
}

// ask submits a foreground job until it is answered.
func ask(s *mortal, function, key string) string {
	for {
		if c := s.dial(); c != nil {
			answer, ok := askOn(c, function, key)
			c.Close()
			if ok {
				return answer
			}
		}
	}
}

func askOn(c *talker, function, key string) (string, bool) {
	if _, err := c.Write(request(protocol.SubmitJob, function, key, "x")); err != nil {
		return "", false
	}
	for {
		p, err := c.in.Read()
		switch {
		case err != nil:
			return "", false
		case p.Type == protocol.WorkComplete:
			return string(p.Args[1]), true
		case p.Type != protocol.JobCreated:
			return p.Type.String(), true
		}
	}
}

// A task set goes on over the deaths of its server. What has ended does not run again.
func TestKilledServerInTheMiddleOfATaskSet(t *testing.T) {
	t.Parallel()
	const tasks, slots = 400, 8
	s := newMortal(t, "--retain", "*=1h")
	var mu sync.Mutex
	runs := map[string]int{}
	startWorker(t, s, slots, "double", func(_ context.Context, j *gearman.Job) ([]byte, error) {
		mu.Lock()
		defer mu.Unlock()
		payload := string(j.Payload())
		runs[payload]++
		time.Sleep(time.Millisecond) // so that the set takes some time
		return []byte(payload + payload), nil
	})
	client, err := gearman.NewClient(gearman.ClientConfig{Servers: []string{"unix:" + s.socket}, Logger: slog.New(slog.DiscardHandler)})
	require.NoError(t, err)
	defer client.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 2*patience)
	defer cancel()
	set := client.NewTaskSet(ctx)
	called := map[string]int{}
	for i := range tasks {
		payload := fmt.Sprint(i)
		set.Add(gearman.Task{
			Function: "double", Key: "key-" + payload, Payload: []byte(payload),
			OnComplete: func(r gearman.Result) { called[payload+"="+string(r.Payload)]++ },
		})
	}
	kills := crashes()
	for range kills {
		time.Sleep(time.Duration(rand.IntN(100)) * time.Millisecond)
		s.kill()
		s.start()
	}
	require.NoError(t, set.Wait())
	require.Len(t, called, tasks)
	again := 0
	for i := range tasks {
		require.Equal(t, 1, called[fmt.Sprintf("%d=%d%d", i, i, i)], "task %d", i)
		again += runs[fmt.Sprint(i)] - 1
	}
	require.LessOrEqual(t, again, kills*slots, "only what ran when the server was killed runs again")
}
