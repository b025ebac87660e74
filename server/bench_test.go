package server_test

import (
	"net"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/geartrain/geartrain/gearman/protocol"
	"github.com/geartrain/geartrain/server"
	"github.com/geartrain/geartrain/server/servertest"
	"github.com/geartrain/geartrain/server/store/disk"
)

// These benchmarks find a change's direction in seconds; client and worker are in the figures too.
// SPEED.md has the figures that count.

// BenchmarkEcho is one job at a time: the latency of the whole way, and large payloads.
func BenchmarkEcho(b *testing.B) {
	for _, size := range []int{64, 64 << 10, 1 << 20} {
		b.Run(strconv.Itoa(size), func(b *testing.B) {
			s := servertest.Start(b)
			client := newLoad(b, s)
			echoWorker(b, s)
			submit := packet(protocol.SubmitJob, "echo", "", strings.Repeat("x", size))
			if size > 64 {
				b.SetBytes(int64(size))
			}
			for b.Loop() {
				client.write(submit)
				client.until(protocol.WorkComplete, 1)
			}
		})
	}
}

// BenchmarkPipelined has 64 jobs in flight on one connection, for four workers.
func BenchmarkPipelined(b *testing.B) {
	s := servertest.Start(b)
	client := newLoad(b, s)
	for range 4 {
		echoWorker(b, s)
	}
	const window = 64
	submit := packet(protocol.SubmitJob, "echo", "", strings.Repeat("x", 64))
	client.write([]byte(strings.Repeat(string(submit), window)))
	for b.Loop() {
		client.until(protocol.WorkComplete, 1)
		client.write(submit)
	}
	client.until(protocol.WorkComplete, window)
}

// BenchmarkSubmitBackground is a flood of jobs that nobody takes, a thousand at a time.
func BenchmarkSubmitBackground(b *testing.B) { benchmarkFlood(b) }

// BenchmarkSubmitDurable is the same, but each job is on disk when it is accepted.
func BenchmarkSubmitDurable(b *testing.B) {
	d, err := disk.Open(disk.Config{Dir: b.TempDir()})
	require.NoError(b, err)
	b.Cleanup(func() { require.NoError(b, d.Close()) })
	benchmarkFlood(b, func(c *server.Config) { c.Store = d })
}

func benchmarkFlood(b *testing.B, options ...servertest.Option) {
	s := servertest.Start(b, options...)
	client := newLoad(b, s)
	const window = 1000
	submit := strings.Repeat(string(packet(protocol.SubmitJobBg, "echo", "", strings.Repeat("x", 64))), window)
	for b.Loop() {
		client.write([]byte(submit))
		client.until(protocol.JobCreated, window)
	}
	b.ReportMetric(float64(b.N)*window/b.Elapsed().Seconds(), "jobs/s")
}

// load is a connection that measures instead of checking.
type load struct {
	b      *testing.B
	conn   net.Conn
	reader *protocol.Reader
}

func newLoad(b *testing.B, s *servertest.Server) *load {
	conn, err := s.Dial(b.Context(), "", "")
	require.NoError(b, err)
	b.Cleanup(func() { conn.Close() })
	return &load{b, conn, protocol.NewReader(conn, protocol.Limits{MaxLine: -1})}
}

func (l *load) write(p []byte) {
	if _, err := l.conn.Write(p); err != nil {
		l.b.Fatal(err)
	}
}

// until reads until n packets of a type have come.
func (l *load) until(typ protocol.Type, n int) {
	for n > 0 {
		p, err := l.reader.Read()
		if err != nil {
			l.b.Fatal(err)
		}
		if p.Type == typ {
			n--
		}
	}
}

// echoWorker works until the benchmark ends.
func echoWorker(b *testing.B, s *servertest.Server) {
	w := newLoad(b, s)
	done := make(chan struct{})
	b.Cleanup(func() {
		w.conn.Close()
		<-done
	})
	grab := packet(protocol.GrabJob)
	w.write(append(packet(protocol.CanDo, "echo"), grab...))
	go func() {
		defer close(done)
		var out []byte
		for {
			p, err := w.reader.Read()
			if err != nil {
				return
			}
			out = out[:0]
			switch p.Type {
			case protocol.JobAssign:
				out = protocol.AppendPacket(out, protocol.Request, protocol.WorkComplete, p.Args[0], p.Args[2])
				out = append(out, grab...)
			case protocol.NoJob:
				out = append(out, packet(protocol.PreSleep)...)
			case protocol.Noop:
				out = append(out, grab...)
			}
			if _, err := w.conn.Write(out); err != nil {
				return
			}
		}
	}()
}
