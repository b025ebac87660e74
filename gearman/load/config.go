package load

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"
)

// minSize is the least payload: the job's number and its check word.
const minSize = 16

// Config is the size of a load, and the server that gets it. A zero field takes the default of the
// scenario, which [Report].Config shows.
type Config struct {
	// Server is host:port, host (port 4730) or unix:/path. It has no default.
	Server string `json:"server"`

	// Dial opens the connections. It gets "tcp" and host:port, or "unix" and a path. Default: a
	// [net.Dialer].
	Dial func(ctx context.Context, network, addr string) (net.Conn, error) `json:"-"`

	Clients int `json:"clients"` // connections that submit
	Window  int `json:"window"`  // jobs under way on each of them
	Workers int `json:"workers"` // connections that work
	Grabs   int `json:"grabs"`   // requests for a job that a worker keeps under way. Default: 1
	Size    int `json:"size"`    // bytes of a payload, at least 16

	// Jobs is how many jobs are executed. Default: the scenario's, or without end if Duration is set.
	Jobs int `json:"-"`

	// Duration is when clients stop submitting, if Jobs have not run out before. Default: never.
	Duration time.Duration `json:"-"`

	// Timeout is when a measurement is given up. Default: 2 minutes; negative: never.
	Timeout time.Duration `json:"-"`

	// Brief chooses smaller defaults: a look that takes a second or so instead of a measurement.
	Brief bool `json:"-"`

	// PlainGrab makes workers ask with GRAB_JOB, for servers that do not know GRAB_JOB_UNIQ.
	PlainGrab bool `json:"plain_grab,omitempty"`

	// PID is the server's process on this machine, whose CPU and memory are then reported. It needs
	// /proc. Default: none.
	PID int `json:"-"`
}

// or fills zero fields of c from d.
func (c Config) or(d Config) Config {
	if c.Duration > 0 {
		c.Jobs = cmp.Or(c.Jobs, maxJobs)
	}
	c.Clients = cmp.Or(c.Clients, d.Clients)
	c.Window = cmp.Or(c.Window, d.Window)
	c.Workers = cmp.Or(c.Workers, d.Workers)
	c.Grabs = cmp.Or(c.Grabs, d.Grabs, 1)
	c.Size = cmp.Or(c.Size, d.Size)
	c.Jobs = cmp.Or(c.Jobs, d.Jobs)
	c.Timeout = cmp.Or(c.Timeout, 2*time.Minute)
	if c.Dial == nil {
		c.Dial = new(net.Dialer).DialContext
	}
	return c
}

// validate finds all settings that make no sense. Defaults are filled in.
func (c Config) validate() error {
	var errs []error
	if c.Server == "" {
		errs = append(errs, errors.New("no server"))
	}
	for _, s := range []struct {
		name               string
		value, least, most int
	}{
		{"clients", c.Clients, 1, 1 << 20},
		{"window", c.Window, 1, maxJobs},
		{"workers", c.Workers, 1, 1 << 20},
		{"grabs", c.Grabs, 1, 1 << 10},
		{"size", c.Size, minSize, 1 << 30},
		{"jobs", c.Jobs, 1, maxJobs},
	} {
		if s.value < s.least || s.value > s.most {
			errs = append(errs, fmt.Errorf("%s is %d, it must be from %d to %d", s.name, s.value, s.least, s.most))
		}
	}
	if c.Duration < 0 {
		errs = append(errs, fmt.Errorf("duration is %s, it must not be negative", c.Duration))
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("%w: %w", ErrConfig, err)
	}
	return nil
}

// target is what Dial gets.
func (c Config) target() (network, addr string) {
	if path, ok := strings.CutPrefix(c.Server, "unix:"); ok {
		return "unix", path
	}
	if _, _, err := net.SplitHostPort(c.Server); err != nil {
		return "tcp", net.JoinHostPort(strings.Trim(c.Server, "[]"), "4730")
	}
	return "tcp", c.Server
}
