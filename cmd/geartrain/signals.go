package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"github.com/geartrain/geartrain/flow"
)

// errCancelled is why running jobs are given up after the second signal or the time of grace.
var errCancelled = errors.New("cancelled")

// signalWatch turns signals into the end of a run.
//
//	SIGINT ──► drain ──► SIGINT ──► cancel ──► SIGINT ──► leave at once
//	SIGTERM ─► drain ──► time of grace over ──┘
//
// When server and workers are inside this process, a drain ends with the commands that run, and what
// only waits in the queue is given up. Elsewhere nobody knows which jobs run: it ends with those that
// were submitted.
type signalWatch struct {
	run    *flow.Run
	inside *inner // nil: server or workers are elsewhere
	say    io.Writer
	cancel context.CancelCauseFunc
	grace  time.Duration

	signals chan os.Signal
	done    chan struct{}
	idle    sync.WaitGroup // the watching goroutine
	first   os.Signal      // the one that began the end; read after the goroutine has ended
}

// start begins to watch.
func (w *signalWatch) start() {
	w.signals, w.done = make(chan os.Signal, 3), make(chan struct{})
	signal.Notify(w.signals, os.Interrupt, syscall.SIGTERM)
	w.idle.Go(w.watch)
}

func (w *signalWatch) watch() {
	var over <-chan time.Time
	for count := 1; ; count++ {
		select {
		case sig := <-w.signals:
			switch count {
			case 1:
				w.first = sig
				w.drain()
				if sig == syscall.SIGTERM {
					over = time.After(w.grace)
				}
			case 2:
				fmt.Fprintln(w.say, "cancelling; press again to leave at once")
				w.cancel(errCancelled)
			default:
				os.Exit(int(signalCode(w.first)))
			}
		case <-over:
			w.cancel(errCancelled)
		case <-w.done:
			return
		}
	}
}

func (w *signalWatch) drain() {
	w.run.Drain()
	open := openJobs(w.run)
	if w.inside != nil {
		open = int(w.inside.running.Load())
		w.idle.Go(func() { // ends at the latest when the run has, and inner.stop kills what runs
			w.inside.drain()
			w.cancel(flow.ErrDrained)
		})
	}
	fmt.Fprintf(w.say, "draining %d jobs, press again to cancel\n", open)
}

// stop ends the watch and returns the signal that ended the run, nil for none.
func (w *signalWatch) stop() os.Signal {
	signal.Stop(w.signals)
	close(w.done)
	if w.first != nil && w.inside != nil {
		w.inside.kill() // the run has ended: nobody waits for what may still be draining
	}
	w.idle.Wait()
	return w.first
}

func openJobs(run *flow.Run) int {
	open := 0
	for _, stage := range run.Progress() {
		open += stage.Open
	}
	return open
}

func signalCode(sig os.Signal) exitCode {
	if sig == syscall.SIGTERM {
		return exitTerminated
	}
	return exitInterrupted
}
