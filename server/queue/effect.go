package queue

import (
	"github.com/geartrain/geartrain/gearman/protocol"
	"github.com/geartrain/geartrain/server/store"
)

// Effect is one thing that is to be done about an event: a packet for a peer. Effects are carried
// out in order. Their arguments alias the state's memory and the event's until the next Apply.
type Effect struct {
	To   Peer
	Type protocol.Type
	N    int // arguments in use
	Args [6][]byte

	// After says that the packet must wait: it, and every later effect for the same peer, is sent when
	// the [Op] of that number is on stable storage. Zero: at once. If the operation fails a JOB_CREATED,
	// which never waits for one that is not refusable, becomes ERROR; other packets are sent all the
	// same. A Type of zero is no packet, only the wait.
	After uint64

	// Body says that the last argument is not there yet: it is the body of this record, which whoever
	// sends the packet reads from the store. Zero: all arguments are there. Such an effect is always for
	// the peer whose event it is about.
	Body store.ID

	// Shared says that the last argument is immutable from now on and lives as long as anyone refers
	// to it, so that it can be sent later without copying.
	Shared bool
}

// Arguments is the part of Args that is in use.
func (e *Effect) Arguments() [][]byte { return e.Args[:e.N] }

// Op is a change of the store that an event asks for. They are committed in the order of their numbers,
// which grow by one; what became of them comes back as [Committed] or [NotCommitted].
type Op struct {
	Seq uint64
	store.Op

	// Refusable: if there is no room for it, it is given up, and whoever asked for the job is told. All
	// others are tried until they are stored.
	Refusable bool
}
