package gearman

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/geartrain/geartrain/gearman/protocol"
)

const defaultGiveUpAfter = 30 * time.Second

// lastWords is how long Close waits for servers to take the last words.
const lastWords = time.Second

// ClientConfig configures a [Client]. The zero value is a working client for localhost:4730.
type ClientConfig struct {
	// Servers are host:port, host (port 4730), [v6]:port or unix:/path. Default: localhost:4730.
	Servers []string

	// Selector chooses a task's server. Default: rendezvous hashing of function and key, so that
	// equal keys meet on one server, and move on to the same next one when that is down.
	Selector Selector

	DialTimeout time.Duration // for one attempt to connect. Default: 5 s

	// GiveUpAfter is how long a task is kept while none of its servers can be reached; it then fails
	// with ErrNoServers. Default: 30 s; negative: for ever.
	GiveUpAfter time.Duration

	MaxPacketBytes int // a larger packet ends the connection before memory is taken for it. Default: 64 MiB

	Logger *slog.Logger // for lost and regained connections. Default: slog.Default()

	// Dial opens connections; TLS and in-memory tests go here. It gets "tcp" and host:port, or "unix"
	// and a path. Default: net.Dialer.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
}

// Client submits tasks to job servers. It is safe for use by many goroutines. It has one connection
// to each server that it uses; submissions are pipelined, none waits for another's JOB_CREATED.
//
// A lost connection is dialled again with growing delays. Tasks that were under way are submitted
// again under their keys, to the same server or to the next one in their order, and join their job
// where it still exists. A server that forgot it, or that is another one, runs it again: work is
// done at least once.
type Client struct {
	dialing     dialing
	servers     []string
	selector    Selector
	giveUpAfter time.Duration
	maxPacket   int
	log         *slog.Logger

	ctx      context.Context // ends with ErrClosed as its cause
	end      context.CancelCauseFunc
	sessions map[string]*session // one for each server; the map never changes
	running  sync.WaitGroup      // the sessions' goroutines

	mu     sync.Mutex    // guards the fields below; nothing else is locked inside it
	closed bool          // no goroutine is started any more
	parked []*submission // no server takes them now; the oldest trouble first
	sweep  *time.Timer   // when the first of them is to be given up; nil: not set
}

// Dial connects with the default configuration: it returns when one of the servers has accepted, or
// with [ErrNoServers] when each has refused. Without servers it is localhost:4730.
func Dial(ctx context.Context, servers ...string) (*Client, error) {
	c, err := NewClient(ClientConfig{Servers: servers})
	if err != nil {
		return nil, err
	}
	if err := c.Connect(ctx); err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

// NewClient validates cfg, copies it and returns a client. Connections are opened on first use. The
// caller closes the client.
func NewClient(cfg ClientConfig) (*Client, error) {
	c := &Client{
		dialing:     dialing{dial: cfg.Dial, timeout: cfg.DialTimeout, maxPacket: cfg.MaxPacketBytes},
		servers:     slices.Clone(cfg.Servers),
		selector:    cfg.Selector,
		giveUpAfter: cfg.GiveUpAfter,
		maxPacket:   cfg.MaxPacketBytes,
		log:         cfg.Logger,
		sessions:    make(map[string]*session),
	}
	if len(c.servers) == 0 {
		c.servers = []string{defaultServer}
	}
	if c.selector == nil {
		c.selector = rendezvous{}
	}
	if c.giveUpAfter == 0 {
		c.giveUpAfter = defaultGiveUpAfter
	}
	if c.maxPacket <= 0 {
		c.maxPacket = protocol.DefaultMaxPacket
	}
	if c.log == nil {
		c.log = slog.Default()
	}
	for _, server := range c.servers {
		if _, _, err := serverAddress(server); err != nil {
			return nil, err
		}
		c.sessions[server] = newSession(c, server)
	}
	c.ctx, c.end = context.WithCancelCause(context.Background())
	return c, nil
}

// Connect returns when one of the servers has accepted, or with [ErrNoServers] when each has refused. It
// need not be called: it is for those who want to know at once.
func (c *Client) Connect(ctx context.Context) error {
	_, err := c.anySession(ctx)
	return err
}

// NewTaskSet returns an empty set. ctx is its scope: when it ends, every task of the set that has no
// answer fails with the context's cause.
func (c *Client) NewTaskSet(ctx context.Context) *TaskSet {
	return newTaskSet(c, ctx)
}

// Do submits one task and waits for its answer. The error is a *[TaskError]. When ctx ends it returns
// at once; a job that is under way goes on, and what it brings is dropped.
func (c *Client) Do(ctx context.Context, t Task) (Result, error) {
	return c.wait(ctx, t, (*TaskSet).Add)
}

// wait adds one task to a set of its own and waits for its answer.
func (c *Client) wait(ctx context.Context, t Task, add func(*TaskSet, Task) *Future[[]byte]) (Result, error) {
	var result Result
	complete := t.OnComplete
	t.OnComplete = func(r Result) {
		result = r
		if complete != nil {
			complete(r)
		}
	}
	_, err := add(c.NewTaskSet(ctx), t).Wait(context.Background())
	if err != nil {
		return Result{}, err
	}
	return result, nil
}

// Submit submits a background task and returns when a server has accepted it: the job then runs
// whether or not anyone waits. Callbacks have no meaning for it; Retry and Deadline apply to the
// submission, ServerRetry and Timeout to the job, where the server knows them. The error is a *[TaskError]; unless it wraps a [ServerError], the task may have
// been accepted all the same, and submitting it again under the same key does not make it two while
// it is queued or running.
func (c *Client) Submit(ctx context.Context, t Task) (Handle, error) {
	var handle Handle
	t.OnComplete = func(r Result) { handle = r.Handle }
	t.OnCreated, t.OnRetry, t.OnFail = nil, nil, nil
	set := c.NewTaskSet(ctx)
	set.background = true
	_, err := set.Add(t).Wait(context.Background())
	return handle, err
}

// Close ends the client: what has no answer fails with [ErrClosed]. It waits for the client's
// goroutines, not for callbacks, and may be called more than once.
func (c *Client) Close() error {
	c.mu.Lock()
	c.closed = true
	parked := c.parked
	c.parked = nil
	if c.sweep != nil {
		c.sweep.Stop()
	}
	c.mu.Unlock()
	c.flush()
	c.end(ErrClosed)
	for _, sub := range parked {
		sub.gaveUp(ErrClosed)
	}
	c.running.Wait()
	return nil
}

// flush lets servers hear for which jobs nobody waits any more.
func (c *Client) flush() {
	ctx, cancel := context.WithTimeout(context.Background(), lastWords)
	defer cancel()
	for _, s := range c.sessions {
		s.flush(ctx)
	}
}

// start runs f in a goroutine that Close waits for. It reports false when the client is closed.
func (c *Client) start(f func()) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.closed {
		c.running.Go(f)
	}
	return !c.closed
}

// order is the servers to try for a task, best first.
func (c *Client) order(function, key string) []string {
	order := c.selector.Pick(function, key, c.servers)
	known := func(server string) bool { return c.sessions[server] != nil }
	if i := slices.IndexFunc(order, func(s string) bool { return !known(s) }); i >= 0 {
		order = slices.DeleteFunc(slices.Clone(order), func(s string) bool { return !known(s) })
	}
	if len(order) == 0 {
		return c.servers
	}
	return order
}

// route gives sub to the first server of its order that is not down. When all are, it is parked
// until one is back. It does not wait; the link, if there is one, is for the caller to do so.
func (c *Client) route(sub *submission) *link {
	if sub.dropped.Load() {
		return nil
	}
	for _, server := range sub.task.servers {
		if l, ok := c.sessions[server].offer(sub); ok {
			return l
		}
	}
	c.park(sub)
	return nil
}

// park keeps a submission that no server takes, for a time.
func (c *Client) park(sub *submission) {
	now := time.Now()
	if sub.stranded.IsZero() {
		sub.stranded = now
	}
	if c.givesUp(sub, now) {
		sub.gaveUp(c.noServers(sub.task.servers))
		return
	}
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		sub.gaveUp(ErrClosed)
		return
	}
	if len(c.parked) == cap(c.parked) { // a moment to forget those whose tasks have ended
		c.parked = slices.DeleteFunc(c.parked, func(s *submission) bool { return s.dropped.Load() })
	}
	c.parked = append(c.parked, sub)
	if c.sweep == nil && c.giveUpAfter > 0 {
		c.sweep = time.AfterFunc(sub.stranded.Add(c.giveUpAfter).Sub(now), c.sweepParked)
	}
	c.mu.Unlock()
	for _, server := range sub.task.servers { // one may have come back since it refused
		if c.sessions[server].trouble() == nil {
			c.unpark()
			return
		}
	}
}

// unpark routes all that is parked once more.
func (c *Client) unpark() {
	c.mu.Lock()
	parked := c.parked
	c.parked = nil
	c.mu.Unlock()
	for _, sub := range parked {
		c.route(sub)
	}
}

// sweepParked gives up what has been parked for too long.
func (c *Client) sweepParked() {
	now := time.Now()
	var late []*submission
	var next time.Duration
	c.mu.Lock()
	c.sweep = nil
	c.parked = slices.DeleteFunc(c.parked, func(sub *submission) bool {
		if sub.dropped.Load() {
			return true
		}
		if c.givesUp(sub, now) {
			late = append(late, sub)
			return true
		}
		if left := sub.stranded.Add(c.giveUpAfter).Sub(now); next == 0 || left < next {
			next = left
		}
		return false
	})
	if len(c.parked) > 0 && !c.closed {
		c.sweep = time.AfterFunc(next, c.sweepParked)
	}
	c.mu.Unlock()
	for _, sub := range late {
		sub.gaveUp(c.noServers(sub.task.servers))
	}
}

func (c *Client) givesUp(sub *submission, now time.Time) bool {
	return c.giveUpAfter > 0 && now.Sub(sub.stranded) >= c.giveUpAfter
}

// noServers is ErrNoServers with what is known of each server.
func (c *Client) noServers(servers []string) error {
	var troubles []error
	for _, server := range servers {
		if err := c.sessions[server].trouble(); err != nil {
			troubles = append(troubles, err)
		}
	}
	if len(troubles) == 0 {
		return ErrNoServers
	}
	return fmt.Errorf("%w: %w", ErrNoServers, oneLine(troubles))
}

// anySession is the first that is up, or can be dialled now.
func (c *Client) anySession(ctx context.Context) (*session, error) {
	for _, server := range c.servers {
		s := c.sessions[server]
		err := s.ready(ctx)
		if err == nil {
			return s, nil
		}
		if ctx.Err() != nil || errors.Is(err, ErrClosed) {
			return nil, err
		}
	}
	return nil, c.noServers(c.servers)
}

// oneLine is errors.Join with semicolons.
type oneLine []error

func (e oneLine) Unwrap() []error { return e }

func (e oneLine) Error() string {
	s := e[0].Error()
	for _, err := range e[1:] {
		s += "; " + err.Error()
	}
	return s
}
