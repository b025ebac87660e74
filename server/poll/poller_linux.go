package poll

import (
	"errors"
	"fmt"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// Poller watches sockets.
type Poller struct {
	epoll int
	alarm int // an eventfd that ends a wait early
	spawn func(func())
	serve func(*Lead) Server

	mu      sync.Mutex // guards the following
	sockets map[int32]*Socket
	timed   map[*Socket]time.Time // until when something must have arrived
	next    time.Time             // for which the leader waits at the latest; zero: for ever
	led     bool                  // the first leader was started
	closed  bool
	gone    bool // so are its descriptors
	waiting int  // sockets that another goroutine than the leader looks after
}

// New makes a Poller. serve makes the [Server] of a goroutine that leads; spawn starts such goroutines.
// The first one is started with the first socket. The last one ends after [Poller.Close], when all
// sockets are closed.
func New(spawn func(func()), serve func(*Lead) Server) (*Poller, error) {
	epoll, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("poll: %w", err)
	}
	alarm, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		unix.Close(epoll)
		return nil, fmt.Errorf("poll: %w", err)
	}
	p := &Poller{
		epoll: epoll, alarm: alarm, spawn: spawn, serve: serve,
		sockets: make(map[int32]*Socket), timed: make(map[*Socket]time.Time),
	}
	if err := p.control(unix.EPOLL_CTL_ADD, alarm, unix.EPOLLIN); err != nil {
		p.release()
		return nil, fmt.Errorf("poll: %w", err)
	}
	return p, nil
}

// Close lets the last leader end when all sockets are closed. It does not close them.
func (p *Poller) Close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	if !p.led {
		p.release()
		return
	}
	p.ring()
}

// release gives the descriptors back, whose numbers are others' from then on. The caller holds the lock.
func (p *Poller) release() {
	if p.gone {
		return
	}
	p.gone = true
	unix.Close(p.epoll)
	unix.Close(p.alarm)
}

// ring makes the leader look at what has changed. The caller holds the lock.
func (p *Poller) ring() {
	if p.gone {
		return
	}
	one := [8]byte{1}
	_, _ = unix.Write(p.alarm, one[:]) // it can only be full, and then it rings
}

func (p *Poller) control(op, fd int, events uint32) error {
	return unix.EpollCtl(p.epoll, op, fd, &unix.EpollEvent{Events: events, Fd: int32(fd)})
}

// start makes a new goroutine the leader.
func (p *Poller) start() {
	p.spawn(func() {
		l := &Lead{poller: p}
		l.server = p.serve(l)
		l.run()
	})
}

// Lead is a goroutine's time as the leader.
type Lead struct {
	poller *Poller
	server Server
	over   bool
	events [128]unix.EpollEvent
	ready  []*Socket
}

// HandOver makes another goroutine the leader. The caller's ends when Serve or End returns.
func (l *Lead) HandOver() {
	if !l.over {
		l.over = true
		l.poller.start()
	}
}

// Leave is HandOver for a goroutine that goes on with one socket: nobody else serves it until Serve
// returns.
func (l *Lead) Leave(s *Socket) {
	if !l.over {
		s.pause()
		l.HandOver()
	}
}

func (l *Lead) run() {
	again := false
	for !l.over && !l.poller.done() { // who led before may have handed over after the last socket's end
		wait := 0
		if !again {
			wait = l.poller.patience()
		}
		n, err := unix.EpollWait(l.poller.epoll, l.events[:], wait)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			panic(fmt.Sprintf("poll: epoll_wait: %v", err)) // none of its errors can happen
		}
		for i, s := range l.find(n) {
			l.one(s, l.events[i].Events)
			if l.over {
				return
			}
		}
		for i, late := 0, l.poller.late(); i < len(late); i++ {
			l.serveOne(late[i], Late)
			if l.over {
				l.poller.remind(late[i+1:])
				return
			}
		}
		again = l.server.End()
	}
}

// find gives the sockets of n events; nil for none.
func (l *Lead) find(n int) []*Socket {
	p := l.poller
	p.mu.Lock()
	defer p.mu.Unlock()
	l.ready = l.ready[:0]
	for _, e := range l.events[:n] {
		l.ready = append(l.ready, p.sockets[e.Fd])
	}
	return l.ready
}

// one serves what an event is about.
func (l *Lead) one(s *Socket, events uint32) {
	if s == nil { // the alarm
		var b [8]byte
		_, _ = unix.Read(l.poller.alarm, b[:])
		return
	}
	if events&unix.EPOLLOUT != 0 && s.roomCame() {
		l.serveOne(s, Writable)
		if l.over {
			return
		}
	}
	if events&^unix.EPOLLOUT != 0 {
		l.serveOne(s, Readable)
	}
}

func (l *Lead) serveOne(s *Socket, e Event) {
	if !s.servable() {
		return
	}
	l.server.Serve(s, e)
	if l.over {
		s.resume()
	}
}

// patience is how long the leader may wait, as epoll wants it: in milliseconds, -1 for ever.
func (p *Poller) patience() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.next.IsZero() {
		return -1
	}
	return int(max(time.Until(p.next)+time.Millisecond-1, 0) / time.Millisecond)
}

// late takes out the sockets whose deadline has passed.
func (p *Poller) late() []*Socket {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.next.IsZero() {
		return nil
	}
	now := time.Now()
	if now.Before(p.next) {
		return nil
	}
	var late []*Socket
	p.next = time.Time{}
	for s, at := range p.timed {
		switch {
		case s.away:
		case !now.Before(at):
			late = append(late, s)
			delete(p.timed, s)
		case p.next.IsZero() || at.Before(p.next):
			p.next = at
		}
	}
	return late
}

// remind makes sockets late again.
func (p *Poller) remind(late []*Socket) {
	if len(late) == 0 {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	for _, s := range late {
		if !s.left { // by now another leader may have served it
			p.timed[s] = now
		}
	}
	p.wakeBy(now)
}

// setDeadline is for reading; the zero time is none.
func (p *Poller) setDeadline(s *Socket, at time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if at.IsZero() {
		delete(p.timed, s)
		return
	}
	p.timed[s] = at
	p.wakeBy(at)
}

// wakeBy makes the leader look at deadlines at that time.
func (p *Poller) wakeBy(at time.Time) {
	if p.next.IsZero() || at.Before(p.next) {
		p.next = at
		p.ring()
	}
}

// done reports whether nothing is left to wait for, which is the poller's end.
func (p *Poller) done() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.closed || len(p.sockets) > 0 || p.waiting > 0 {
		return false
	}
	p.release()
	return true
}
