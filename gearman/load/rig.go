package load

import (
	"context"
	"errors"
	"fmt"
	"net"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/geartrain/geartrain/gearman/protocol"
)

// errEnded ends the goroutines of a measurement that went well.
var errEnded = errors.New("load: measurement ended")

// rig is what the clients and workers of one measurement share.
type rig struct {
	cfg      Config
	server   process
	start    time.Time
	function []byte
	payloads *payloads
	ledger   *ledger

	// hold, if not nil, is how long a job takes; it is set before there are workers.
	hold func(job int) error

	created  *gauge // JOB_CREATEDs
	executed *gauge // assignments
	asleep   *gauge // workers
	fenced   *gauge // answers to workers' fences
	noops    atomic.Int64

	ctx    context.Context // ends with the first failure, which is its cause
	cancel context.CancelCauseFunc
	group  sync.WaitGroup // every goroutine that outlives a call

	mu     sync.Mutex // guards the following
	conns  []net.Conn
	closed bool
}

func newRig(ctx context.Context, cfg Config) *rig {
	r := &rig{
		cfg:      cfg,
		server:   process(cfg.PID),
		start:    time.Now(),
		payloads: newPayloads(cfg.Size),
		ledger:   newLedger(cfg.Jobs),
		created:  newGauge(),
		executed: newGauge(),
		asleep:   newGauge(),
		fenced:   newGauge(),
	}
	r.function = strconv.AppendUint([]byte("load-"), r.payloads.salt, 36)
	r.ctx, r.cancel = context.WithCancelCause(ctx)
	r.group.Go(r.hangUp)
	return r
}

// close ends the measurement and waits until every goroutine is gone.
func (r *rig) close() {
	r.cancel(errEnded)
	r.group.Wait()
}

// hangUp closes all connections at the end, which unblocks whoever reads or writes.
func (r *rig) hangUp() {
	<-r.ctx.Done()
	r.mu.Lock()
	r.closed = true
	conns := r.conns
	r.mu.Unlock()
	for _, conn := range conns {
		conn.Close()
	}
}

// fail ends the measurement with the first error.
func (r *rig) fail(err error) {
	if err != nil {
		r.cancel(err)
	}
}

// now is the time since the rig was made.
func (r *rig) now() time.Duration { return time.Since(r.start) }

// key appends the key of a job.
func (r *rig) key(dst []byte, job int) []byte {
	dst = strconv.AppendUint(dst, r.payloads.salt>>32, 36)
	return strconv.AppendInt(append(dst, '-'), int64(job), 10)
}

// submit sends the submission of a job.
func (r *rig) submit(p *peer, t protocol.Type, job int) error {
	var key [48]byte
	var head [minSize]byte
	return p.send(t, r.payloads.filler(job), r.function, r.key(key[:0], job), r.payloads.head(head[:0], job))
}

// connectClients opens the connections of the clients.
func (r *rig) connectClients(submission protocol.Type) ([]*client, error) {
	clients := make([]*client, r.cfg.Clients)
	for i := range clients {
		p, err := r.connect(fmt.Sprintf("client %d", i))
		if err != nil {
			return nil, err
		}
		clients[i] = &client{peer: p, rig: r, submission: submission, open: make(map[uint64]task)}
	}
	return clients, nil
}

// connectWorkers opens the connections of the workers, who do nothing yet.
func (r *rig) connectWorkers() ([]*worker, error) {
	workers := make([]*worker, r.cfg.Workers)
	for i := range workers {
		p, err := r.connect(fmt.Sprintf("worker %d", i))
		if err != nil {
			return nil, err
		}
		workers[i] = &worker{peer: p, rig: r}
	}
	return workers, nil
}

// startWorkers returns when all workers are registered and asleep.
func (r *rig) startWorkers() ([]*worker, error) {
	workers, err := r.connectWorkers()
	if err != nil {
		return nil, err
	}
	r.serve(workers)
	return workers, r.asleep.await(r.ctx, len(workers))
}

// serve starts the workers, each in a goroutine that ends with the rig.
func (r *rig) serve(workers []*worker) {
	for _, w := range workers {
		r.group.Go(func() { r.fail(w.serve()) })
	}
}

// connect opens one connection, one after another and each with a round trip: the server's backlog
// may be short, and it should be known at once whether Gearman is spoken there.
func (r *rig) connect(name string) (*peer, error) {
	network, addr := r.cfg.target()
	conn, err := r.cfg.Dial(r.ctx, network, addr)
	if err != nil {
		return nil, r.cause(fmt.Errorf("%w: %s: %w", ErrUnreachable, name, err))
	}
	if !r.adopt(conn) {
		conn.Close()
		return nil, context.Cause(r.ctx)
	}
	p := newPeer(name, conn, r.cfg.Size)
	if err := p.echo(p.unexpected); err != nil {
		return nil, r.cause(fmt.Errorf("%w at %s: %w", ErrUnreachable, addr, err))
	}
	return p, nil
}

// adopt leaves it to hangUp to close conn; false after that.
func (r *rig) adopt(conn net.Conn) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.closed {
		r.conns = append(r.conns, conn)
	}
	return !r.closed
}

// cause is err, or what ended the rig before.
func (r *rig) cause(err error) error {
	if cause := context.Cause(r.ctx); cause != nil {
		return cause
	}
	return err
}

// drive runs the clients until jobs or time have run out.
func (r *rig) drive(clients []*client) error {
	if r.cfg.Duration > 0 {
		timer := time.AfterFunc(r.cfg.Duration, r.ledger.stop)
		defer timer.Stop()
	}
	return r.each(clients, (*client).drive)
}

// each calls f for all clients at once. It returns the rig's first error when all have returned.
func (r *rig) each(clients []*client, f func(*client) error) error {
	var group sync.WaitGroup
	for _, c := range clients {
		group.Go(func() { r.fail(f(c)) })
	}
	group.Wait()
	return context.Cause(r.ctx)
}

// settle waits until nothing is on its way any more: neither to clients nor to workers, who sleep.
func (r *rig) settle(clients []*client, workers []*worker) error {
	if err := r.each(clients, (*client).settle); err != nil {
		return err
	}
	for _, w := range workers {
		if err := w.fence(); err != nil {
			return r.cause(err)
		}
	}
	if err := r.fenced.await(r.ctx, len(workers)); err != nil {
		return err
	}
	return r.asleep.await(r.ctx, len(workers))
}

// span is a measured piece of time.
type span struct {
	start, elapsed time.Duration
	cpu            time.Duration // of the server, 0 if its process is not known
}

// measure times f.
func (r *rig) measure(f func() error) (span, error) {
	runtime.GC() // of the setting up
	cpu, start := r.server.cpu(), r.now()
	err := f()
	return span{start: start, elapsed: r.now() - start, cpu: r.server.cpu() - cpu}, err
}
