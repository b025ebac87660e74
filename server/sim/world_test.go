package sim

import (
	"container/heap"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/geartrain/geartrain/gearman/protocol"
	"github.com/geartrain/geartrain/server/queue"
)

// system is what is simulated: the queue alone, or a server around it.
type system interface {
	// apply does everything in ins at the same time and tells what came of it.
	apply(ins []input) (outs []output, gone []queue.Peer)

	// pass lets time pass to a moment, or to one before it at which something came of that. If it
	// says that none has passed, the moment has come.
	pass(to time.Time) (at time.Time, passed bool, outs []output, gone []queue.Peer)

	live() []string // handles of all jobs
	dead() []queue.DeadLetter
	check() error
	counters() queue.Counters
}

// scale is how much a world does.
type scale struct {
	width   int           // inputs that may happen at the same time
	grain   time.Duration // of all delays
	faults  time.Duration // how long the first phase is
	clients int
	workers int
	slow    bool // whether clients stop reading at times
	retries bool // whether the operator can retry dead letters
}

// world is a site: its actors, what is on its way, and its time.
type world struct {
	scale
	*rand.Rand
	sys     system
	judge   *judge
	history history
	now     time.Time
	agenda  agenda
	batch   batch // being gathered
	calm    bool  // the second phase has begun
	last    queue.Peer
	lines   []*line
	handles []string // that clients were told
	tokens  int      // numbers that make payloads unlike
}

func newWorld(seed uint64, sc scale, cfg queue.Config, sys system, start time.Time) *world {
	w := &world{scale: sc, Rand: rand.New(rand.NewPCG(seed, 0)), sys: sys, judge: newJudge(cfg), now: start}
	w.history = history{start: start, names: map[queue.Peer]string{}}
	return w
}

// settings are drawn from the seed too.
func settings(seed uint64) queue.Config {
	r := rand.New(rand.NewPCG(seed, 1))
	return queue.Config{
		HandlePrefix: handlePrefix,
		JobRetries:   pick(r, 0, 0, 1, 2, 3),
		WakeUp:       pick(r, 0, 0, 1, 2, 5),
		Policies:     pick(r, nil, []queue.Policy{{Pattern: "strict", Conflict: queue.Reject}}),
	}
}

var functions = []string{"a", "b", "strict", "rare"}

func pick[T any](r *rand.Rand, of ...T) T { return of[r.IntN(len(of))] }

// run lives through both phases. It ends early when a promise is broken.
func (w *world) run() error {
	for range w.clients {
		newClient(w)
	}
	for range w.workers {
		newWorker(w)
	}
	w.after(w.some(300), w.operate)
	w.after(w.some(50), w.populate)
	if err := w.until(w.now.Add(w.faults)); err != nil {
		return err
	}
	w.heal()
	if err := w.until(w.now.Add(time.Minute)); err != nil {
		return err
	}
	w.judge.finish()
	return w.verdict()
}

// populate brings in somebody new for everybody who died.
func (w *world) populate() {
	w.lines = slices.DeleteFunc(w.lines, func(l *line) bool { return l.dead })
	clients := 0
	for _, l := range w.lines {
		if _, ok := l.actor.(*client); ok {
			clients++
		}
	}
	if clients < w.clients {
		newClient(w)
	}
	if len(w.lines)-clients < w.workers {
		newWorker(w)
	}
	if !w.calm {
		w.after(w.some(100), w.populate)
	}
}

// heal stops the faults: workers leave, within a second, clients only wait, and good workers come.
func (w *world) heal() {
	w.calm = true
	for _, l := range w.lines {
		w.after(w.some(1000), l.actor.heal)
	}
	for range 3 {
		w.after(w.some(1000), func() { newSteady(w) })
	}
}

// until plays everything that happens up to a moment.
func (w *world) until(end time.Time) error {
	for {
		next := end
		if len(w.agenda) > 0 && w.agenda[0].at.Before(end) {
			next = w.agenda[0].at
		}
		at, passed, outs, gone := w.sys.pass(next)
		if passed {
			w.now = at
			w.judgeBatch(batch{at: at, tick: true, out: outs, gone: gone})
		} else if w.now = next; next.Equal(end) {
			return w.verdict()
		} else {
			w.act()
		}
		if w.judge.broken != nil {
			return w.verdict()
		}
	}
}

// act does what is on the agenda for now: as many inputs as may happen at the same time.
func (w *world) act() {
	w.batch = batch{at: w.now}
	for len(w.agenda) > 0 && !w.agenda[0].at.After(w.now) && len(w.batch.in) < w.width {
		e := w.agenda[0]
		if e.in != nil && !w.fits(e.in) {
			break
		}
		heap.Pop(&w.agenda)
		if e.in == nil {
			e.do()
		} else if e.line == nil || !e.line.severed {
			w.gather(*e.in)
		}
	}
	if len(w.batch.in) > 0 {
		w.batch.out, w.batch.gone = w.sys.apply(w.batch.in)
		w.judgeBatch(w.batch)
	}
}

// mostAtOnce is how many bytes one peer sends in one batch, or a packet more. So nobody who reads at
// all has his outbox filled by one batch.
const mostAtOnce = 4 << 10

// fits says that an input may be part of the batch: one of each peer, or several packets. What the
// operator does is a batch of its own.
func (w *world) fits(in *input) bool {
	for i := range w.batch.in {
		other := &w.batch.in[i]
		same := other.peer == in.peer
		if in.peer == 0 || other.peer == 0 || same && (w.width == 1 || in.op != say || other.op != say || other.size() > mostAtOnce) {
			return false
		}
	}
	return true
}

func (w *world) gather(in input) {
	for i := range w.batch.in {
		if other := &w.batch.in[i]; other.peer == in.peer {
			other.packets = append(other.packets, in.packets...)
			return
		}
	}
	w.batch.in = append(w.batch.in, in)
}

// judgeBatch lets the judge see a batch, and the actors hear what is for them, after some time.
func (w *world) judgeBatch(b batch) {
	w.history.batches = append(w.history.batches, b)
	w.judge.batch(&b)
	if err := w.sys.check(); err != nil {
		w.judge.blame("", 0, "%s", err)
	}
	if len(w.history.batches)%64 == 0 {
		w.judge.agree(w.sys.live(), w.sys.dead())
	}
	for _, in := range b.in {
		if in.op == stall { // see what comes of it at the very moment
			w.push(moment{w.now.Add(readTimeout), 0}, event{do: func() {}})
		}
	}
	for i := range b.out {
		out := &b.out[i]
		if out.typ == protocol.JobCreated {
			w.handles = append(w.handles, out.handle())
		}
		if l := w.line(out.peer); l != nil {
			w.push(l.down.next(w, w.delay()), event{do: func() {
				if !l.dead {
					l.actor.hear(out.packet)
				}
			}})
		}
	}
	for _, id := range b.gone {
		if l := w.line(id); l != nil {
			l.dead, l.severed = true, true
		}
	}
}

func (w *world) line(id queue.Peer) *line {
	for _, l := range w.lines {
		if l.id == id {
			return l
		}
	}
	return nil
}

// verdict is the breach, if there is one, with what led to it.
func (w *world) verdict() error {
	if w.judge.broken == nil {
		w.judge.agree(w.sys.live(), w.sys.dead())
	}
	b := w.judge.broken
	if b == nil {
		return nil
	}
	text := fmt.Sprintf("batch %d: %s %s: %s", w.judge.n, b.handle, w.history.name(b.peer), b.text)
	for _, line := range w.history.lines(b.handle, b.peer) {
		text += "\n" + line
	}
	return fmt.Errorf("%s", text)
}

// tell logs everything that happened.
func (w *world) tell(t *testing.T) {
	for _, line := range w.history.lines("", 0) {
		t.Log(line)
	}
}

// after does something at some later time.
func (w *world) after(d time.Duration, do func()) {
	w.push(w.soon(d), event{do: do})
}

func (w *world) push(m moment, e event) {
	e.moment = m
	heap.Push(&w.agenda, e)
}

// some is a random time of up to so many milliseconds.
func (w *world) some(ms int) time.Duration {
	return time.Duration(w.Int64N(int64(ms) * int64(time.Millisecond)))
}

// delay is how long a packet is on its way: nearly always little, sometimes not.
func (w *world) delay() time.Duration {
	if w.chance(30) {
		return w.some(120)
	}
	return w.some(3)
}

// soon is the moment after some time. All moments are multiples of the grain, so that some coincide.
func (w *world) soon(d time.Duration) moment {
	return moment{w.now.Add(d).Truncate(w.grain).Add(w.grain), w.Uint64() >> 1}
}

// chance is true once in n times.
func (w *world) chance(n int) bool { return w.IntN(n) == 0 }

// token is a text that nothing else in the world is like.
func (w *world) token() string {
	w.tokens++
	return fmt.Sprint("t", w.tokens)
}

// moment is a time on the agenda. What happens at the same time is in random order.
type moment struct {
	at  time.Time
	tie uint64
}

// event is what is to happen: an input, or something within an actor.
type event struct {
	moment
	in   *input
	line *line // over which in comes; nil: it comes in any case
	do   func()
}

// agenda is a heap of events.
type agenda []event

func (a agenda) Len() int { return len(a) }
func (a agenda) Less(i, j int) bool {
	return a[i].at.Before(a[j].at) || a[i].at.Equal(a[j].at) && a[i].tie < a[j].tie
}
func (a agenda) Swap(i, j int) { a[i], a[j] = a[j], a[i] }
func (a *agenda) Push(e any)   { *a = append(*a, e.(event)) }
func (a *agenda) Pop() any {
	last := (*a)[len(*a)-1]
	*a = (*a)[:len(*a)-1]
	return last
}
