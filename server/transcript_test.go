package server_test

import (
	"bytes"
	"io"
	"net"
	"os"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/geartrain/geartrain/gearman/protocol"
	"github.com/geartrain/geartrain/gearman/protocol/transcript"
	"github.com/geartrain/geartrain/server"
	"github.com/geartrain/geartrain/server/servertest"
)

// TestTranscripts plays the conversations of testdata/wire against a whole server over pipes. In the
// bubble its time is exact, and after each step everything that follows from it has happened.
func TestTranscripts(t *testing.T) {
	t.Parallel()
	all, err := transcript.ParseAll(os.DirFS("../testdata/wire"))
	require.NoError(t, err)
	require.NotEmpty(t, all)
	for _, script := range all {
		t.Run(script.Name, func(t *testing.T) {
			t.Parallel()
			if reason := script.Skip("server"); reason != "" {
				t.Skip(reason)
			}
			synctest.Test(t, func(t *testing.T) {
				require.NoError(t, transcript.Play(script, newPipes(t, script.Needs)))
			})
		})
	}
}

// pipes is a World: a server in a bubble.
type pipes struct {
	t      *testing.T
	server *servertest.Server
}

func newPipes(t *testing.T, settings map[string]string) *pipes {
	return &pipes{t: t, server: servertest.Pipe(t, func(cfg *server.Config) {
		for name, value := range settings {
			n, err := strconv.Atoi(value)
			require.NoError(t, err, name)
			switch name {
			case "job-retries":
				cfg.Queue.JobRetries = n
			case "worker-wakeup":
				cfg.Queue.WakeUp = n
			default:
				t.Fatalf("unknown setting %s", name)
			}
		}
	})}
}

func (w *pipes) Now() time.Time { return time.Now() }

func (w *pipes) Advance(d time.Duration) error {
	time.Sleep(d)
	synctest.Wait()
	return nil
}

func (w *pipes) Dial() (transcript.Conn, error) {
	conn, err := w.server.Dial(w.t.Context(), "", "")
	if err != nil {
		return nil, err
	}
	c := &pipeConn{Conn: conn}
	c.reading.Go(c.read)
	synctest.Wait()
	return c, nil
}

// pipeConn is a peer.
type pipeConn struct {
	net.Conn
	reading sync.WaitGroup // read, which ends when the connection does

	mu    sync.Mutex // guards the following
	inbox []arrival
}

// arrival is a message, or the error instead of one.
type arrival struct {
	packet protocol.Packet
	err    error
}

func (c *pipeConn) read() {
	r := protocol.NewReader(c.Conn, protocol.Limits{MaxLine: 1 << 20})
	for {
		p, err := r.Read()
		c.deliver(p, err)
		if err != nil && !protocol.Recoverable(err) {
			return
		}
	}
}

func (c *pipeConn) deliver(p protocol.Packet, err error) {
	args := make([][]byte, len(p.Args))
	for i, arg := range p.Args {
		args[i] = bytes.Clone(arg)
	}
	p.Args = args
	c.mu.Lock()
	defer c.mu.Unlock()
	c.inbox = append(c.inbox, arrival{p, err})
}

func (c *pipeConn) Send(b []byte, _ bool) error {
	_, err := c.Write(b)
	synctest.Wait()
	return err
}

func (c *pipeConn) Receive(bool) (protocol.Packet, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.inbox) == 0 {
		return protocol.Packet{}, transcript.ErrQuiet
	}
	a := c.inbox[0]
	if a.err == nil || a.err != io.EOF {
		c.inbox = c.inbox[1:]
	}
	return a.packet, a.err
}

// Close returns when the server has noticed.
func (c *pipeConn) Close() error {
	err := c.Conn.Close()
	c.reading.Wait()
	synctest.Wait()
	return err
}
