package server

import (
	"time"

	"github.com/geartrain/geartrain/gearman/protocol"
	"github.com/geartrain/geartrain/server/queue"
	"github.com/geartrain/geartrain/server/store"
)

// Counters count since the start of a server; none ever falls. What happens to jobs is counted by the
// queue.
type Counters struct {
	PacketsIn  PacketCounts // decoded, by type; admin lines are [protocol.Text]
	PacketsOut PacketCounts // answers and effects, also those that were then dropped
	BytesIn    uint64       // read, as of the last complete packet of each connection

	Connections     uint64 // accepted
	RefusedLimit    uint64 // connections over MaxConnections or MaxConnectionsPerAddress
	RefusedMemory   uint64 // packets not read because of MaxMemory, each has ended a connection
	RefusedNames    uint64 // CAN_DOs and admin commands that would make functions, because of MaxMemory
	RefusedDraining uint64 // submissions during the graceful end

	InvalidPackets uint64 // bytes that are no packet, or one without all of its arguments
	TooLarge       uint64 // packets and lines over their limit; each has ended a connection
	Timeouts       uint64 // connections closed by ReadTimeout or IdleTimeout
	SlowPeers      uint64 // connections closed because of MaxOutbox
	BodiesLost     uint64 // payloads and results that the store could not give back
	DroppedPackets uint64 // not sent to a peer that is slow or gone
	AcceptErrors   uint64 // each was followed by a pause
	Panics         uint64 // mistakes of the server that have cost a connection
}

// PacketCounts counts packets by type.
type PacketCounts [protocol.StatusResUnique + 2]uint64

// Of is the number of packets of type t.
func (p *PacketCounts) Of(t protocol.Type) uint64 { return p[p.index(t)] }

func (p *PacketCounts) add(t protocol.Type) { p[p.index(t)]++ }

// index keeps the extensions' types together in the last place.
func (p *PacketCounts) index(t protocol.Type) int { return int(min(t, protocol.Type(len(p)-1))) }

// Snapshot is what a server is and has done, at one moment.
type Snapshot struct {
	Time     time.Time
	Started  time.Time
	Draining bool

	Connections int   // open now
	Memory      int64 // bytes held for peers, of MaxMemory; those of the queue are Levels.Bytes

	Loading      bool        // not everything that is stored is back yet
	Store        store.Stats // zero in memory
	StoreFull    bool        // it had no room for a submission, and none since
	StoreFailure error       // why it takes nothing more
	Skipped      int         // stored records that the queue could not read

	Counters Counters
	Queue    queue.Counters
	Levels   queue.Levels
}

// Snapshot looks at the server. It is cheap enough for every scrape of metrics.
func (s *Server) Snapshot() Snapshot {
	c := s.core
	stats := c.storeStats()
	c.mu.Lock()
	defer c.mu.Unlock()
	return Snapshot{
		Time:         time.Now(),
		Started:      s.started,
		Draining:     c.draining != nil,
		Connections:  len(c.peers),
		Memory:       s.limits.memory.Load(),
		Loading:      c.loading,
		Store:        stats,
		StoreFull:    c.full,
		StoreFailure: c.failure,
		Skipped:      c.skipped,
		Counters:     c.counts,
		Queue:        c.state.Counters(),
		Levels:       c.state.Levels(),
	}
}

// View calls f with the queue while nothing moves it, for listings. f must be quick and must not keep
// the state.
func (s *Server) View(f func(*queue.State)) {
	s.core.mu.Lock()
	defer s.core.mu.Unlock()
	f(s.core.state)
}
