package main

import (
	"os"
	"runtime/debug"
	"time"

	"github.com/geartrain/geartrain/server"
)

const (
	memoryBase  = 16 << 20        // what a process needs beside what it holds for peers
	memoryLook  = 5 * time.Second // how often the server looks whether a flood is over
	memoryFlood = 64 << 20        // and what it takes for one
)

// limitMemory makes the garbage collector work harder before the process exceeds its budget by a
// half. A limit in the environment goes before.
func limitMemory(budget int64) {
	if budget > 0 && os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(budget/8*9 + memoryBase)
	}
}

// giveMemoryBack returns memory to the system when much less is held than before, until ended is
// closed. By itself the runtime would keep it for minutes.
func giveMemoryBack(srv *server.Server, ended <-chan struct{}) {
	look := time.NewTicker(memoryLook)
	defer look.Stop()
	peak := int64(0)
	for {
		select {
		case <-ended:
			return
		case <-look.C:
		}
		now := srv.Snapshot()
		held := now.Memory + now.Levels.Bytes
		peak = max(peak, held)
		if peak-held >= memoryFlood && held < peak/2 {
			debug.FreeOSMemory()
			peak = held
		}
	}
}
