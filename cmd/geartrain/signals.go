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
	"github.com/geartrain/geartrain/gearman"
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
	client *gearman.Client
	inside *inner // nil: server or workers are elsewhere
	say    io.Writer
	again  string // the command that goes on with the run
	cancel context.CancelCauseFunc
	grace  time.Duration

	signals chan os.Signal
	done    chan struct{}
	idle    sync.WaitGroup // the watching goroutine
	first   os.Signal      // the one that began the end; read after the goroutine has ended
}

// listen takes signals from now on: before the first job, since whoever sees that may send one.
func (w *signalWatch) listen() {
	w.signals = make(chan os.Signal, 3)
	signal.Notify(w.signals, os.Interrupt, syscall.SIGTERM)
}

// start begins to act on them.
func (w *signalWatch) start() {
	w.done = make(chan struct{})
	w.idle.Go(w.watch)
}

func (w *signalWatch) watch() {
	var over <-chan time.Time
	var drained <-chan struct{}
	done := w.done
	for count := 0; done != nil || drained != nil; {
		select {
		case sig := <-w.signals:
			switch count++; count {
			case 1:
				w.first = sig
				drained = w.drain()
				if sig == syscall.SIGTERM {
					over = time.After(w.grace)
				}
			case 2:
				fmt.Fprintln(w.say, "cancelling; press again to leave at once")
				w.cancel(errCancelled)
			default:
				fmt.Fprintln(w.say, continueWith(w.again))
				os.Exit(int(signalCode(w.first)))
			}
		case <-over:
			w.cancel(errCancelled)
		case <-drained:
			w.cancel(flow.ErrDrained)
			drained = nil
		case <-done:
			done = nil
		}
	}
}

// drain begins the end. What it returns is closed when the commands have ended, where that can be seen.
func (w *signalWatch) drain() <-chan struct{} {
	w.run.Drain()
	if w.inside == nil {
		fmt.Fprintf(w.say, "draining %d jobs, press again to cancel\n", openJobs(w.run))
		return nil
	}
	fmt.Fprintf(w.say, "draining %d jobs, press again to cancel\n", w.inside.running.Load())
	drained := make(chan struct{})
	go func() { // ends at the latest when the run has, and stop kills what runs
		w.inside.drain(w.client)
		close(drained)
	}()
	return drained
}

// stop ends the watch and returns the signal that ended the run, nil for none.
func (w *signalWatch) stop() os.Signal {
	if w.inside != nil {
		w.inside.kill() // the run has ended: nobody waits for what may still be draining
	}
	close(w.done)
	w.idle.Wait()
	signal.Stop(w.signals)
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
