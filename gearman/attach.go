package gearman

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/geartrain/geartrain/gearman/protocol"
)

const (
	maxSearches = 6                      // for a job whose connection was lost
	firstSearch = 100 * time.Millisecond // until the second one; each further wait is twice as long
)

// Attach waits for the job with t's function and key, queued, scheduled or running, or takes the result
// that is kept for the key. It never makes a job: the error wraps [ErrNoJob] when there is none. Of t
// it uses Function, Key, Timeout, Deadline and the callbacks; what the job sent before is not repeated.
// The error is a *[TaskError], or the failure of the job as [Client.Do] gives it.
//
// When the connection is lost the job is looked for again. One that ran only in the memory of a server
// that has ended is gone until its own client submits it again; Attach looks a few seconds for that.
//
// A stock gearmand has no such request: it is asked whether it knows the key and, if so, sent an
// ordinary submission, which joins. It does not look at the function when it is asked. So a job of
// another function with that key, or the job's end between the two packets, make a new job there, with
// an empty payload.
func (c *Client) Attach(ctx context.Context, t Task) (Result, error) {
	return c.wait(ctx, t, (*TaskSet).Attach)
}

// Attach adds a task that waits for the job of its key and never makes one, see [Client.Attach].
func (s *TaskSet) Attach(t Task) *Future[[]byte] {
	f := newFuture(s, bytesCodec{}.Decode)
	s.start(&pending{task: t, answer: f, attach: true}, nil)
	return f
}

// attachRefused: the server has no such job, or cannot tell. Who lost a job with its connection looks
// again a few times: its own client may be about to submit it again.
func (p *pending) attachRefused(err *ServerError) {
	switch {
	case !strings.EqualFold(err.Code, protocol.CodeJobNotFound):
		p.fail(p.failure(err))
	case !p.found:
		p.fail(p.failure(ErrNoJob))
	case p.searches >= maxSearches:
		p.fail(p.failure(fmt.Errorf("%w: %w", ErrJobLost, ErrNoJob)))
	default:
		p.submitAfter(firstSearch << p.searches)
		p.searches++
	}
}

// probeLocked asks a server without the extension whether it knows the key.
func (s *session) probeLocked(sub *submission) {
	s.probing = append(s.probing, sub)
	q := question{protocol.StatusResUnique, sub.task.task.Key}
	_ = s.askLocked(q, protocol.GetStatusUnique, func(p protocol.Packet, err error) { // the reader learns of a dead link
		s.probed(sub, err == nil && isTrue(p.Args[1]), err)
	})
}

// probed joins the job if there is one. A lost connection is no answer: it gave the submission back.
func (s *session) probed(sub *submission, known bool, err error) {
	s.mu.Lock()
	i := slices.Index(s.probing, sub)
	if i < 0 {
		s.mu.Unlock()
		return
	}
	s.probing[i] = s.probing[0] // mostly they are the same
	s.probing = s.probing[1:]
	if known {
		s.submitLocked(sub)
	}
	s.mu.Unlock()
	if known {
		return
	}
	refusal, unknown := errors.AsType[*ServerError](err)
	if !unknown {
		refusal = &ServerError{Code: protocol.CodeJobNotFound, Text: "key unknown"}
	}
	sub.refused(refusal)
}
