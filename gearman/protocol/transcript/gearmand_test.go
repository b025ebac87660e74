package transcript_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/geartrain/geartrain/gearman/protocol"
	"github.com/geartrain/geartrain/gearman/protocol/transcript"
	"github.com/geartrain/geartrain/server/servertest"
)

const (
	reference = "1.1.20"              // gearmand's version that the conversations were compared with
	patience  = time.Minute           // with the server, before a test fails: a limit for what hangs
	silence   = 60 * time.Millisecond // after which nothing more is on its way
	longest   = 3 * time.Second       // of real time that a conversation may take
)

// TestGearmand plays the conversations against the reference implementation, each against a process
// of its own. What our server does otherwise on purpose is in the files, as "not: gearmand, REASON";
// these must go otherwise here.
func TestGearmand(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("starts a hundred processes")
	}
	path, err := exec.LookPath("gearmand")
	if err != nil {
		t.Skip("gearmand is not installed")
	}
	if version, err := exec.Command(path, "--version").Output(); err != nil || !bytes.Contains(version, []byte(" "+reference)) {
		t.Skipf("the conversations are those of gearmand %s, and here is %q", reference, bytes.TrimSpace(version))
	}
	all, err := transcript.ParseAll(os.DirFS("../../../testdata/wire"))
	require.NoError(t, err)
	require.NotEmpty(t, all)
	for _, script := range all {
		t.Run(script.Name, func(t *testing.T) {
			t.Parallel()
			if script.Duration() > longest {
				t.Skip("takes ", script.Duration(), " of real time")
			}
			w := startGearmand(t, path, script.Needs)
			if reason := script.Skip("gearmand"); reason != "" {
				w.patience = silence
				require.Error(t, transcript.Play(script, w), "is it still true that "+reason)
				return
			}
			err := transcript.Play(script, w)
			for tries := 1; mayPassAgain(script, err) && tries < 10; tries++ {
				err = transcript.Play(script, startGearmand(t, path, script.Needs))
			}
			require.NoError(t, err)
		})
	}
}

// mayPassAgain reports whether an error may be no mistake: a busy machine lets more time pass than the conversation
// says, and gearmand may end as it begins.
func mayPassAgain(script *transcript.Script, err error) bool {
	_, mismatch := errors.AsType[*transcript.MismatchError](err)
	return err != nil && (script.Duration() > 0 || !mismatch)
}

// gearmand is a World: a process on a port of its own.
type gearmand struct {
	t     *testing.T
	addr  string
	admin net.Conn // asks who is connected
	lines *bufio.Reader

	patience time.Duration // with a message that has to come
}

func startGearmand(t *testing.T, path string, settings map[string]string) *gearmand {
	addr := servertest.FreeAddress(t)
	host, port, err := net.SplitHostPort(addr)
	require.NoError(t, err)
	args := []string{"-p", port, "-L", host, "-l", "none", "-P", "none", "-t", "1"} // one thread: no step overtakes another
	if os.Getuid() == 0 {
		args = append(args, "-u", "root")
	}
	for name, value := range settings {
		args = append(args, "--"+name+"="+value)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Dir = t.TempDir()
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		cancel()
		_ = cmd.Wait() // killed: that is its error
	})
	w := &gearmand{t: t, addr: addr, patience: patience}
	require.Eventually(t, func() (up bool) {
		w.admin, up = dial(w.addr)
		return up
	}, patience, 5*time.Millisecond)
	t.Cleanup(func() { w.admin.Close() })
	w.lines = bufio.NewReader(w.admin)
	return w
}

func dial(addr string) (net.Conn, bool) {
	conn, err := net.Dial("tcp", addr)
	return conn, err == nil
}

func (w *gearmand) Now() time.Time { return time.Now() }

func (w *gearmand) Advance(d time.Duration) error {
	<-time.After(d)
	return nil
}

func (w *gearmand) Dial() (transcript.Conn, error) {
	before, err := w.connections()
	if err != nil {
		return nil, err
	}
	conn, err := net.Dial("tcp", w.addr)
	if err != nil {
		return nil, err
	}
	if err := w.await(func(n int) bool { return n > before }); err != nil {
		conn.Close()
		return nil, err
	}
	c := &gearmandConn{world: w, conn: conn, messages: make(chan received, 1000)}
	go c.read()
	return c, nil
}

// connections asks the server how many connections it knows.
func (w *gearmand) connections() (int, error) {
	if _, err := io.WriteString(w.admin, "workers\n"); err != nil {
		return 0, err
	}
	for n := 0; ; n++ {
		line, err := w.lines.ReadString('\n')
		if err != nil || line == ".\n" {
			return n, err
		}
	}
}

// await waits until the number of connections is as wanted.
func (w *gearmand) await(wanted func(n int) bool) error {
	for end := time.Now().Add(patience); ; <-time.After(time.Millisecond) {
		if n, err := w.connections(); err != nil || wanted(n) {
			return err
		}
		require.True(w.t, time.Now().Before(end), "gearmand did not notice")
	}
}

// gearmandConn is a peer. A packet that it sends is followed by an ECHO_REQ of its own, whose answer
// says that the server is through with it.
type gearmandConn struct {
	world    *gearmand
	conn     net.Conn
	messages chan received // closed by read, which ends when conn is closed
	early    []received    // came before the echo
	ended    bool          // the server closed it; to be read when messages is closed
	echoes   int
	closed   bool
}

type received struct {
	packet protocol.Packet
	err    error
}

func (c *gearmandConn) read() {
	defer close(c.messages)
	r := protocol.NewReader(c.conn, protocol.Limits{MaxLine: 1 << 20})
	for {
		p, err := r.Read()
		if err != nil && !protocol.Recoverable(err) {
			if c.ended = !errors.Is(err, net.ErrClosed); c.ended {
				err = fmt.Errorf("%w (%w)", io.EOF, err) // it may be a reset
			}
			c.messages <- received{err: err}
			return
		}
		c.messages <- received{packet: clone(p), err: err}
	}
}

// clone copies a packet out of its Reader.
func clone(p protocol.Packet) protocol.Packet {
	args := make([][]byte, len(p.Args))
	for i, arg := range p.Args {
		args[i] = bytes.Clone(arg)
	}
	p.Args = args
	return p
}

func (c *gearmandConn) Send(b []byte, whole bool) error {
	if !whole {
		_, err := c.conn.Write(b)
		return err
	}
	c.echoes++
	mark := []byte("barrier " + strconv.Itoa(c.echoes))
	b = protocol.AppendPacket(b, protocol.Request, protocol.EchoReq, mark)
	if _, err := c.conn.Write(b); err != nil {
		return err
	}
	for {
		m, err := c.next(patience)
		if err != nil {
			return fmt.Errorf("after sending: %w", err)
		}
		if m.err == nil && m.packet.Type == protocol.EchoRes && string(m.packet.Arg(0)) == string(mark) {
			return nil
		}
		c.early = append(c.early, m)
		if m.err != nil && !protocol.Recoverable(m.err) {
			return nil // closed; the conversation will see it
		}
	}
}

func (c *gearmandConn) Receive(patient bool) (protocol.Packet, error) {
	if len(c.early) > 0 {
		m := c.early[0]
		c.early = c.early[1:]
		return m.packet, m.err
	}
	wait := silence
	if patient {
		wait = c.world.patience
	}
	m, err := c.next(wait)
	if err != nil {
		return protocol.Packet{}, err
	}
	return m.packet, m.err
}

func (c *gearmandConn) next(wait time.Duration) (received, error) {
	select {
	case m, open := <-c.messages:
		if !open {
			return received{}, io.EOF
		}
		return m, nil
	case <-time.After(wait):
		return received{}, transcript.ErrQuiet
	}
}

// Close returns when the server has noticed, and the reader is gone.
func (c *gearmandConn) Close() error {
	if c.closed {
		return nil
	}
	c.closed = true
	before, lost := c.world.connections()
	err := c.conn.Close()
	for range c.messages { // until read ends
	}
	if lost == nil && !c.ended {
		lost = c.world.await(func(n int) bool { return n < before })
	}
	return errors.Join(err, lost)
}
