package server

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"strings"
	"time"
)

// DefaultAddress is where a server listens that was not told otherwise.
const DefaultAddress = "127.0.0.1:4730"

// ErrPublic: an address can be reached from other machines, and nothing protects it.
var ErrPublic = errors.New("server: other machines could reach this address and run jobs, " +
	"as there is neither TLS nor a token")

// Bounds of the pause after an accept that did not work, for instance for want of descriptors.
const (
	minPause = 5 * time.Millisecond
	maxPause = time.Second
)

// Listen opens addresses for [Server.Serve]: "host:port", where port 0 is any free one, or
// "unix:/path". Without addresses it opens [DefaultAddress]. An address that is not this machine's own
// loopback needs [Config].Insecure and is else refused with an error that wraps ErrPublic. When one
// address cannot be opened, none is.
func (s *Server) Listen(ctx context.Context, addrs ...string) ([]net.Listener, error) {
	if len(addrs) == 0 {
		addrs = []string{DefaultAddress}
	}
	var lns []net.Listener
	for _, addr := range addrs {
		ln, err := s.listen(ctx, addr)
		if err != nil {
			closeAll(lns)
			return nil, fmt.Errorf("server: listen on %s: %w", addr, err)
		}
		lns = append(lns, ln)
	}
	return lns, nil
}

func (s *Server) listen(ctx context.Context, addr string) (net.Listener, error) {
	if path, ok := strings.CutPrefix(addr, "unix:"); ok {
		return listenUnix(ctx, path)
	}
	tcp, err := net.ResolveTCPAddr("tcp", addr)
	if err != nil {
		return nil, err
	}
	if !s.cfg.Insecure && !tcp.IP.IsLoopback() {
		return nil, fmt.Errorf("%w; nothing was opened; listen on 127.0.0.1, or allow it with --insecure", ErrPublic)
	}
	lc := net.ListenConfig{KeepAliveConfig: s.cfg.KeepAlive}
	return lc.Listen(ctx, "tcp", tcp.String())
}

// listenUnix opens a socket that only this user can connect to. One that a dead server has left
// behind is replaced.
func listenUnix(ctx context.Context, path string) (net.Listener, error) {
	if err := removeStale(ctx, path); err != nil {
		return nil, err
	}
	var lc net.ListenConfig
	ln, err := lc.Listen(ctx, "unix", path)
	if err != nil {
		return nil, err
	}
	if err := os.Chmod(path, 0o600); err != nil {
		ln.Close()
		return nil, err
	}
	return ln, nil
}

func removeStale(ctx context.Context, path string) error {
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case info.Mode().Type() != fs.ModeSocket:
		return errors.New("there is a file that is not a socket")
	}
	var d net.Dialer
	c, err := d.DialContext(ctx, "unix", path)
	if err == nil {
		c.Close()
		return errors.New("another server listens there")
	}
	return os.Remove(path)
}

// accept takes connections until the listener is closed.
func (s *Server) accept(ln net.Listener) {
	var pause time.Duration
	for {
		nc, err := ln.Accept()
		if err == nil {
			pause = 0
			if c, err := s.admit(nc, s.adopt); err == nil {
				s.attend(c)
			}
			continue
		}
		if errors.Is(err, net.ErrClosed) {
			s.lost(ln, err)
			return
		}
		pause = min(max(2*pause, minPause), maxPause)
		s.core.mu.Lock()
		s.core.counts.AcceptErrors++
		s.core.mu.Unlock()
		s.peers.warn("accept does not work, trying again", "address", ln.Addr().String(), "reason", err, "pause", pause)
		select {
		case <-time.After(pause):
		case <-s.closed:
			return
		}
	}
}

// lost ends the server if somebody else has closed its listener.
func (s *Server) lost(ln net.Listener, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.phase != serving {
		return
	}
	s.giveUp(fmt.Errorf("server: accept on %s: %w", ln.Addr(), err))
}

// giveUp ends Serve with err.
func (s *Server) giveUp(err error) {
	select {
	case s.failed <- err:
	default: // there is a reason already
	}
}
