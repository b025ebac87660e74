package gearman

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/google/uuid"
)

// Answer is whether a server does something.
type Answer string

// The answers. Partly: see the field for how far.
const (
	Yes     Answer = "yes"
	No      Answer = "no"
	Partly  Answer = "partly"
	Unknown Answer = "unknown"
)

// Guarantees is what a server promises: as it says itself, or else as is known of servers that do not.
type Guarantees struct {
	Server  string `json:"server"`
	Version string `json:"version"` // as it says, or empty

	// Extension: it knows the options of [Task], [Client.Attach], [Client.Find] and [Client.Cancel].
	Extension bool `json:"extension"`

	// Durable: an accepted background job survives the end of the server. Stock gearmand does not say
	// whether it has a queue plugin.
	Durable Answer `json:"durable"`
	// Sync is when jobs are on disk: "always" is before they are accepted. Empty: it does not say.
	Sync string `json:"sync"`

	// Retention: results are kept as the answers for their keys. Retained is for which functions, as
	// the server writes it.
	Retention Answer `json:"retention"`
	Retained  string `json:"retained"`

	// PayloadGuard: it notices one key with two payloads, and "count"s or "reject"s, or "reject for" some
	// functions. Empty: it does not.
	PayloadGuard string `json:"payload_guard"`

	Cancel  Answer `json:"cancel"`  // jobs can be ended. Partly: only queued ones
	Attach  Answer `json:"attach"`  // without ever making a job. Partly: unless the job ends at that moment
	Retries Answer `json:"retries"` // it tries failed attempts again. Partly: only those of lost workers

	// State is "ready"; "loading", before it hands out what it had stored; "full", no room to store jobs;
	// "failed", its store, for good; or "draining". Empty: it does not say.
	State string `json:"state"`
}

// Guarantees asks every server of the client what it promises. Those that could be asked are returned
// also when others could not; the error then names the first of these.
func (c *Client) Guarantees(ctx context.Context) ([]Guarantees, error) {
	var all []Guarantees
	var failed error
	for _, server := range c.servers {
		g, err := c.guarantees(ctx, server)
		if err == nil {
			all = append(all, g)
		} else if failed == nil {
			failed = fmt.Errorf("guarantees of %s: %w", server, err)
		}
	}
	return all, failed
}

func (c *Client) guarantees(ctx context.Context, server string) (Guarantees, error) {
	s, extended, err := c.reach(ctx, server)
	if err != nil {
		return Guarantees{}, err
	}
	admin, err := DialAdmin(ctx, AdminConfig{Server: server, Dial: c.dialing.dial, DialTimeout: c.dialing.timeout})
	if err != nil {
		return Guarantees{}, err
	}
	defer admin.Close()
	g, err := admin.Guarantees(ctx)
	if errors.Is(err, ErrUnsupported) {
		g, err = c.stock(ctx, s)
	}
	if err != nil {
		return Guarantees{}, err
	}
	g.Server, g.Extension = server, extended
	g.Version, err = admin.Version(ctx)
	if _, refused := errors.AsType[*AdminError](err); refused {
		err = nil
	}
	return g, err
}

// stock is what a server without guarantees of its own does: gearmand, or one that knows less.
func (c *Client) stock(ctx context.Context, s *session) (Guarantees, error) {
	g := Guarantees{Durable: Unknown, Retention: No, Cancel: Partly, Attach: Partly, Retries: Partly}
	answered := make(chan error, 1)
	err := s.find(false, "", uuid.NewString(), func(_ Found, err error) { answered <- err })
	if err == nil {
		select {
		case err = <-answered:
		case <-ctx.Done():
			err = context.Cause(ctx)
		}
	}
	if errors.Is(err, ErrUnsupported) { // not even a look at a key: the first server, in Perl
		g.Durable, g.Cancel, g.Attach, g.Retries = No, No, No, No
		err = nil
	}
	return g, err
}

// Guarantees is what the server says of itself; [ErrUnsupported] if it has no such command. Server,
// Version and Extension are left out.
func (a *Admin) Guarantees(ctx context.Context) (Guarantees, error) {
	g := Guarantees{Durable: No, Retention: No, Cancel: No, Attach: No, Retries: No}
	err := a.lines(ctx, "guarantees", nil, func(line string) bool {
		name, value, found := strings.Cut(line, "\t")
		if found {
			g.set(name, value)
		}
		return found
	})
	if refused, is := errors.AsType[*AdminError](err); is {
		return Guarantees{}, fmt.Errorf("%w: %w", ErrUnsupported, refused)
	}
	return g, err
}

// set takes in one line. What a newer server adds is left out.
func (g *Guarantees) set(name, value string) {
	switch name {
	case "durable":
		g.Durable = Answer(value)
	case "sync":
		g.Sync = value
	case "retention":
		g.setRetention(value)
	case "payload-guard":
		g.PayloadGuard = value
	case "cancel":
		g.Cancel = Answer(value)
	case "attach":
		g.Attach = Answer(value)
	case "state":
		g.State = value
	case "retries":
		g.Retries = Answer(value)
	}
}

// setRetention takes patterns, of which there may be several lines, "per task" or "no".
func (g *Guarantees) setRetention(value string) {
	if value == string(No) {
		return
	}
	g.Retention = Yes
	if g.Retained != "" {
		value = g.Retained + ", " + value
	}
	g.Retained = value
}
