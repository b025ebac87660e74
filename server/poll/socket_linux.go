package poll

import (
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// ErrAgain: there is nothing to be read now.
var ErrAgain = errors.New("poll: nothing to read now")

// Socket is a connection that a [Poller] watches. As a [net.Conn] it is different in this:
//
//   - Read does not wait: it returns ErrAgain.
//   - Close is for everybody: it makes the one who serves the socket see its end. He calls Release.
//   - A deadline for reading makes the socket Late. It is not kept while it is with a goroutine that has
//     left the lead.
//
// Write waits, by a goroutine's means. [Socket.SyscallConn] writes without waiting.
type Socket struct {
	Owner any // the Server's own; it is not looked at here

	poller *Poller
	fd     int32
	file   *os.File // keeps fd from being used again too early
	raw    syscall.RawConn
	local  net.Addr
	remote net.Addr

	once func(fd uintptr) bool // readNow as raw wants it
	into []byte                // its argument and results
	n    int
	err  error

	plainOnce sync.Once
	plain     net.Conn // of another descriptor for the same socket; made when somebody must wait
	plainErr  error

	// Guarded by the poller's lock:
	away    bool   // a goroutine that left the lead has it
	full    func() // not nil: nothing could be written; called if it is not the leader who is to go on
	left    bool   // Release was called
	watched bool
}

// Adopt takes a connection over, and closes nc. Unless it is a socket of the system, it returns an error,
// and nc is as before.
func (p *Poller) Adopt(nc net.Conn) (*Socket, error) {
	sc, ok := nc.(syscall.Conn)
	if !ok {
		return nil, errors.ErrUnsupported
	}
	fd, err := duplicate(sc)
	if err != nil {
		return nil, err
	}
	s := &Socket{poller: p, fd: int32(fd), local: nc.LocalAddr(), remote: nc.RemoteAddr()}
	s.file = os.NewFile(uintptr(fd), "socket") // of a descriptor that blocks, so that the runtime does not watch it, too
	s.once = s.readNow
	if s.raw, err = s.file.SyscallConn(); err == nil {
		err = unix.SetNonblock(fd, true)
	}
	if err != nil {
		s.file.Close()
		return nil, err
	}
	nc.Close()
	return s, nil
}

// duplicate is another descriptor of a socket, for the time being one that blocks.
func duplicate(sc syscall.Conn) (int, error) {
	raw, err := sc.SyscallConn()
	if err != nil {
		return -1, err
	}
	fd, dupErr := -1, error(nil)
	err = raw.Control(func(old uintptr) { fd, dupErr = unix.FcntlInt(old, unix.F_DUPFD_CLOEXEC, 0) })
	if err = errors.Join(err, dupErr); err != nil {
		return -1, err
	}
	if err := unix.SetNonblock(fd, false); err != nil {
		unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

// Watch begins to serve the socket. Owner is set before. After [Poller.Close] it returns [net.ErrClosed].
func (s *Socket) Watch() error {
	p := s.poller
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return net.ErrClosed
	}
	p.sockets[s.fd] = s
	if err := p.control(unix.EPOLL_CTL_ADD, int(s.fd), unix.EPOLLIN); err != nil {
		delete(p.sockets, s.fd)
		return err
	}
	s.watched = true
	if !p.led {
		p.led = true
		p.start()
	}
	return nil
}

// pause leaves the socket to the calling goroutine.
func (s *Socket) pause() {
	p := s.poller
	p.mu.Lock()
	s.away = true
	p.waiting++
	_ = p.control(unix.EPOLL_CTL_DEL, int(s.fd), 0) // it is there
	full := s.full
	s.full = nil
	p.mu.Unlock()
	if full != nil {
		full()
	}
}

// resume ends pause.
func (s *Socket) resume() {
	p := s.poller
	p.mu.Lock()
	defer p.mu.Unlock()
	if !s.away {
		return
	}
	s.away = false
	p.waiting--
	if s.left {
		p.ring() // it may have been the last one
		return
	}
	if err := p.control(unix.EPOLL_CTL_ADD, int(s.fd), unix.EPOLLIN); err != nil {
		panic("poll: epoll_ctl: " + err.Error())
	}
	if at, ok := p.timed[s]; ok {
		p.wakeBy(at)
	}
}

// AwaitRoom makes the socket Writable as soon as there is room. When that is not to be had, because the
// socket is closed or a goroutine has left the lead with it, otherwise is called, now or then.
func (s *Socket) AwaitRoom(otherwise func()) {
	if !s.awaitRoom(otherwise) {
		otherwise()
	}
}

func (s *Socket) awaitRoom(otherwise func()) bool {
	p := s.poller
	p.mu.Lock()
	defer p.mu.Unlock()
	if s.away || s.left || p.control(unix.EPOLL_CTL_MOD, int(s.fd), unix.EPOLLIN|unix.EPOLLOUT) != nil {
		return false
	}
	s.full = otherwise
	return true
}

// roomCame reports whether somebody waits for it.
func (s *Socket) roomCame() bool {
	p := s.poller
	p.mu.Lock()
	defer p.mu.Unlock()
	waited := s.full != nil
	s.full = nil
	_ = p.control(unix.EPOLL_CTL_MOD, int(s.fd), unix.EPOLLIN) // it is there
	return waited
}

// Release closes the socket for good. It is called by whom the socket is served by.
func (s *Socket) Release() {
	p := s.poller
	p.mu.Lock()
	if s.watched {
		delete(p.sockets, s.fd)
		if !s.away { // a process that is being started has the descriptor too, so that its end is not enough
			_ = p.control(unix.EPOLL_CTL_DEL, int(s.fd), 0) // it is there
		}
	}
	delete(p.timed, s)
	full := s.full
	s.left, s.full = true, nil
	p.mu.Unlock()
	s.plainOnce.Do(func() { s.plainErr = net.ErrClosed })
	if s.plain != nil {
		s.plain.Close()
	}
	s.file.Close()
	if full != nil {
		full()
	}
}

// servable reports whether the leader may serve the socket: it has not ended, and no other goroutine has it.
func (s *Socket) servable() bool {
	s.poller.mu.Lock()
	defer s.poller.mu.Unlock()
	return !s.left && !s.away
}

// Close ends the conversation in both directions.
func (s *Socket) Close() error {
	return s.raw.Control(func(fd uintptr) { _ = unix.Shutdown(int(fd), unix.SHUT_RDWR) })
}

// CloseWrite tells the peer that nothing more comes.
func (s *Socket) CloseWrite() error {
	var down error
	err := s.raw.Control(func(fd uintptr) { down = unix.Shutdown(int(fd), unix.SHUT_WR) })
	return errors.Join(err, down)
}

// Read reads what is there.
func (s *Socket) Read(b []byte) (int, error) {
	if len(b) == 0 {
		return 0, nil
	}
	s.into = b
	err := s.raw.Read(s.once)
	s.into = nil
	if err != nil {
		return 0, err
	}
	return s.n, s.err
}

func (s *Socket) readNow(fd uintptr) bool {
	for {
		s.n, s.err = unix.Read(int(fd), s.into)
		if s.err != unix.EINTR {
			break
		}
	}
	switch {
	case s.err == unix.EAGAIN:
		s.n, s.err = 0, ErrAgain
	case s.err != nil:
		s.n, s.err = 0, os.NewSyscallError("read", s.err)
	case s.n == 0:
		s.err = io.EOF
	}
	return true
}

// SyscallConn is for writes that do not wait.
func (s *Socket) SyscallConn() (syscall.RawConn, error) { return s.raw, nil }

// Plain is a connection of the same socket whose Read and Write wait. Release closes it.
func (s *Socket) Plain() (net.Conn, error) {
	s.plainOnce.Do(func() { s.plain, s.plainErr = net.FileConn(s.file) })
	return s.plain, s.plainErr
}

// Write writes all of b, and waits for room.
func (s *Socket) Write(b []byte) (int, error) {
	plain, err := s.Plain()
	if err != nil {
		return 0, err
	}
	return plain.Write(b)
}

// LocalAddr is that of the connection that was adopted.
func (s *Socket) LocalAddr() net.Addr { return s.local }

// RemoteAddr is that of the connection that was adopted.
func (s *Socket) RemoteAddr() net.Addr { return s.remote }

// SetReadDeadline sets when the socket is Late; zero: never.
func (s *Socket) SetReadDeadline(at time.Time) error {
	s.poller.setDeadline(s, at)
	return nil
}

// SetWriteDeadline is not supported.
func (s *Socket) SetWriteDeadline(time.Time) error { return errors.ErrUnsupported }

// SetDeadline is not supported.
func (s *Socket) SetDeadline(time.Time) error { return errors.ErrUnsupported }
