package poll

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"golang.org/x/sys/unix"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience is how long a test waits for what should come at once.
const patience = time.Minute

// rig is a poller whose sockets are served by the test.
type rig struct {
	t      *testing.T
	poller *Poller
	group  sync.WaitGroup
	serve  func(l *Lead, s *Socket, e Event)
	ends   func(l *Lead)
}

// served is the rig's Server.
type served struct {
	rig  *rig
	lead *Lead
}

func (s served) Serve(socket *Socket, e Event) { s.rig.serve(s.lead, socket, e) }

func (s served) End() bool {
	if s.rig.ends != nil {
		s.rig.ends(s.lead)
	}
	return false
}

func newRig(t *testing.T) *rig {
	r := &rig{t: t, serve: echo}
	p, err := New(r.group.Go, func(l *Lead) Server { return served{r, l} })
	require.NoError(t, err)
	r.poller = p
	t.Cleanup(func() {
		p.Close()
		r.group.Wait()
	})
	return r
}

// echo is what a rig does with its sockets: what is read is written, the end is the end.
func echo(_ *Lead, s *Socket, _ Event) {
	b := make([]byte, 1024)
	n, err := s.Read(b)
	switch {
	case err == nil:
		_, _ = s.Write(b[:n])
	case !errors.Is(err, ErrAgain):
		s.Release()
	}
}

// dial makes a socket, which is not watched yet, and the other end of it.
func (r *rig) dial() (*Socket, *net.TCPConn) {
	r.t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(r.t, err)
	defer ln.Close()
	far, err := net.Dial("tcp", ln.Addr().String())
	require.NoError(r.t, err)
	r.t.Cleanup(func() { far.Close() })
	near, err := ln.Accept()
	require.NoError(r.t, err)
	s, err := r.poller.Adopt(near)
	require.NoError(r.t, err)
	require.Equal(r.t, far.LocalAddr().String(), s.RemoteAddr().String())
	require.NoError(r.t, far.SetDeadline(time.Now().Add(patience)))
	return s, far.(*net.TCPConn)
}

func (r *rig) watched() (*Socket, *net.TCPConn) {
	r.t.Helper()
	s, far := r.dial()
	require.NoError(r.t, s.Watch())
	return s, far
}

func (r *rig) ask(far net.Conn, text string) {
	r.t.Helper()
	_, err := io.WriteString(far, text)
	require.NoError(r.t, err)
	got := make([]byte, len(text))
	_, err = io.ReadFull(far, got)
	require.NoError(r.t, err)
	require.Equal(r.t, text, string(got))
}

func TestOneGoroutineServesMany(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	var all []net.Conn
	for range 50 {
		_, far := r.watched()
		all = append(all, far)
	}
	for range 3 {
		for _, far := range all {
			r.ask(far, "hello")
		}
	}
}

func TestCloseByOthersIsSeen(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	s, far := r.watched()
	r.ask(far, "one")
	require.NoError(t, s.Close())
	_, err := far.Read(make([]byte, 1))
	require.ErrorIs(t, err, io.EOF)
	_, other := r.watched()
	r.ask(other, "two")
}

// A goroutine that waits with its socket holds nobody up, and gives the socket back.
func TestLeave(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	waits, goOn := make(chan struct{}), make(chan struct{})
	var once sync.Once
	slow, slowFar := r.dial()
	r.serve = func(l *Lead, s *Socket, e Event) {
		if s == slow {
			once.Do(func() {
				l.Leave(s)
				close(waits)
				<-goOn
			})
		}
		echo(l, s, e)
	}
	require.NoError(t, slow.Watch())
	_, far := r.watched()
	_, err := slowFar.Write([]byte("a"))
	require.NoError(t, err)
	<-waits
	r.ask(far, "not held up")
	_, err = slowFar.Write([]byte("b"))
	require.NoError(t, err)
	r.ask(far, "not held up")
	close(goOn)
	got := make([]byte, 2)
	_, err = io.ReadFull(slowFar, got)
	require.NoError(t, err)
	require.Equal(t, "ab", string(got))
	r.ask(slowFar, "served again")
}

// A socket that is released by a goroutine that has left the lead is gone.
func TestLeaveForGood(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.serve = func(l *Lead, s *Socket, _ Event) {
		l.Leave(s)
		s.Release()
	}
	_, far := r.watched()
	_, err := far.Write([]byte("a"))
	require.NoError(t, err)
	_, err = far.Read(make([]byte, 1))
	require.Error(t, err)
}

func TestHandOver(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	waits, goOn := make(chan struct{}), make(chan struct{})
	var once sync.Once
	r.ends = func(l *Lead) {
		once.Do(func() {
			l.HandOver()
			close(waits)
			<-goOn
		})
	}
	_, far := r.watched()
	_, err := far.Write([]byte("a"))
	require.NoError(t, err)
	<-waits
	_, other := r.watched()
	r.ask(other, "led by another")
	close(goOn)
}

// The last socket may end in a round whose leader hands over, so that the next one has nothing to wait for.
func TestHandOverAtTheEnd(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.ends = func(l *Lead) { l.HandOver() }
	_, far := r.watched()
	r.ask(far, "not closed yet")
	r.poller.Close()
	require.NoError(t, far.Close())
	ended := make(chan struct{})
	go func() {
		r.group.Wait()
		close(ended)
	}()
	select {
	case <-ended:
	case <-time.After(patience):
		require.FailNow(t, "a leader waits for sockets that are gone")
	}
}

// fill writes until the socket is full.
func fill(t *testing.T, s *Socket) (n int) {
	t.Helper()
	raw, err := s.SyscallConn()
	require.NoError(t, err)
	chunk := bytes.Repeat([]byte("x"), 64<<10)
	for full := false; !full; {
		require.NoError(t, raw.Write(func(fd uintptr) bool {
			wrote, err := writeNow(fd, chunk)
			n, full = n+max(wrote, 0), err != nil
			return true
		}))
	}
	return n
}

func TestAwaitRoom(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	writable := make(chan struct{})
	r.serve = func(l *Lead, s *Socket, e Event) {
		if e == Writable {
			close(writable)
			return
		}
		echo(l, s, e)
	}
	s, far := r.watched()
	n := fill(t, s)
	s.AwaitRoom(func() { t.Error("there is a leader") })
	_, err := io.CopyN(io.Discard, far, int64(n))
	require.NoError(t, err)
	<-writable
	r.ask(far, "as before")
}

// Who waits for room is told when the leader does not do it: at once, when the goroutine with the socket
// leaves the lead, and when the socket is closed.
func TestAwaitRoomInVain(t *testing.T) {
	t.Parallel()
	told := make(chan string, 3)
	r := newRig(t)
	r.serve = func(l *Lead, s *Socket, _ Event) {
		s.AwaitRoom(func() { told <- "left" })
		l.Leave(s)
		s.AwaitRoom(func() { told <- "away" })
		s.Release()
		s.AwaitRoom(func() { told <- "closed" })
	}
	s, far := r.watched()
	fill(t, s)
	_, err := far.Write([]byte("a"))
	require.NoError(t, err)
	for _, want := range []string{"left", "away", "closed"} {
		require.Equal(t, want, <-told)
	}
}

func TestReleaseTellsWhoWaitsForRoom(t *testing.T) {
	t.Parallel()
	told := make(chan struct{})
	r := newRig(t)
	r.serve = func(l *Lead, s *Socket, e Event) {
		if e == Writable { // the system has made room by itself
			s.AwaitRoom(func() { close(told) })
			return
		}
		echo(l, s, e)
	}
	s, far := r.watched()
	fill(t, s)
	s.AwaitRoom(func() { close(told) })
	require.NoError(t, far.CloseWrite())
	<-told
}

func TestDeadline(t *testing.T) {
	t.Parallel()
	late := make(chan *Socket, 2)
	r := newRig(t)
	r.serve = func(l *Lead, s *Socket, e Event) {
		switch e {
		case Late:
			late <- s
			s.Release()
		default:
			echo(l, s, e)
		}
	}
	s, _ := r.watched()
	other, far := r.watched()
	r.ask(far, "before")
	require.NoError(t, other.SetReadDeadline(time.Now().Add(time.Hour)))
	require.NoError(t, s.SetReadDeadline(time.Now().Add(time.Millisecond)))
	require.Same(t, s, <-late)
	require.NoError(t, other.SetReadDeadline(time.Time{}))
	r.ask(far, "no deadline any more")
	require.NoError(t, other.SetReadDeadline(time.Now()))
	require.Same(t, other, <-late)
}

// A deadline that passes while the socket is away is told afterwards.
func TestDeadlineWhileAway(t *testing.T) {
	t.Parallel()
	late := make(chan struct{})
	r := newRig(t)
	_, bystander := r.watched()
	var once sync.Once
	first, far := r.dial()
	r.serve = func(l *Lead, s *Socket, e Event) {
		switch {
		case e == Late:
			close(late)
			s.Release()
		case s == first:
			echo(l, s, e)
			once.Do(func() {
				l.Leave(s)
				_ = s.SetReadDeadline(time.Now().Add(-time.Second))
				r.ask(bystander, "another leads, and sees it first")
			})
		default:
			echo(l, s, e)
		}
	}
	require.NoError(t, first.Watch())
	_, err := far.Write([]byte("a"))
	require.NoError(t, err)
	<-late
}

func TestNotASocket(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	a, b := net.Pipe()
	defer a.Close()
	defer b.Close()
	_, err := r.poller.Adopt(a)
	require.ErrorIs(t, err, errors.ErrUnsupported)
}

func TestWatchAfterClose(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	s, far := r.watched()
	r.ask(far, "before")
	r.poller.Close()
	r.ask(far, "those that are there are served on")
	other, _ := r.dial()
	require.ErrorIs(t, other.Watch(), net.ErrClosed)
	other.Release()
	require.NoError(t, s.Close())
	r.group.Wait()
}

// After the end the numbers of the descriptors are those of others.
func TestCloseAgain(t *testing.T) { // not parallel: it takes such a number
	for _, led := range []bool{false, true} {
		r := newRig(t)
		if led {
			s, far := r.watched()
			r.ask(far, "hello")
			require.NoError(t, s.Close())
		}
		r.poller.Close()
		r.group.Wait()
		other, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
		require.NoError(t, err)
		if other != r.poller.alarm {
			require.NoError(t, unix.Dup3(other, r.poller.alarm, unix.O_CLOEXEC))
			require.NoError(t, unix.Close(other))
		}
		r.poller.Close()
		_, err = unix.Read(r.poller.alarm, make([]byte, 8))
		require.ErrorIs(t, err, unix.EAGAIN, "nobody has rung, nor closed it")
		require.NoError(t, unix.Close(r.poller.alarm))
	}
}

func TestReadDoesNotWait(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	s, far := r.dial()
	defer s.Release()
	_, err := s.Read(make([]byte, 1))
	require.ErrorIs(t, err, ErrAgain)
	plain, err := s.Plain()
	require.NoError(t, err)
	require.NoError(t, plain.SetReadDeadline(time.Now().Add(time.Millisecond)))
	_, err = plain.Read(make([]byte, 1))
	require.ErrorIs(t, err, os.ErrDeadlineExceeded)
	require.NoError(t, s.CloseWrite())
	_, err = far.Read(make([]byte, 1))
	require.ErrorIs(t, err, io.EOF)
}

// A process that is being started has all descriptors for a moment, so that closing one does not end what is
// registered for it; and then the number is that of another socket.
func TestEndThoughOthersHaveTheDescriptor(t *testing.T) { // not parallel: it takes a number again
	r := newRig(t)
	ended := make(chan struct{})
	r.serve = func(l *Lead, s *Socket, e Event) {
		if echo(l, s, e); !s.servable() {
			close(ended)
		}
	}
	s, far := r.watched()
	child, err := unix.FcntlInt(uintptr(s.fd), unix.F_DUPFD_CLOEXEC, 0)
	require.NoError(t, err)
	defer unix.Close(child)
	far.Close()
	<-ended
	require.NoError(t, unix.Dup3(child, int(s.fd), unix.O_CLOEXEC))
	defer unix.Close(int(s.fd))
	require.ErrorIs(t, r.poller.control(unix.EPOLL_CTL_DEL, int(s.fd), 0), unix.ENOENT)
}

// Nor is a socket served that has ended, or is away, whatever is said to have happened to it.
func TestOnlyWhatIsThereIsServed(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	s, _ := r.dial()
	r.serve = func(*Lead, *Socket, Event) { t.Error("served") }
	l := &Lead{poller: r.poller, server: served{rig: r}}
	s.away = true
	l.one(s, unix.EPOLLIN)
	s.away = false
	s.Release()
	l.one(s, unix.EPOLLIN|unix.EPOLLHUP)
	r.poller.remind([]*Socket{s})
	require.Empty(t, r.poller.timed)
}
