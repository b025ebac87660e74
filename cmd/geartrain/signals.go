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
type signalWatch struct {
	signals chan os.Signal
	done    chan struct{}
	idle    sync.WaitGroup // the watching goroutine
	first   os.Signal      // the one that began the end; read after the goroutine has ended
}

func watchSignals(run *flow.Run, say io.Writer, cancel context.CancelCauseFunc, grace time.Duration) *signalWatch {
	w := &signalWatch{signals: make(chan os.Signal, 3), done: make(chan struct{})}
	signal.Notify(w.signals, os.Interrupt, syscall.SIGTERM)
	w.idle.Go(func() { w.watch(run, say, cancel, grace) })
	return w
}

func (w *signalWatch) watch(run *flow.Run, say io.Writer, cancel context.CancelCauseFunc, grace time.Duration) {
	var over <-chan time.Time
	for count := 1; ; count++ {
		select {
		case sig := <-w.signals:
			switch count {
			case 1:
				w.first = sig
				run.Drain()
				fmt.Fprintf(say, "draining %d jobs, press again to cancel\n", openJobs(run))
				if sig == syscall.SIGTERM {
					over = time.After(grace)
				}
			case 2:
				fmt.Fprintln(say, "cancelling; press again to leave at once")
				cancel(errCancelled)
			default:
				os.Exit(int(signalCode(w.first)))
			}
		case <-over:
			cancel(errCancelled)
		case <-w.done:
			return
		}
	}
}

// stop ends the watch and returns the signal that ended the run, nil for none.
func (w *signalWatch) stop() os.Signal {
	signal.Stop(w.signals)
	close(w.done)
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
