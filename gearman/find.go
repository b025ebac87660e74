package gearman

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/geartrain/geartrain/gearman/protocol"
)

// JobState is where the job of a key, or of a handle, is.
type JobState string

// The states of a job. It is none before it was submitted and after its end, unless its result is kept
// or it became a dead letter.
const (
	JobNone      JobState = "none"
	JobQueued    JobState = "queued"
	JobScheduled JobState = "scheduled" // it waits for its time, or for its next attempt
	JobRunning   JobState = "running"
	JobRetained  JobState = "retained" // its result is kept
	JobDead      JobState = "dead"     // a dead letter
)

// Found is what a server says of a key.
type Found struct {
	State JobState
	For   time.Duration // how long it has been so; 0 if the server does not say
}

// findWindow is how many questions are written before the connection is asked for room.
const findWindow = 1000

// Find asks for the state of a key and changes nothing. It asks the first server in the order of the
// key that can be reached. A stock gearmand knows queued and running only, and looks at the key and not
// at the function. Find fails with [ErrUnsupported] on a server that cannot tell at all, and with
// [ErrConnectionLost] if the connection ends before the answer.
func (c *Client) Find(ctx context.Context, function, key string) (Found, error) {
	found, err := c.FindAll(ctx, function, []string{key})
	if err != nil {
		return Found{}, err
	}
	return found[0], nil
}

// FindAll is [Client.Find] for many keys of a function at once. The questions are pipelined: none waits
// for another's answer. What it returns is in the order of the keys.
func (c *Client) FindAll(ctx context.Context, function string, keys []string) ([]Found, error) {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	found := make([]Found, len(keys))
	answered := make(chan error, len(keys))
	for i, key := range keys {
		s, extended, err := c.reach(ctx, c.order(function, key)...)
		if err == nil {
			err = s.find(extended, function, key, func(f Found, err error) {
				found[i] = f
				answered <- err
			})
		}
		if err == nil && i%findWindow == findWindow-1 {
			err = s.room(ctx)
		}
		if err != nil {
			return nil, fmt.Errorf("find function %q, key %q: %w", function, key, err)
		}
	}
	for range keys {
		select {
		case err := <-answered:
			if err != nil {
				return nil, fmt.Errorf("find keys of function %q: %w", function, err)
			}
		case <-ctx.Done():
			return nil, fmt.Errorf("find keys of function %q: %w", function, context.Cause(ctx))
		}
	}
	return found, nil
}

// find asks for one key. fn is called once, unless find fails.
func (s *session) find(extended bool, function, key string, fn func(Found, error)) error {
	if err := checkNames(function, key); err != nil {
		return err
	}
	if extended {
		q := question{protocol.FindRes, function + "\x00" + key} // and so the two arguments of the packet
		return s.ask(q, protocol.FindJob, func(p protocol.Packet, err error) {
			if err != nil {
				fn(Found{}, unsupported(err))
				return
			}
			fn(Found{JobState(clipped(p.Args[2])), time.Duration(number(p.Args[3])) * time.Millisecond}, nil)
		})
	}
	return s.ask(question{protocol.StatusResUnique, key}, protocol.GetStatusUnique, func(p protocol.Packet, err error) {
		switch {
		case err != nil:
			fn(Found{}, unsupported(err))
		case !isTrue(p.Args[1]):
			fn(Found{State: JobNone}, nil)
		case isTrue(p.Args[2]):
			fn(Found{State: JobRunning}, nil)
		default:
			fn(Found{State: JobQueued}, nil)
		}
	})
}

// unsupported says what it means that a server refuses a question.
func unsupported(err error) error {
	if _, refused := errors.AsType[*ServerError](err); refused {
		return fmt.Errorf("%w: %w", ErrUnsupported, err)
	}
	return err
}

// reach gives the first of the servers that is up or can be dialled now, and whether it knows the
// extension.
func (c *Client) reach(ctx context.Context, servers ...string) (*session, bool, error) {
	for _, server := range servers {
		extended, err := c.sessions[server].extension(ctx)
		if err == nil {
			return c.sessions[server], extended, nil
		}
		if ctx.Err() != nil || errors.Is(err, ErrClosed) {
			return nil, false, err
		}
	}
	return nil, false, c.noServers(servers)
}

// room waits until the connection has written most of what was sent.
func (s *session) room(ctx context.Context) error {
	s.mu.Lock()
	l := s.link
	s.mu.Unlock()
	if l == nil {
		return ErrConnectionLost
	}
	return l.room(ctx)
}
