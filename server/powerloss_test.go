package server_test

import (
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/geartrain/geartrain/gearman/protocol"
	"github.com/geartrain/geartrain/server/servertest"
	"github.com/geartrain/geartrain/server/store/disk"
	"github.com/geartrain/geartrain/server/store/storetest"
)

// The machine of a server loses power at some change of its file system, or its disk fails or is full at
// one, several times in a row, under load. What was acknowledged before runs, what was refused does not, and what was confirmed does not
// run again. GEARTRAIN_POWER_SEEDS is how many worlds there are.
func TestPowerLoss(t *testing.T) {
	t.Parallel()
	n, err := strconv.Atoi(os.Getenv("GEARTRAIN_POWER_SEEDS"))
	if err != nil {
		n = 8
	}
	for seed := range uint64(n) {
		t.Run(fmt.Sprint("seed=", seed), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				m := &machine{t: t, seed: seed, files: storetest.NewFiles(seed),
					acked: map[string]bool{}, refused: map[string]bool{}, ran: map[string]int{}, confirmed: map[string]bool{}}
				for life := range 4 {
					m.live(life, true)
				}
				m.live(4, false)
				m.check()
			})
		})
	}
}

// machine is what outlives a power loss: the disk, and what peers elsewhere know.
type machine struct {
	t     *testing.T
	seed  uint64
	files *storetest.Files

	server *servertest.Server

	mu        sync.Mutex
	dark      int // the change of the file system at which the power goes; 0: it stays
	next      int
	acked     map[string]bool
	refused   map[string]bool
	ran       map[string]int
	confirmed map[string]bool
	wrong     []string
}

// live runs a server until the power goes, or until all jobs are done.
func (m *machine) live(life int, mortal bool) {
	r := rand.New(rand.NewPCG(m.seed, uint64(life)))
	m.dark = 0
	d, err := disk.Open(disk.Config{Dir: "/data", FS: m.files, SegmentSize: 16 << 10, Extend: 4 << 10, Quiet: true})
	require.NoError(m.t, err)
	s := servertest.Pipe(m.t, with(d))
	m.server = s
	synctest.Wait()
	if mortal {
		fault := storetest.Fault{At: m.files.Ops() + 1 + r.IntN(120), Err: []error{nil, nil, syscall.EIO, syscall.ENOSPC}[r.IntN(4)]}
		if fault.Err == nil {
			m.dark = fault.At
		}
		m.files.Fail(fault)
	}
	stop := make(chan struct{})
	var peers sync.WaitGroup
	for i := range 3 {
		c, err := s.Dial(m.t.Context(), "", "")
		require.NoError(m.t, err)
		random := rand.New(rand.NewPCG(r.Uint64(), uint64(i)))
		if mortal {
			peers.Go(func() { m.submit(c, random, stop) })
		}
		w, err := s.Dial(m.t.Context(), "", "")
		require.NoError(m.t, err)
		peers.Go(func() { m.work(w, stop) })
		defer c.Close()
		defer w.Close()
	}
	for range map[bool]int{true: 150, false: 3000}[mortal] {
		time.Sleep(time.Millisecond)
		if left := s.Snapshot().Levels; m.isDark() || !mortal && left.Queued+left.Running+left.Pending == 0 {
			break
		}
	}
	close(stop)
	s.Close()
	peers.Wait()
	synctest.Wait()
	_ = d.Close() // after a power loss it says so
	m.files = m.files.After(pickCrash(r), r.Uint64())
}

func pickCrash(r *rand.Rand) storetest.Crash {
	return []storetest.Crash{storetest.Kill, storetest.Lose, storetest.Mixed}[r.IntN(3)]
}

// isDark reports whether the power is gone: nothing that is heard from then on was ever said.
func (m *machine) isDark() bool { return m.dark > 0 && m.files.Ops() >= m.dark }

// submit sends background jobs until the power goes.
func (m *machine) submit(c net.Conn, r *rand.Rand, stop chan struct{}) {
	in := protocol.NewReader(c, protocol.Limits{MaxLine: -1})
	for {
		select {
		case <-stop:
			return
		case <-time.After(time.Duration(r.IntN(3000)) * time.Microsecond):
		}
		var out []byte
		var payloads []string
		for range 1 + r.IntN(6) {
			m.mu.Lock()
			m.next++
			payload := strconv.Itoa(m.next) + " " + strings.Repeat("x", r.IntN(3)*r.IntN(900))
			m.mu.Unlock()
			payloads = append(payloads, payload)
			out = append(out, packet(protocol.SubmitJobBg, "f", "", payload)...)
		}
		go c.Write(out) // pipes have no room of their own; it ends with the connection
		for _, payload := range payloads {
			p, err := in.Read()
			if err != nil || m.isDark() {
				return
			}
			m.mu.Lock()
			if p.Type == protocol.JobCreated {
				m.acked[payload] = true
			} else {
				m.refused[payload] = true
			}
			m.mu.Unlock()
		}
	}
}

// work does jobs until the power goes.
func (m *machine) work(c net.Conn, stop chan struct{}) {
	in := protocol.NewReader(c, protocol.Limits{MaxLine: -1})
	out, done := packet(protocol.CanDo, "f"), ""
	for {
		select {
		case <-stop:
			return
		default:
		}
		go c.Write(append(out, packet(protocol.GrabJob)...))
		p, err := in.Read()
		if err != nil || m.isDark() {
			return
		}
		out = nil
		m.mu.Lock()
		if done != "" && m.server.Snapshot().StoreFailure == nil { // after a failure nothing is stored any more
			m.confirmed[done] = true
		}
		done = ""
		if p.Type == protocol.JobAssign {
			done = string(p.Args[2])
			out = packet(protocol.WorkComplete, string(p.Args[0]), "")
			m.ran[done]++
			if m.confirmed[done] {
				m.wrong = append(m.wrong, "ran again although it was confirmed: "+number(done))
			}
		}
		m.mu.Unlock()
		if done == "" {
			time.Sleep(time.Millisecond)
		}
	}
}

func number(payload string) string {
	n, _, _ := strings.Cut(payload, " ")
	return n
}

func (m *machine) check() {
	for payload := range m.acked {
		if m.ran[payload] == 0 {
			m.wrong = append(m.wrong, "acknowledged and lost: "+number(payload))
		}
	}
	for payload := range m.refused {
		if m.ran[payload] > 0 {
			m.wrong = append(m.wrong, "refused and ran: "+number(payload))
		}
	}
	require.Empty(m.t, m.wrong)
	require.NotEmpty(m.t, m.acked)
	m.t.Logf("%d submitted, %d acknowledged, %d ran, %d confirmed", m.next, len(m.acked), len(m.ran), len(m.confirmed))
}
