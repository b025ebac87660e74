//go:build unix

package main

import (
	"bytes"
	"fmt"
	"hash/crc32"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/geartrain/geartrain/gearman/protocol"
)

// The server is killed at random moments under load and started again with the same folder. Whatever it
// has acknowledged runs, what it has refused does not, and what it has confirmed does not run again.
// GEARTRAIN_CRASHES is how often it is killed.
func TestKilledServerKeepsItsWord(t *testing.T) {
	t.Parallel()
	l := newLedger(t)
	s := newMortal(t)
	var load, work sync.WaitGroup
	stopLoad, stopWork := make(chan struct{}), make(chan struct{})
	for range 6 {
		load.Go(func() { l.submit(s, stopLoad) })
	}
	for range 3 {
		work.Go(func() { l.work(s, stopWork) })
	}
	require.Eventually(t, l.begun, patience, time.Millisecond)
	for range crashes() {
		time.Sleep(time.Duration(50+rand.IntN(300)) * time.Millisecond) // the moment is what is random here
		s.kill()
		s.start()
	}
	close(stopLoad)
	load.Wait()
	require.Eventually(t, func() bool { return s.jobs() == 0 && l.anyConfirmed() }, 2*patience, 50*time.Millisecond)
	close(stopWork)
	work.Wait()
	l.check()
}

func crashes() int {
	if n, err := strconv.Atoi(os.Getenv("GEARTRAIN_CRASHES")); err == nil {
		return n
	}
	return 2
}

// mortal is a server process that can be killed and started again. It has always the same socket.
type mortal struct {
	t            *testing.T
	socket, data string
	flags        []string
	cmd          *exec.Cmd
	log          bytes.Buffer
	life         atomic.Int64 // how often it was started
}

func newMortal(t *testing.T, flags ...string) *mortal {
	t.Helper()
	return newMortalAt(t, filepath.Join(t.TempDir(), "data"), flags...)
}

func newMortalAt(t *testing.T, data string, flags ...string) *mortal {
	t.Helper()
	dir, err := os.MkdirTemp("", "crash") // a socket's path must be short
	require.NoError(t, err)
	s := &mortal{t: t, socket: filepath.Join(dir, "s"), data: data, flags: flags}
	t.Cleanup(func() {
		s.kill()
		if t.Failed() {
			t.Logf("the server's log:\n%s", s.log.String())
		}
		os.RemoveAll(dir)
	})
	s.start()
	return s
}

func (s *mortal) start() {
	s.t.Helper()
	s.life.Add(1)
	s.cmd = exec.Command("geartrain", append([]string{"server", "-L", "unix:" + s.socket, "--data", s.data}, s.flags...)...)
	s.cmd.Stderr = &s.log
	require.NoError(s.t, s.cmd.Start())
	require.Eventually(s.t, func() bool {
		c, err := net.Dial("unix", s.socket)
		if err == nil {
			c.Close()
		}
		return err == nil
	}, patience, 5*time.Millisecond)
}

func (s *mortal) kill() {
	_ = s.cmd.Process.Kill()
	_ = s.cmd.Wait() // it was killed, and says so
}

// jobs is how many jobs the server has, -1 if it is dead or still loads them.
func (s *mortal) jobs() int {
	if answer := s.list("guarantees"); !strings.Contains(answer, "state\tready\n") {
		return -1
	}
	total := 0
	for line := range strings.Lines(s.list("status")) {
		if fields := strings.Split(line, "\t"); len(fields) > 1 {
			n, err := strconv.Atoi(fields[1])
			require.NoError(s.t, err)
			total += n
		}
	}
	return total
}

// list is the server's answer to an admin line, empty if it is dead.
func (s *mortal) list(line string) string {
	c, err := net.Dial("unix", s.socket)
	if err != nil {
		return ""
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(patience)) // if it does not work, reading takes longer
	if _, err := c.Write([]byte(line + "\n")); err != nil {
		return ""
	}
	answer, chunk := "", make([]byte, 4096)
	for !strings.HasSuffix(answer, ".\n") {
		n, err := c.Read(chunk)
		if err != nil {
			return ""
		}
		answer += string(chunk[:n])
	}
	return answer
}

// talker is a connection that ends with the server.
type talker struct {
	net.Conn
	in   *protocol.Reader
	life int64 // the server's
}

func (s *mortal) dial() *talker {
	life := s.life.Load()
	c, err := net.Dial("unix", s.socket)
	if err != nil {
		time.Sleep(time.Millisecond) // the server is dead just now
		return nil
	}
	if s.life.Load() != life { // which one answered is not known
		c.Close()
		return nil
	}
	_ = c.SetDeadline(time.Now().Add(2 * patience))
	return &talker{c, protocol.NewReader(c, protocol.Limits{MaxLine: -1}), life}
}

func request(typ protocol.Type, args ...string) []byte {
	list := make([][]byte, len(args))
	for i, a := range args {
		list[i] = []byte(a)
	}
	return protocol.AppendPacket(nil, protocol.Request, typ, list...)
}

// ledger is what clients and workers have seen.
type ledger struct {
	t *testing.T

	mu        sync.Mutex
	next      int
	acked     map[int]bool
	refused   map[int]bool
	ran       map[int]int
	confirmed map[int]int64 // the server's life in which that was
	wrong     []string
}

func newLedger(t *testing.T) *ledger {
	return &ledger{t: t, acked: map[int]bool{}, refused: map[int]bool{}, ran: map[int]int{}, confirmed: map[int]int64{}}
}

// payload is one that shows damage: number, checksum and filler, which for some is larger than what
// stays in memory.
func (l *ledger) payload() (int, string) {
	size := rand.IntN(1000)
	if size%10 == 0 {
		size *= 20
	}
	return l.payloadOf(strings.Repeat(string(rune('a'+size%26)), size))
}

func (l *ledger) payloadOf(filler string) (int, string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.next++
	return l.next, fmt.Sprintf("%d %08x %s", l.next, crc32.ChecksumIEEE([]byte(filler)), filler)
}

func numberOf(payload []byte) (int, error) {
	var n int
	var sum uint32
	head, filler, _ := bytes.Cut(payload, []byte(" "))
	sumText, filler, _ := bytes.Cut(filler, []byte(" "))
	if _, err := fmt.Sscanf(string(head)+" "+string(sumText), "%d %x", &n, &sum); err != nil {
		return 0, err
	}
	if crc32.ChecksumIEEE(filler) != sum {
		return 0, fmt.Errorf("the filler of job %d is not what it was", n)
	}
	return n, nil
}

// submit sends background jobs, several at a time, until stop is closed.
func (l *ledger) submit(s *mortal, stop chan struct{}) { s.talk(stop, l.submitTo) }

func (l *ledger) submitTo(c *talker, stop chan struct{}) {
	for {
		select {
		case <-stop:
			return
		default:
		}
		var out []byte
		var numbers []int
		for range 1 + rand.IntN(20) {
			n, payload := l.payload()
			numbers = append(numbers, n)
			out = append(out, request(protocol.SubmitJobBg, "crash", "", payload)...)
		}
		if _, err := c.Write(out); err != nil {
			return
		}
		for _, n := range numbers {
			p, err := c.in.Read()
			if err != nil {
				return // whether they are there is not known
			}
			l.mu.Lock()
			switch p.Type {
			case protocol.JobCreated:
				l.acked[n] = true
			case protocol.Error:
				l.refused[n] = true
			default:
				l.wrong = append(l.wrong, "a client got "+p.Type.String())
			}
			l.mu.Unlock()
		}
	}
}

// work takes jobs until stop is closed.
func (l *ledger) work(s *mortal, stop chan struct{}) { s.talk(stop, l.workFor) }

// talk dials again and again, each life of the server being another connection, until stop is closed.
func (s *mortal) talk(stop chan struct{}, over func(*talker, chan struct{})) {
	for {
		select {
		case <-stop:
			return
		default:
		}
		if c := s.dial(); c != nil {
			over(c, stop)
			c.Close()
		}
	}
}

func (l *ledger) workFor(c *talker, stop chan struct{}) {
	out := request(protocol.CanDo, "crash")
	done := 0 // the job whose end was sent
	for {
		select {
		case <-stop:
			return
		default:
		}
		if _, err := c.Write(append(out, request(protocol.GrabJob)...)); err != nil {
			return
		}
		p, err := c.in.Read()
		if err != nil {
			return
		}
		out = nil
		number := 0
		if p.Type == protocol.JobAssign {
			number, err = numberOf(p.Args[2])
			out = request(protocol.WorkComplete, string(p.Args[0]), "")
		}
		l.mu.Lock()
		if err != nil {
			l.wrong = append(l.wrong, err.Error())
		}
		if done != 0 {
			l.confirmed[done] = c.life
		}
		if number != 0 {
			l.ran[number]++
			if life, ok := l.confirmed[number]; ok && life <= c.life { // else this news is older, and came late
				l.wrong = append(l.wrong, fmt.Sprintf("job %d ran again although its end was confirmed", number))
			}
		}
		l.mu.Unlock()
		if done = number; number == 0 {
			time.Sleep(5 * time.Millisecond)
		}
	}
}

// begun says that the server has promised something.
func (l *ledger) begun() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.acked) > 0
}

// anyConfirmed says that a worker knows of a job that its end was taken.
func (l *ledger) anyConfirmed() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.confirmed) > 0
}

// check compares what was promised with what has happened.
func (l *ledger) check() {
	l.mu.Lock()
	defer l.mu.Unlock()
	lost := 0
	for n := range l.acked {
		if l.ran[n] == 0 {
			lost++
		}
	}
	for n := range l.refused {
		if l.ran[n] > 0 {
			l.wrong = append(l.wrong, fmt.Sprintf("job %d was refused and ran", n))
		}
	}
	l.t.Logf("%d submitted, %d acknowledged, %d refused, %d ran, %d confirmed", l.next, len(l.acked), len(l.refused), len(l.ran), len(l.confirmed))
	assert.Zero(l.t, lost, "acknowledged and lost")
	assert.Empty(l.t, l.wrong)
	assert.NotEmpty(l.t, l.acked)
	assert.NotEmpty(l.t, l.confirmed)
}
