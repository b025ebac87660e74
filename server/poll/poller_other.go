//go:build !linux

package poll

import (
	"errors"
	"net"
)

// ErrAgain: there is nothing to be read now.
var ErrAgain = errors.New("poll: nothing to read now")

// Poller is not there on this system.
type Poller struct{}

// New returns [errors.ErrUnsupported].
func New(func(func()), func(*Lead) Server) (*Poller, error) { return nil, errors.ErrUnsupported }

// Adopt returns [errors.ErrUnsupported].
func (*Poller) Adopt(net.Conn) (*Socket, error) { return nil, errors.ErrUnsupported }

// Close does nothing.
func (*Poller) Close() {}

// Lead is a goroutine's time as the leader.
type Lead struct{}

// HandOver does nothing.
func (*Lead) HandOver() {}

// Leave does nothing.
func (*Lead) Leave(*Socket) {}

// Socket is a connection that a [Poller] watches: none.
type Socket struct {
	net.Conn
	Owner any
}

// Watch returns [errors.ErrUnsupported].
func (*Socket) Watch() error { return errors.ErrUnsupported }

// AwaitRoom calls otherwise.
func (*Socket) AwaitRoom(otherwise func()) { otherwise() }

// Release closes the connection.
func (s *Socket) Release() { s.Close() }

// Plain is the connection.
func (s *Socket) Plain() (net.Conn, error) { return s.Conn, nil }
