package sim

import (
	"fmt"
	"maps"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/geartrain/geartrain/gearman/protocol"
	"github.com/geartrain/geartrain/server"
	"github.com/geartrain/geartrain/server/queue"
	"github.com/geartrain/geartrain/server/servertest"
	"github.com/geartrain/geartrain/server/store"
)

// whole is a real server over pipes, in a bubble whose time is the world's. All inputs of a batch are
// written at the same time by as many goroutines; then everything comes to rest.
type whole struct {
	t      *testing.T
	srv    *servertest.Server
	kept   store.Store          // nil: it is in memory
	wires  map[queue.Peer]*wire // nobody's is the operator's
	news   chan struct{}        // a wire has read something since the last rest
	checks int
}

// readTimeout is for peers that stall in the middle of a packet. Nothing else happens at such odd
// times.
const readTimeout = 700*time.Millisecond + 17*time.Microsecond

func newWhole(t *testing.T, cfg queue.Config, kept store.Store) *whole {
	s := &whole{t: t, kept: kept, wires: map[queue.Peer]*wire{}, news: make(chan struct{}, 1)}
	s.srv = servertest.Pipe(t, func(c *server.Config) {
		c.Queue, c.Store = cfg, kept
		c.ReadTimeout = readTimeout
		c.MaxOutbox = 512 << 10
	})
	s.connect(0)
	synctest.Wait()
	return s
}

// close ends all connections.
func (s *whole) close() {
	for _, w := range s.wires {
		w.close()
	}
}

func (s *whole) connect(p queue.Peer) {
	c, err := s.srv.Dial(s.t.Context(), "", "")
	if err != nil {
		s.t.Fatal(err)
	}
	s.wires[p] = newWire(c, s.news)
}

// pass sleeps until somebody is sent something.
func (s *whole) pass(to time.Time) (time.Time, bool, []output, []queue.Peer) {
	if !to.After(time.Now()) {
		return to, false, nil, nil
	}
	timer := time.NewTimer(time.Until(to))
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-s.news:
	}
	outs, gone := s.rest()
	return time.Now(), true, outs, gone
}

func (s *whole) apply(ins []input) ([]output, []queue.Peer) {
	for i := range ins {
		s.start(&ins[i])
	}
	outs, gone := s.rest()
	for i := range ins {
		if in := &ins[i]; in.peer == 0 && in.op != retry {
			_, text, _ := s.wires[0].take()
			in.done = strings.HasPrefix(text, "OK")
		}
	}
	return outs, gone
}

// start sets an input on its way.
func (s *whole) start(in *input) {
	w := s.wires[in.peer]
	switch in.op {
	case say:
		var b []byte
		for _, p := range in.packets {
			b = p.append(b)
		}
		w.out <- b
	case join:
		s.connect(in.peer)
	case leave:
		s.hangUp(in.peer)
	case cut, stall:
		b := packet{typ: protocol.SubmitJobBg, args: []string{"a", "", "never"}}.append(nil)
		w.out <- b[:len(b)*int(1+in.peer%7)/8]
		w.resume()
		if in.op == cut {
			s.hangUp(in.peer)
		}
	case pause:
		w.pause()
	case resume:
		w.resume()
	case cancel:
		w.out <- []byte("cancel job " + in.name + "\n")
	case drop:
		w.out <- []byte("drop function " + in.name + "\n")
	case limit:
		w.out <- fmt.Appendf(nil, "maxqueue %s %d\n", in.name, in.max)
	}
}

func (s *whole) hangUp(p queue.Peer) {
	s.wires[p].close()
	delete(s.wires, p)
}

// append encodes a request.
func (p packet) append(b []byte) []byte {
	args := make([][]byte, len(p.args))
	for i, a := range p.args {
		args[i] = []byte(a)
	}
	return protocol.AppendPacket(b, protocol.Request, p.typ, args...)
}

// rest waits until nothing happens any more, and collects what peers have read.
func (s *whole) rest() (outs []output, gone []queue.Peer) {
	synctest.Wait()
	select {
	case <-s.news:
	default:
	}
	for _, id := range slices.Sorted(maps.Keys(s.wires)) {
		if id == 0 {
			continue
		}
		w := s.wires[id]
		packets, _, ended := w.take()
		for _, p := range packets {
			outs = append(outs, output{id, p})
		}
		if ended {
			gone = append(gone, id)
			s.hangUp(id)
		}
	}
	return outs, gone
}

func (s *whole) live() (handles []string) {
	s.srv.View(func(state *queue.State) {
		for j := range state.Jobs() {
			handles = append(handles, j.Handle)
		}
	})
	return handles
}

func (s *whole) dead() (dead []queue.DeadLetter) {
	s.srv.View(func(state *queue.State) { dead = deadLetters(state) })
	for i := range dead {
		if d := &dead[i]; d.Body != 0 {
			payload, err := s.kept.Body(d.Body)
			if err != nil {
				s.t.Fatal(err)
			}
			d.Payload = payload
		}
	}
	return dead
}

func (s *whole) check() (err error) {
	if s.checks++; s.checks%8 != 0 {
		return nil
	}
	s.srv.View(func(state *queue.State) { err = state.Check() })
	return err
}

func (s *whole) counters() queue.Counters { return s.srv.Snapshot().Queue }

// wire is a peer's end of a pipe.
type wire struct {
	conn net.Conn
	out  chan []byte // closed: the connection ends after what is in it
	once sync.Once   // closes out
	news chan<- struct{}

	mu    sync.Mutex    // guards the following
	open  chan struct{} // closed while the peer reads
	inbox []packet
	text  []byte // what is no packet
	ended bool
}

func newWire(c net.Conn, news chan<- struct{}) *wire {
	w := &wire{conn: c, news: news, out: make(chan []byte, 1), open: make(chan struct{})}
	close(w.open)
	go w.read()
	go w.write()
	return w
}

// Read is the reader's source: it waits while the peer does not read.
func (w *wire) Read(b []byte) (int, error) {
	w.mu.Lock()
	open := w.open
	w.mu.Unlock()
	<-open
	return w.conn.Read(b)
}

// read ends when the connection does.
func (w *wire) read() {
	r := protocol.NewReader(w, protocol.Limits{})
	for {
		p, err := r.Read()
		w.mu.Lock()
		switch {
		case err != nil:
			w.ended = true
		case p.Type == protocol.Text:
			w.text = append(append(w.text, p.Arg(0)...), '\n')
		default:
			pk := packet{typ: p.Type}
			for _, a := range p.Args {
				pk.args = append(pk.args, string(a))
			}
			w.inbox = append(w.inbox, pk)
		}
		w.mu.Unlock()
		select {
		case w.news <- struct{}{}:
		default: // nobody has looked since the last time
		}
		if err != nil {
			return
		}
	}
}

// write ends with out.
func (w *wire) write() {
	defer w.conn.Close()
	for b := range w.out {
		if _, err := w.conn.Write(b); err != nil {
			return // the server has closed it, and the reader finds out
		}
	}
}

// pause takes effect with the next Read: one that waits already is let through.
func (w *wire) pause() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.open = make(chan struct{})
}

func (w *wire) resume() {
	w.mu.Lock()
	defer w.mu.Unlock()
	select {
	case <-w.open:
	default:
		close(w.open)
	}
}

// close ends the connection when everything has been written.
func (w *wire) close() {
	w.resume()
	w.once.Do(func() { close(w.out) })
}

// take is what was read since the last time, and whether that was the end.
func (w *wire) take() (packets []packet, text string, ended bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	packets, text = w.inbox, string(w.text)
	w.inbox, w.text = nil, nil
	return packets, text, w.ended
}
