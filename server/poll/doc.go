// Package poll lets one goroutine look after many sockets, by epoll. Where most of the cost of a small
// packet is the system calls around it, this halves the reads: no read has to find out that there is
// nothing to be read. It also answers what several sockets have brought in one go, and a socket at rest
// has no goroutine's stack.
//
// One goroutine leads at a time: it waits for sockets that are ready, and serves them one by one. When it
// is about to wait for something else, it first hands over the lead to another goroutine, and ends when
// it is through with that one socket:
//
//	           ┌────────────────────────────────────────────────┐
//	           ▼                                                │
//	lead ──► wait ──► Serve, each socket that is ready ──► End ─┘
//	                    │                                   │
//	                    │ Leave: must wait for something    │ HandOver: must wait for something
//	                    ▼                                   ▼
//	      a new goroutine leads; this one goes on with its socket, gives it back and ends
//
// On other systems than Linux, and for connections that are no sockets, there is none; they need a
// goroutine each.
package poll

// Event says why a socket is served.
type Event uint8

// Events of a socket.
const (
	Readable Event = iota // bytes, the end of the stream, or an error can be read
	Writable              // there is room to write, after [Socket.AwaitRoom]
	Late                  // the deadline for reading has passed
)

// Server does something with sockets that are ready. Every goroutine that leads has one of its own; all
// calls are made by that goroutine.
type Server interface {
	// Serve handles one socket. It must not wait for anything unless [Lead.Leave] was called before.
	Serve(s *Socket, e Event)

	// End is called when all sockets that were ready have been served. It must not wait for anything
	// unless [Lead.HandOver] was called before. again: End is to be called again at once, after those
	// that are ready by then.
	End() (again bool)
}
