package server

import (
	"errors"
	"net"
	"os"
	"slices"

	"github.com/geartrain/geartrain/server/poll"
)

// round is what a goroutine that leads the [poll.Poller] does with all connections that are ready. Each
// has turns of its own, but what the turns have put into outboxes is sent once, at the end, and committed
// once:
//
//	ready ──► step, of each one ──► flush all that were touched ──► commit ──► the next round
//	            │                                                     └ in this goroutine, when it has
//	            │                                                       handed over the lead
//	            └ mayWait: the same is done at once, and the lead is handed over, before a connection
//	              waits for anything
//
// A step reads once, however much more there is: who floods the server waits until the others have been
// served. Nor do they wait for the copying of bulk: it is read, and written, with the lead handed over.
//
// A grab for which there is no job is answered at the end of the next round, which begins at once: most
// often a job has come by then, and a NO_JOB, a PRE_SLEEP, a NOOP and another grab are saved.
type round struct {
	lead     *poll.Lead
	touched  []*conn // the peers of the turns, some of them more than once
	owners   []*conn // whose turns they were
	write    bool    // one of the turns has become the writer
	grabbers []*conn // whose grabs are to be answered, the oldest first
	old      int     // how many of them are of the round before
	turn     turn    // for the commit
}

func (s *Server) newRound(l *poll.Lead) poll.Server {
	return &round{lead: l, turn: turn{core: s.core}}
}

// Serve serves one connection.
func (r *round) Serve(s *poll.Socket, e poll.Event) {
	c := s.Owner.(*conn)
	if e == poll.Writable {
		c.out.resume()
		return
	}
	c.turn.round = r
	more := false
	if e == poll.Late {
		c.stopped(os.ErrDeadlineExceeded)
	} else {
		more = c.step()
	}
	if more {
		_ = c.setDeadline() // a socket's always works
	} else {
		c.end()
		c.server.group.Done()
	}
	c.turn.round = nil
}

// take keeps what a turn leaves to be done.
func (r *round) take(t *turn, write bool) {
	r.write = r.write || write
	for _, c := range t.touched {
		if c != t.own {
			r.touched = append(r.touched, c)
		} else {
			r.owners = append(r.owners, c)
		}
	}
	clear(t.touched)
	t.touched = t.touched[:0]
}

// End sends, and commits.
func (r *round) End() (again bool) {
	r.answer(r.old)
	r.old = len(r.grabbers)
	r.flush()
	if !r.write {
		return r.old > 0
	}
	r.write = false
	if r.turn.isSmall() {
		r.answer(len(r.grabbers))
		r.lead.HandOver()
		if !r.turn.commitBatch() {
			return false
		}
	}
	r.turn.handOn()
	return r.old > 0
}

// answer answers the first n grabbers.
func (r *round) answer(n int) {
	for _, c := range r.grabbers[:n] {
		if c.grabs {
			r.answerOne(c)
		}
	}
	r.grabbers = slices.Delete(r.grabbers, 0, n)
	r.old = 0
}

func (r *round) answerOne(c *conn) {
	c.turn.round = r
	defer func() { c.turn.round = nil }()
	defer c.guard()
	c.turn.begin()
	c.answerGrab()
	c.turn.end()
}

// flush is [turn.flush] for all turns of the round.
func (r *round) flush() {
	for _, c := range r.touched {
		c.out.flush()
	}
	for _, c := range r.owners {
		c.out.flush()
	}
	clear(r.touched)
	clear(r.owners)
	r.touched, r.owners = r.touched[:0], r.owners[:0]
}

// mayWait is called before the connection's goroutine waits for anything but the connection's bytes.
func (c *conn) mayWait() {
	r := c.turn.round
	if r == nil {
		return
	}
	c.turn.round = nil
	r.answer(len(r.grabbers))
	r.flush()
	if r.write {
		r.write = false
		r.turn.handOn()
	}
	r.lead.Leave(c.socket)
}

// letGo ends the turn for something that takes its time. The caller begins another one.
func (c *conn) letGo() {
	c.turn.end()
	c.mayWait()
}

// attend serves a connection that was admitted until it ends. A socket that cannot be watched ends now.
func (s *Server) attend(c *conn) {
	serve := c.serve
	if c.socket != nil {
		_ = c.setDeadline() // a socket's always works
		err := c.socket.Watch()
		if err == nil {
			return
		}
		if !errors.Is(err, net.ErrClosed) {
			s.peers.warn("connection cannot be watched, closing", "peer", c.name(), "reason", err)
		}
		serve = c.end
	}
	go func() { // the owner is the server: admit has counted it in the group
		defer s.group.Done()
		serve()
	}()
}

// adopt gives a connection to the poller, if there is one and it can watch it.
func (s *Server) adopt(nc net.Conn) net.Conn {
	if s.poller == nil {
		return nc
	}
	if socket, err := s.poller.Adopt(nc); err == nil {
		return socket
	}
	return nc
}

// startPoller makes connections of sockets be served in rounds, where that is possible.
func (s *Server) startPoller() {
	p, err := poll.New(s.spawn, s.newRound)
	if err == nil {
		s.poller = p
	}
}

// stopPoller lets the poller end with the last of its connections.
func (s *Server) stopPoller() {
	if s.poller != nil {
		s.poller.Close()
	}
}
