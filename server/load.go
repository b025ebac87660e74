package server

import (
	"context"
	"fmt"
	"time"

	"github.com/geartrain/geartrain/gearman/protocol"
	"github.com/geartrain/geartrain/server/queue"
	"github.com/geartrain/geartrain/server/store"
)

// What is stored is loaded while the server listens already:
//
//	Serve ──► load: some records in each turn ──► loaded ──► everything is answered
//	    └──► connections: ECHO, options, names and admin lines that do not list jobs are answered; at
//	         any other packet a connection waits and is not read any further
const (
	loadTurn     = 512 // records restored in one hold of the lock
	loadProgress = 5 * time.Second
)

// load brings back what the store has.
func (s *Server) load(ctx context.Context) {
	if s.cfg.Store == nil {
		return
	}
	l := loader{server: s, began: time.Now(), turn: turn{core: s.core}}
	l.told = l.began
	err := s.cfg.Store.Load(ctx, max(s.cfg.Queue.KeepBody, 0), l.add)
	l.endTurn()
	if err == nil {
		l.finish()
		return
	}
	if ctx.Err() == nil {
		s.giveUp(fmt.Errorf("server: load what is stored: %w", err))
	}
	<-ctx.Done() // the connections are closed by now, and let go
	close(s.core.loaded)
}

// loader restores records, a few in each turn.
type loader struct {
	server *Server
	turn   turn
	inTurn int
	n      int
	began  time.Time
	told   time.Time
}

func (l *loader) add(r store.Record) error {
	if l.inTurn == 0 {
		l.turn.begin()
	}
	if err := l.turn.state.Restore(l.turn.now, r); err != nil {
		l.turn.skipped++
		l.server.cfg.Logger.Error("a stored job cannot be read, it is left alone", "record", uint64(r.ID), "reason", err)
	}
	l.n++
	if l.inTurn++; l.inTurn == loadTurn {
		l.endTurn()
	}
	if time.Since(l.told) > loadProgress {
		l.told = time.Now()
		l.server.cfg.Logger.Info("loading", "records", l.n)
	}
	return nil
}

func (l *loader) endTurn() {
	if l.inTurn == 0 {
		return
	}
	l.inTurn = 0
	if ops := l.turn.state.Ops(); len(ops) > 0 {
		l.turn.gather(ops)
	}
	l.turn.apply(&queue.Committed{}) // of nothing: the state forgets the operations
	l.turn.end()
}

// finish lets everybody in. The loader has been the writer so far.
func (l *loader) finish() {
	t := &l.turn
	t.begin()
	t.loading = false
	close(t.loaded)
	t.writer = true
	t.end()
	l.server.cfg.Logger.Info("loaded what is stored", "records", l.n, "seconds", time.Since(l.began).Seconds())
}

// answersEarly reports whether a packet is answered before everything is loaded. Admin lines wait by
// themselves.
func answersEarly(t protocol.Type) bool {
	switch t {
	case protocol.EchoReq, protocol.OptionReq, protocol.SetClientID, protocol.AllYours, protocol.Text:
		return true
	}
	return !t.Known()
}

// waitLoaded waits until everything is loaded, or the server ends. It gives the lock back meanwhile.
func (c *conn) waitLoaded() {
	c.letGo()
	<-c.server.core.loaded
	c.turn.begin()
}
