package server

import "github.com/geartrain/geartrain/server/queue"

// conflict is a submission whose key belonged to another payload, for the log. It is made under the core's
// lock and told without it.
type conflict struct {
	conn          *conn
	function, key string
	count         uint64 // since the start
}

// conflictOf is what there is to tell of a conflict, the count-th one. Of a stage's jobs it is nothing: the
// key of a stage says itself what counts.
func (c *conn) conflictOf(ev *queue.Submit, count uint64) *conflict {
	if ev.Options != nil && ev.Options.Stage != "" {
		return c.turn.conflict
	}
	return &conflict{c, string(ev.Function), string(ev.Unique), count}
}

func (f *conflict) tell() {
	if f == nil {
		return
	}
	f.conn.server.peers.warn("key in use with another payload", "peer", f.conn.name(), "function", f.function, "key", f.key, "conflicts", f.count)
}
