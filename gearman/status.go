package gearman

import (
	"bytes"
	"context"
	"fmt"

	"github.com/geartrain/geartrain/gearman/protocol"
)

// Status is what a server says about a job. It says nothing of one that has ended: Known is false.
type Status struct {
	Known, Running         bool
	Numerator, Denominator int // as the worker reported them last
	Waiting                int // clients that wait for it; only from [Client.StatusByKey]
}

// Status asks the job's server how far it is. It fails with [ErrConnectionLost] if the connection
// ends before the answer, and if the server cannot be reached now.
func (c *Client) Status(ctx context.Context, h Handle) (Status, error) {
	s := c.sessions[h.Server]
	if s == nil {
		return Status{}, fmt.Errorf("gearman: status of %s: %q is not a server of this client", h, h.Server)
	}
	status, err := c.status(ctx, s, question{protocol.StatusRes, h.ID}, protocol.GetStatus)
	if err != nil {
		return status, fmt.Errorf("status of %s: %w", h, err)
	}
	return status, nil
}

// StatusByKey asks how far the job with a key is, at the server where tasks with that function and
// key go. On the wire only the key is sent: when jobs of several functions have it, which of them the
// answer is about is the server's choice. It fails as [Client.Status] does.
func (c *Client) StatusByKey(ctx context.Context, function, key string) (Status, error) {
	s := c.sessions[c.order(function, key)[0]]
	status, err := c.status(ctx, s, question{protocol.StatusResUnique, key}, protocol.GetStatusUnique)
	if err != nil {
		return status, fmt.Errorf("status of function %q, key %q: %w", function, key, err)
	}
	return status, nil
}

// Echo sends p to a server and returns what comes back: the first server that can be reached. It is
// for finding out whether one answers.
func (c *Client) Echo(ctx context.Context, p []byte) ([]byte, error) {
	s, err := c.anySession(ctx)
	if err != nil {
		return nil, err
	}
	var echo []byte
	err = s.askAndWait(ctx, question{protocol.EchoRes, string(p)}, protocol.EchoReq, func(packet protocol.Packet) {
		echo = bytes.Clone(packet.Args[0])
	})
	if err != nil {
		return nil, fmt.Errorf("echo by %s: %w", s.server, err)
	}
	return echo, nil
}

func (c *Client) status(ctx context.Context, s *session, q question, t protocol.Type) (Status, error) {
	var status Status
	if err := s.ready(ctx); err != nil {
		return status, err
	}
	err := s.askAndWait(ctx, q, t, func(p protocol.Packet) {
		status = Status{Known: isTrue(p.Args[1]), Running: isTrue(p.Args[2]), Numerator: number(p.Args[3]), Denominator: number(p.Args[4])}
		if t == protocol.GetStatusUnique {
			status.Waiting = number(p.Args[5])
		}
	})
	if err != nil {
		return Status{}, err
	}
	return status, nil
}

// askAndWait asks and waits for the answer, which read takes.
func (s *session) askAndWait(ctx context.Context, q question, t protocol.Type, read func(protocol.Packet), args ...[]byte) error {
	done := make(chan error, 1)
	err := s.ask(q, t, func(p protocol.Packet, err error) {
		if err == nil && ctx.Err() == nil { // after ctx's end nobody looks at what read writes
			read(p)
		}
		done <- err
	}, args...)
	if err != nil {
		return err
	}
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
