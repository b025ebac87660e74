package load

import (
	"time"

	"github.com/geartrain/geartrain/gearman/protocol"
)

// task is a job as the client sees that submitted it.
type task struct {
	job int
	at  time.Duration // when it was submitted
}

// client submits jobs on one connection and checks what comes back.
//
//	submit ──► waiting ──JOB_CREATED──► open ──WORK_COMPLETE──► answered
//	             in order                 by handle
//
// A job in the background is answered by JOB_CREATED.
type client struct {
	*peer
	rig        *rig
	submission protocol.Type
	waiting    fifo
	open       map[uint64]task // by the hash of the handle
	unanswered int             // tasks in waiting and in open

	now      time.Duration // of the latest answer
	first    time.Duration // of the first
	latency  histogram
	answered int
}

// drive keeps a window of jobs under way until the ledger gives out no more, and all are answered.
func (c *client) drive() error {
	c.now = c.rig.now()
	for {
		for c.unanswered < c.rig.cfg.Window {
			job, ok := c.rig.ledger.take()
			if !ok {
				break
			}
			if err := c.submit(job); err != nil {
				return err
			}
		}
		if c.unanswered == 0 {
			return nil
		}
		if err := c.step(); err != nil {
			return err
		}
	}
}

// submit sends a job and expects its answer.
func (c *client) submit(job int) error {
	c.expect(job)
	return c.rig.submit(c.peer, c.submission, job)
}

// expect is submit for a job that somebody else sends on this connection.
func (c *client) expect(job int) {
	c.waiting.push(task{job, c.now})
	c.unanswered++
}

// finish reads until all is answered.
func (c *client) finish() error {
	for c.unanswered > 0 {
		if err := c.step(); err != nil {
			return err
		}
	}
	return nil
}

// settle makes sure that nothing comes any more.
func (c *client) settle() error { return c.echo(c.handle) }

// step reads one packet.
func (c *client) step() error {
	packet, err := c.receive()
	if err != nil {
		return err
	}
	return c.handle(packet)
}

func (c *client) handle(packet protocol.Packet) error {
	switch packet.Type {
	case protocol.JobCreated:
		return c.sign(c.created(packet.Arg(0)))
	case protocol.WorkComplete:
		return c.sign(c.completed(packet.Arg(0), packet.Arg(1)))
	}
	return c.unexpected(packet)
}

func (c *client) created(handle []byte) error {
	t, ok := c.waiting.pop()
	if !ok {
		return wrong(noJob, ErrPacket, "JOB_CREATED %.80q without a submission", handle)
	}
	hash := c.rig.ledger.hash(handle)
	if err := c.rig.ledger.create(t.job, hash); err != nil {
		return err
	}
	c.rig.created.up()
	if c.submission == protocol.SubmitJobBg {
		c.answer(t)
		return nil
	}
	if other, taken := c.open[hash]; taken {
		return wrong(t.job, ErrHandle, "%.80q is that of job %d too", handle, other.job)
	}
	c.open[hash] = t
	return nil
}

func (c *client) completed(handle, result []byte) error {
	hash := c.rig.ledger.hash(handle)
	t, ok := c.open[hash]
	if !ok {
		return c.stray(handle, result)
	}
	job, err := c.rig.payloads.job(result)
	if err != nil {
		return wrong(t.job, ErrPayload, "the result: %v", err)
	}
	if job != t.job {
		return wrong(t.job, ErrHandle, "%.80q came with the result of job %d", handle, job)
	}
	delete(c.open, hash)
	c.answer(t)
	return nil
}

// stray says what is wrong with a result that nobody waits for.
func (c *client) stray(handle, result []byte) error {
	if job, err := c.rig.payloads.job(result); err == nil && c.rig.ledger.answered(job) {
		return wrong(job, ErrAnswers, "another result, for %.80q", handle)
	}
	return wrong(noJob, ErrHandle, "a result for %.80q, which this client was not given", handle)
}

func (c *client) answer(t task) {
	c.now = c.rig.now()
	if c.answered == 0 {
		c.first = c.now
	}
	c.answered++
	c.unanswered--
	c.latency.add(c.now - t.at)
	c.rig.ledger.answer(t.job)
}

// fifo is a queue of tasks. The zero value is empty.
type fifo struct {
	tasks []task
	next  int // tasks before it are gone
}

func (q *fifo) push(t task) { q.tasks = append(q.tasks, t) }

func (q *fifo) pop() (t task, ok bool) {
	if q.next == len(q.tasks) {
		return task{}, false
	}
	t = q.tasks[q.next]
	q.next++
	if 2*q.next >= len(q.tasks) { // moves each task once on average
		q.tasks = q.tasks[:copy(q.tasks, q.tasks[q.next:])]
		q.next = 0
	}
	return t, true
}
