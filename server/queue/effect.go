package queue

import "github.com/geartrain/geartrain/gearman/protocol"

// Effect is one thing that is to be done about an event: a packet for a peer. Effects are carried
// out in order. Their arguments alias the state's memory and the event's until the next Apply.
type Effect struct {
	To   Peer
	Type protocol.Type
	N    int // arguments in use
	Args [6][]byte

	// Shared says that the last argument is immutable from now on and lives as long as anyone refers
	// to it, so that it can be sent later without copying.
	Shared bool
}

// Arguments is the part of Args that is in use.
func (e *Effect) Arguments() [][]byte { return e.Args[:e.N] }
