//go:build unix

package main

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// chaosItems is how many jobs the sample pipeline has.
const chaosItems = 24

const chaosPipeline = `
name: chaos
stages:
  - name: work
    for_each: 24
    max_parallel: 6
    run: |
      echo x >>ran-$ITEM
      sleep 0.03
      echo "result $ITEM"
    retry: {attempts: 20, delay: 10ms, max_delay: 100ms}
  - name: count
    run: ["echo", "${{ len(stages.work.results) }} results, the last is ${{ last(stages.work.results) }}"]
    retry: {attempts: 20, delay: 10ms, max_delay: 100ms}
`

// Whatever is killed, and in whatever order, the run ends as an undisturbed one does, and no job is done more
// often than once and once more for each kill. GEARTRAIN_CHAOS is the number of seeds.
func TestChaos(t *testing.T) {
	t.Parallel()
	seeds := 2
	if n, err := strconv.Atoi(os.Getenv("GEARTRAIN_CHAOS")); err == nil {
		seeds = n
	}
	for seed := range seeds {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) { newChaos(t, uint64(seed)).run() })
	}
}

// chaos is one run with what it needs, each of which may be killed: a server, two workers, the runner.
type chaos struct {
	t       *testing.T
	rand    *rand.Rand
	dir     string
	server  *exec.Cmd
	workers [2]*exec.Cmd
	kills   int
}

func newChaos(t *testing.T, seed uint64) *chaos {
	c := &chaos{t: t, rand: rand.New(rand.NewPCG(seed, 1)), dir: t.TempDir()}
	require.NoError(t, os.WriteFile(filepath.Join(c.dir, "chaos.yaml"), []byte(chaosPipeline), 0o600))
	return c
}

// start starts the command as a process in a group of its own.
func (c *chaos) start(out *bytes.Buffer, args ...string) *exec.Cmd {
	cmd := exec.Command("geartrain", args...)
	cmd.Dir = c.dir
	cmd.Env = append(os.Environ(), "GEARTRAIN_STATE="+filepath.Join(c.dir, "state"))
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if out != nil {
		cmd.Stdout = out
	}
	require.NoError(c.t, cmd.Start())
	return cmd
}

// kill kills a process and its commands, as the loss of a machine would.
func (c *chaos) kill(cmd *exec.Cmd) {
	_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) // it may have ended, which is as good
	_ = cmd.Wait()
}

func (c *chaos) startServer() {
	c.server = c.start(nil, "server", "-L", "unix:socket", "--data", "data")
}

func (c *chaos) startWorker(i int) {
	c.workers[i] = c.start(nil, "worker", "--file", "chaos.yaml", "-c", "3", "-S", "unix:socket")
}

func (c *chaos) startRunner(out *bytes.Buffer) *exec.Cmd {
	out.Reset()
	return c.start(out, "run", "chaos.yaml", "-q", "--no-workers", "-S", "unix:socket", "--at", "2026-01-02T03:04:05Z")
}

func (c *chaos) run() {
	c.startServer()
	for i := range c.workers {
		c.startWorker(i)
	}
	defer func() {
		c.kill(c.server)
		for _, w := range c.workers {
			c.kill(w)
		}
	}()
	var out bytes.Buffer
	runner := c.startRunner(&out)
	for range 3 + c.rand.IntN(4) {
		time.Sleep(time.Duration(20+c.rand.IntN(150)) * time.Millisecond) // the machine goes down at any moment
		c.kills++
		switch victim := c.rand.IntN(4); victim {
		case 0:
			c.kill(c.server)
			c.startServer()
		case 1, 2:
			c.kill(c.workers[victim-1])
			c.startWorker(victim - 1)
		default:
			c.kill(runner)
			runner = c.startRunner(&out)
		}
	}
	for deadline := time.Now().Add(patience); !c.ends(runner, deadline); {
		runner = c.startRunner(&out)
	}
	c.judge(out.String())
}

// ends waits for the end of the runner, and reports whether the run has ended with it. A runner that begins while
// the server is down says so and goes; whoever keeps an eye on it starts it again.
func (c *chaos) ends(runner *exec.Cmd, deadline time.Time) bool {
	ended := make(chan struct{})
	go func() {
		_ = runner.Wait() // its state tells
		close(ended)
	}()
	select {
	case <-ended:
	case <-time.After(time.Until(deadline)):
		c.kill(runner)
		c.t.Fatalf("the run did not end after %d kills", c.kills)
	}
	code := runner.ProcessState.ExitCode()
	require.Contains(c.t, []int{int(exitDone), int(exitNoServer)}, code, "after %d kills", c.kills)
	return code == int(exitDone)
}

func (c *chaos) judge(output string) {
	require.Equal(c.t, fmt.Sprintf("%d results, the last is result %d\n", chaosItems, chaosItems-1), output)
	for i := range chaosItems {
		ran, err := os.ReadFile(filepath.Join(c.dir, fmt.Sprint("ran-", i)))
		require.NoError(c.t, err)
		require.LessOrEqual(c.t, strings.Count(string(ran), "x"), 1+c.kills, "item %d", i)
	}
}
