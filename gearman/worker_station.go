package gearman

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"sync"
	"time"

	"github.com/geartrain/geartrain/gearman/protocol"
)

const (
	heartbeat = 30 * time.Second // of silence, then an ECHO_REQ
	replyWait = 10 * time.Second // of silence when an answer is owed, then the connection is given up
	steady    = 10 * time.Second // how long a connection must live for the delays of dialling to begin anew
)

// Payloads of the two echo requests that a station makes.
const (
	probe    = "alive?"
	farewell = "bye"
)

// station is a worker's place at one server: one connection after the other for a set of functions.
// Its run is the only reader of the connection; jobs and other stations write to it.
//
//	dial ──► options, id, functions ──► grabs ⇄ jobs ──► lost ──► dial
//	                                                 └─► drained ──► echo ──► gone
//
// The final echo proves that the server has the ends of all jobs before the connection closes.
type station struct {
	worker    *Worker
	server    string
	functions []*function
	limit     int // jobs at once
	src       *source
	logger    *slog.Logger

	life    context.Context // of handlers: ends when DrainFor is over
	rested  context.Context // ends when the station drains and holds no slot
	options []string        // asked for and not answered; the reader's alone

	mu       sync.Mutex      // guards the fields below; not held over I/O
	link     *link           // nil while not connected
	settled  bool            // the options of this connection are answered
	numbered bool            // the server numbers attempts, see protocol.OptionAttempts
	jobs     map[string]*Job // that run, by the handle as it was assigned
	late     []lateEnd       // of jobs whose connection was lost, for the next one
}

func newStation(w *Worker, life context.Context, server string, functions []*function) *station {
	s := &station{
		worker: w, server: server, functions: functions, life: life,
		limit:  w.config.Concurrency,
		logger: w.logger.With(slog.String("server", server)),
		jobs:   make(map[string]*Job),
	}
	if n := functions[0].config.MaxParallel; len(functions) == 1 && n > 0 {
		s.limit = min(n, s.limit)
	}
	rested, rest := context.WithCancel(context.WithoutCancel(life))
	s.rested = rested
	s.src = w.slots.join(s.limit, rest)
	return s
}

// run dials, serves, and dials again until the station rests.
func (s *station) run() {
	delays := redials()
	level := slog.LevelWarn // only the first of several failures is news
	for s.rested.Err() == nil {
		begun := time.Now()
		connected, err := s.connect()
		if s.rested.Err() != nil {
			break
		}
		if connected {
			level = slog.LevelWarn
		}
		if time.Since(begun) >= steady {
			delays.Reset()
		}
		pause := delays.NextBackOff()
		s.logger.Log(context.Background(), level, "no connection to the job server, dialling again", slog.Any("error", err), slog.Duration("in", pause))
		level = slog.LevelDebug
		sleep(s.rested, pause)
	}
	s.dropLate()
}

// connect is one connection from dial to end. The error says why it ended.
func (s *station) connect() (connected bool, err error) {
	l, err := s.worker.dialing.open(s.rested, s.server)
	if err != nil {
		return false, err
	}
	defer s.disconnect(l)
	s.logger.Info("connected to the job server")
	s.greet(l)
	stop := context.AfterFunc(s.rested, func() { s.sayFarewell(l) })
	defer stop()
	return true, l.close(s.read(l))
}

// greet tells a new connection who is there, and asks for the first jobs.
func (s *station) greet(l *link) {
	s.options = []string{protocol.OptionCancel, protocol.OptionAttempts}
	s.mu.Lock()
	s.link, s.settled, s.numbered = l, false, false
	s.mu.Unlock()
	hello := s.appendHello(nil)
	_ = l.post(func(dst []byte) []byte { return append(dst, hello...) }) // a dead link is the reader's to find
	s.worker.post(s.worker.slots.connected(s.src, l))
}

// appendHello appends the options first, so that their answers come before all others.
func (s *station) appendHello(dst []byte) []byte {
	for _, option := range s.options {
		dst = protocol.AppendPacket(dst, protocol.Request, protocol.OptionReq, []byte(option))
	}
	dst = protocol.AppendPacket(dst, protocol.Request, protocol.SetClientID, []byte(s.worker.config.ID))
	for _, f := range s.functions {
		if f.config.Timeout > 0 {
			ms := fmt.Appendf(nil, "%d", f.milliseconds())
			dst = protocol.AppendPacket(dst, protocol.Request, protocol.CanDoTimeout, []byte(f.name), ms)
		} else {
			dst = protocol.AppendPacket(dst, protocol.Request, protocol.CanDo, []byte(f.name))
		}
	}
	return dst
}

// disconnect leaves the connection behind. Its jobs run on.
func (s *station) disconnect(l *link) {
	l.close(net.ErrClosed) //nolint:errcheck // connect has returned the reason
	s.mu.Lock()
	s.link, s.settled = nil, false
	s.mu.Unlock()
	s.worker.post(s.worker.slots.lost(s.src))
}

// retire tells a server that can take it that no more work is wanted, so that it wakes others. A stock
// gearmand would take the running jobs away with the functions; it hands out nothing unasked.
func (s *station) retire() {
	s.mu.Lock()
	l := s.link
	if !s.numbered {
		l = nil
	}
	s.mu.Unlock()
	if l != nil {
		_ = l.post(func(dst []byte) []byte { // a link that has ended has nobody to tell
			return protocol.AppendPacket(dst, protocol.Request, protocol.ResetAbilities)
		})
	}
}

// sayFarewell asks for the echo after which the connection may close.
func (s *station) sayFarewell(l *link) {
	s.echo(l, farewell)
	expectSoon(l)
}

func (s *station) echo(l *link, payload string) {
	_ = l.post(func(dst []byte) []byte { // a dead link is the reader's to find
		return protocol.AppendPacket(dst, protocol.Request, protocol.EchoReq, []byte(payload))
	})
}

// expectSoon shortens the reader's patience: an answer is owed from now on.
func expectSoon(l *link) {
	_ = l.conn.SetReadDeadline(time.Now().Add(replyWait)) // fails only on a closed connection
}

// read handles packets until the connection is of no further use, and says why.
func (s *station) read(l *link) error {
	probing := false
	for {
		owed := probing || len(s.options) > 0 || s.rested.Err() != nil || s.worker.slots.owed(s.src) > 0
		patience := heartbeat
		if owed {
			patience = replyWait
		}
		if err := l.conn.SetReadDeadline(time.Now().Add(patience)); err != nil {
			return err
		}
		err := l.in.Fill()
		switch {
		case err == nil:
			probing = false
		case !errors.Is(err, os.ErrDeadlineExceeded):
			return err
		case owed:
			return errSilent
		default:
			probing = true
			s.echo(l, probe)
			continue
		}
		if err := s.handleAll(l); err != nil {
			return err
		}
	}
}

// handleAll handles the packets that are complete.
func (s *station) handleAll(l *link) error {
	for {
		p, ok, err := l.in.Next()
		switch {
		case protocol.Recoverable(err):
			s.logger.Debug("packet ignored", slog.Any("error", err))
		case err != nil:
			return err
		case !ok:
			return nil
		default:
			if err := s.handle(l, &p); err != nil {
				return err
			}
		}
	}
}
