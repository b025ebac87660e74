package gearman

import (
	"context"
	"errors"
	"fmt"

	"github.com/geartrain/geartrain/gearman/protocol"
)

// Cancel ends a job, whoever waits for it: queued it goes, running it is taken from its worker, and its
// clients get a failure. It returns when that is on stable storage where the server has one, with the
// state the job was in; [JobNone] means that there was no such job, which is no error.
//
// A stock gearmand can cancel what is queued only; Cancel fails with [ErrUnsupported] for a job that runs
// there.
func (c *Client) Cancel(ctx context.Context, h Handle) (JobState, error) {
	if c.sessions[h.Server] == nil {
		return "", fmt.Errorf("gearman: cancel %s: %q is not a server of this client", h, h.Server)
	}
	s, extended, err := c.reach(ctx, h.Server)
	if err != nil {
		return "", fmt.Errorf("cancel %s: %w", h, err)
	}
	var state JobState
	if extended {
		state, err = s.cancel(ctx, h.ID, protocol.CancelJob, []byte(h.ID))
	} else {
		state, err = c.cancelOld(ctx, h)
	}
	if err != nil {
		return "", fmt.Errorf("cancel %s: %w", h, err)
	}
	return state, nil
}

// CancelKey is [Client.Cancel] for the job of a key. It fails with [ErrUnsupported] on a server without
// this module's extension, which has no way to find the job.
func (c *Client) CancelKey(ctx context.Context, function, key string) (JobState, error) {
	err := checkNames(function, key)
	var s *session
	var extended bool
	if err == nil {
		s, extended, err = c.reach(ctx, c.order(function, key)...)
	}
	if err == nil && !extended {
		err = fmt.Errorf("%w: %s cannot cancel by key; use the job's handle", ErrUnsupported, s.server)
	}
	var state JobState
	if err == nil {
		state, err = s.cancel(ctx, key, protocol.CancelKey, []byte(function), []byte(key))
	}
	if err != nil {
		return "", fmt.Errorf("cancel function %q, key %q: %w", function, key, err)
	}
	return state, nil
}

// cancel asks a server that knows the extension.
func (s *session) cancel(ctx context.Context, about string, t protocol.Type, args ...[]byte) (JobState, error) {
	var state JobState
	err := s.askAndWait(ctx, question{protocol.CancelRes, about}, t, func(p protocol.Packet) {
		state = JobState(clipped(p.Args[1]))
	}, args...)
	return state, unsupported(err)
}

// cancelOld cancels by the admin command, which knows queued jobs only.
func (c *Client) cancelOld(ctx context.Context, h Handle) (JobState, error) {
	status, err := c.Status(ctx, h)
	switch {
	case err != nil:
		return "", err
	case !status.Known:
		return JobNone, nil
	case status.Running:
		return "", fmt.Errorf("%w: the job runs, and only queued ones can be cancelled", ErrUnsupported)
	}
	admin, err := DialAdmin(ctx, AdminConfig{Server: h.Server, Dial: c.dialing.dial, DialTimeout: c.dialing.timeout})
	if err != nil {
		return "", err
	}
	defer admin.Close()
	err = admin.Cancel(ctx, h.ID)
	if _, refused := errors.AsType[*AdminError](err); refused {
		return "", fmt.Errorf("%w: the job may have been handed out meanwhile: %w", ErrUnsupported, err)
	}
	if err != nil {
		return "", err
	}
	return JobQueued, nil
}
