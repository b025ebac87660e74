//go:build linux && !race

package main

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/geartrain/geartrain/gearman/protocol"
)

// The budget is a promise about the process: it stays under budget x 1.5 + base, whatever peers do.
func TestMemoryOfTheProcessStaysInTheBudget(t *testing.T) {
	const budget = 96 << 20 // half of it is much more than what a collector is late by on a busy machine
	for name, abuse := range map[string]func(t *testing.T, address string){
		"half-sent packets": sendHalfPackets,
		"a flood of jobs":   floodJobs,
		"slow readers":      readNothing,
	} {
		t.Run(name, func(t *testing.T) {
			socket := t.TempDir() + "/socket"
			cmd := exec.Command("geartrain", "server", "-L", "unix:"+socket, "--max-memory", strconv.Itoa(budget))
			require.NoError(t, cmd.Start())
			defer func() {
				_ = cmd.Process.Kill()
				_ = cmd.Wait()
			}()
			require.Eventually(t, func() bool {
				c, err := net.Dial("unix", socket)
				if err == nil {
					c.Close()
				}
				return err == nil
			}, patience, 10*time.Millisecond)
			base := resident(t, cmd.Process.Pid, "VmRSS")
			abuse(t, socket)
			peak := resident(t, cmd.Process.Pid, "VmHWM")
			t.Logf("base %d MiB, peak %d MiB", base>>20, peak>>20)
			require.Less(t, peak, base+budget*3/2)

			c := dialSocket(t, socket) // and it still answers
			_, err := c.Write([]byte("version\n"))
			require.NoError(t, err)
			_, err = c.Read(make([]byte, 100))
			require.NoError(t, err)
		})
	}
}

func dialSocket(t *testing.T, path string) net.Conn {
	c, err := net.Dial("unix", path)
	require.NoError(t, err)
	t.Cleanup(func() { c.Close() })
	require.NoError(t, c.SetDeadline(time.Now().Add(patience)))
	return c
}

// sendHalfPackets: 64 peers send most of a packet of 4 MiB each.
func sendHalfPackets(t *testing.T, socket string) {
	half := protocol.AppendHeader(nil, protocol.Request, protocol.SubmitJobBg, 4<<20)
	half = append(half, bytes.Repeat([]byte("x"), 3<<20)...)
	for range 64 {
		_, _ = dialSocket(t, socket).Write(half) // the server may refuse it on the way
	}
}

// floodJobs: 128 MiB of background jobs, large and small.
func floodJobs(t *testing.T, socket string) {
	for _, size := range []int{64, 4 << 10, 200 << 10} {
		c := dialSocket(t, socket)
		in := protocol.NewReader(c, protocol.Limits{MaxLine: -1})
		packet := protocol.AppendPacket(nil, protocol.Request, protocol.SubmitJobBg, []byte("f"), nil, make([]byte, size))
		n := (40 << 20) / len(packet)
		go func() { // ends when all is written, or with the connection
			for range n {
				if _, err := c.Write(packet); err != nil {
					return
				}
			}
		}()
		for range n {
			p, err := in.Read()
			if err != nil {
				break // a large one that there was no memory for
			}
			require.Contains(t, []protocol.Type{protocol.JobCreated, protocol.Error}, p.Type)
		}
	}
}

// readNothing: 40 peers ask for 4 MiB each and do not read it.
func readNothing(t *testing.T, socket string) {
	echo := protocol.AppendPacket(nil, protocol.Request, protocol.EchoReq, make([]byte, 4<<20))
	for range 40 {
		_, _ = dialSocket(t, socket).Write(echo)
	}
}

// resident is a size from the system's table about a process, in bytes.
func resident(t *testing.T, pid int, name string) int {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	require.NoError(t, err)
	for line := range strings.Lines(string(text)) {
		if value, found := strings.CutPrefix(line, name+":"); found {
			n, err := strconv.Atoi(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(value), "kB")))
			require.NoError(t, err)
			return n << 10
		}
	}
	t.Fatalf("no %s", name)
	return 0
}
