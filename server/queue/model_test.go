package queue

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/geartrain/geartrain/gearman/protocol"
)

// model is the queue as one would write it down without a thought of speed. It is told what the
// state did and says what is wrong with it. Free are: which of several functions a grab is served
// from, which sleepers are woken, and that a sleeper more is woken when a worker that had a NOOP did
// not do what it had it for.
type model struct {
	cfg     Config
	now     time.Time
	serial  int
	jobs    []*modelJob // all, in the order of creation
	queues  map[string][]*modelJob
	workers map[Peer]*modelWorker
	dead    int
}

type modelJob struct {
	serial             int
	function, unique   string
	payload, reducer   string
	priority           Priority
	background         bool
	state              JobState
	runAt              time.Time
	clients            []Peer
	worker             Peer
	attempts           int
	saved              int // of them, so many are in the store
	deadline           time.Time
	numerator, divisor string
	numbered           bool
	assigned           int // when, in the order of all assignments
}

type modelWorker struct {
	abilities                    map[string]time.Duration
	asleep, owes, coming         bool
	woken                        time.Time
	exceptions, cancels, numbers bool
	late                         map[int]bool
	given                        bool
}

func newModel(cfg Config) *model {
	return &model{cfg: cfg, queues: map[string][]*modelJob{}, workers: map[Peer]*modelWorker{}}
}

func queueName(function string, p Priority) string { return fmt.Sprint(function, "/", p) }

// apply checks what the state did about ev.
func (m *model) apply(now time.Time, ev Event, effects []Effect) error {
	m.now = now
	var noops []Peer
	var got []string
	for _, line := range render(effects) {
		if to, ok := strings.CutSuffix(line, " NOOP"); ok {
			n, _ := strconv.Atoi(to)
			noops = append(noops, Peer(n))
		} else {
			got = append(got, line)
		}
	}
	want, wakes, err := m.step(ev, got)
	if err != nil {
		return err
	}
	if !slices.Equal(want, got) {
		return fmt.Errorf("%T: want %q, got %q", ev, want, got)
	}
	if err := m.checkNoops(ev, noops, wakes); err != nil {
		return fmt.Errorf("%T: %w", ev, err)
	}
	return m.checkLive()
}

// checkNoops: each goes to a sleeper with something to do; wakes of them are due at least.
func (m *model) checkNoops(ev Event, noops []Peer, wakes int) error {
	able, coming := 0, 0
	for _, w := range m.workers {
		if w.asleep && m.next(w) != nil {
			able++
		}
		if w.coming && m.next(w) != nil {
			coming++
		}
	}
	if len(noops)+coming < min(wakes, able) {
		return fmt.Errorf("%d of %d due wake-ups, %d sleepers", len(noops), wakes, able)
	}
	if _, ok := ev.(*Submit); ok && len(noops) > wakes {
		return fmt.Errorf("%d wake-ups instead of %d", len(noops), wakes)
	}
	for _, id := range noops {
		w := m.workers[id]
		if w == nil || !w.asleep || m.next(w) == nil {
			return fmt.Errorf("NOOP to %d, which is not asleep or has nothing to do", id)
		}
		w.asleep, w.owes, w.woken = false, true, m.now
	}
	return nil
}

// checkLive: nobody sleeps beside a job, unless somebody else was sent for it.
func (m *model) checkLive() error {
	for id, w := range m.workers {
		if !w.asleep {
			continue
		}
		for f := range w.abilities {
			for p := range Priority(priorities) {
				j := m.firstFor(w, f, p)
				if j == nil {
					continue
				}
				sent := false
				for _, other := range m.workers {
					_, can := other.abilities[f]
					sent = sent || (other.owes || other.coming) && can
				}
				if !sent {
					return fmt.Errorf("worker %d sleeps while job %d is queued", id, j.serial)
				}
			}
		}
	}
	return nil
}

func (m *model) firstFor(w *modelWorker, f string, p Priority) *modelJob {
	for _, j := range m.queues[queueName(f, p)] {
		if !w.late[j.serial] {
			return j
		}
	}
	return nil
}

// next is some job for w, of the highest priority there is.
func (m *model) next(w *modelWorker) *modelJob {
	for p := range Priority(priorities) {
		for f := range w.abilities {
			if j := m.firstFor(w, f, p); j != nil {
				return j
			}
		}
	}
	return nil
}

// step changes the model and says which effects, but for NOOPs, and how many NOOPs are due.
func (m *model) step(ev Event, got []string) (want []string, wakes int, err error) {
	switch ev := ev.(type) {
	case *Join:
		m.workers[ev.Peer] = &modelWorker{abilities: map[string]time.Duration{}, late: map[int]bool{}}
	case *SetOption:
		w := m.workers[ev.Peer]
		switch string(ev.Option) {
		case protocol.OptionExceptions:
			w.exceptions = true
		case protocol.OptionCancel:
			w.cancels = true
		case protocol.OptionAttempts:
			w.numbers = true
		}
		want = append(want, fmt.Sprintf("%d OPTION_RES %s", ev.Peer, ev.Option))
	case *CanDo:
		m.workers[ev.Peer].abilities[string(ev.Function)] = ev.Timeout
	case *CantDo:
		delete(m.workers[ev.Peer].abilities, string(ev.Function))
	case *ResetAbilities:
		clear(m.workers[ev.Peer].abilities)
	case *PreSleep:
		w := m.workers[ev.Peer]
		w.asleep, w.owes, w.coming = true, false, false
		if m.next(w) != nil {
			wakes = 1
		}
	case *Submit:
		want, wakes = m.submit(ev)
	case *Grab:
		want, err = m.grab(ev, got)
	case *Report:
		want = m.report(ev)
	case *Leave:
		want = m.leave(ev)
	case *Tick:
		want = m.tick()
	case *CancelJob:
		want = m.cancel(string(ev.Handle))
	case *LeaveJob:
		want = m.leaveJob(ev)
	case *GetStatus:
		want = m.status(ev)
	default:
		err = fmt.Errorf("the model does not know %T", ev)
	}
	return want, wakes, err
}

func (m *model) handle(j *modelJob) string { return "H:" + strconv.Itoa(j.serial) }

func (m *model) assignedHandle(j *modelJob) string {
	if j.numbered {
		return m.handle(j) + "/" + strconv.Itoa(j.attempts)
	}
	return m.handle(j)
}

func (m *model) submit(ev *Submit) (want []string, wakes int) {
	for _, j := range m.jobs {
		sameKey := j.unique == string(ev.Unique) && (j.unique != "-" || j.payload == string(ev.Payload) && j.payload != "")
		if j.unique != "" && sameKey && j.function == string(ev.Function) {
			return m.joinJob(j, ev)
		}
	}
	m.serial++
	j := &modelJob{
		serial: m.serial, function: string(ev.Function), unique: string(ev.Unique), payload: string(ev.Payload),
		reducer: string(ev.Reducer), priority: ev.Priority, background: ev.Background, runAt: ev.RunAt,
	}
	m.jobs = append(m.jobs, j)
	if !ev.Background {
		j.clients = []Peer{ev.Peer}
	}
	want = append(want, fmt.Sprintf("%d JOB_CREATED %s", ev.Peer, m.handle(j)))
	if ev.RunAt.After(m.now) {
		j.state = Scheduled
		return want, 0
	}
	m.enqueue(j, false)
	return want, m.wakesFor(j)
}

func (m *model) wakesFor(j *modelJob) int {
	n := 0
	for _, w := range m.workers {
		if _, can := w.abilities[j.function]; can && w.asleep && m.suits(w, j.function) {
			n++
		}
	}
	return min(n, max(m.cfg.WakeUp, 1))
}

func (m *model) suits(w *modelWorker, f string) bool {
	return m.firstFor(w, f, High) != nil || m.firstFor(w, f, Normal) != nil || m.firstFor(w, f, Low) != nil
}

func (m *model) joinJob(j *modelJob, ev *Submit) (want []string, wakes int) {
	want = append(want, fmt.Sprintf("%d JOB_CREATED %s", ev.Peer, m.handle(j)))
	if ev.Background && !j.background {
		j.background, j.saved = true, j.attempts
	}
	if !ev.Background {
		j.clients = append(j.clients, ev.Peer)
		if j.numerator != "" {
			want = append(want, fmt.Sprintf("%d WORK_STATUS %s|%s|%s", ev.Peer, m.handle(j), j.numerator, j.divisor))
		}
	}
	prio := min(j.priority, ev.Priority)
	if prio < j.priority || j.state == Scheduled && ev.RunAt.Before(j.runAt) {
		j.saved = j.attempts
	}
	switch {
	case j.state == Queued && prio < j.priority:
		m.dequeue(j)
		j.priority = prio
		m.enqueue(j, false)
	case j.state == Scheduled && !ev.RunAt.After(m.now):
		j.priority = prio
		m.enqueue(j, false)
		wakes = m.wakesFor(j)
	case j.state == Scheduled && ev.RunAt.Before(j.runAt):
		j.runAt = ev.RunAt
	}
	j.priority = prio
	return want, wakes
}

func (m *model) enqueue(j *modelJob, head bool) {
	c := queueName(j.function, j.priority)
	if head {
		m.queues[c] = slices.Insert(m.queues[c], 0, j)
	} else {
		m.queues[c] = append(m.queues[c], j)
	}
	j.state = Queued
}

func (m *model) dequeue(j *modelJob) {
	c := queueName(j.function, j.priority)
	m.queues[c] = slices.DeleteFunc(m.queues[c], func(k *modelJob) bool { return j == k })
	j.state = 0
}

func (m *model) grab(ev *Grab, got []string) ([]string, error) {
	w := m.workers[ev.Peer]
	w.asleep, w.owes, w.coming = false, false, false
	best := m.next(w)
	if best == nil && ev.Later {
		w.coming = true
		return nil, nil
	}
	if best == nil {
		return []string{fmt.Sprintf("%d NO_JOB", ev.Peer)}, nil
	}
	if len(got) != 1 {
		return nil, fmt.Errorf("grab: %q", got)
	}
	for f, timeout := range w.abilities { // whichever function it was, it must be the first job there
		if j := m.firstFor(w, f, best.priority); j != nil {
			line := m.assignment(ev, j, w)
			if line == got[0] {
				m.assign(ev.Peer, j, w, timeout)
				return got, nil
			}
		}
	}
	return nil, fmt.Errorf("grab: %q is not the first job of priority %d of any function", got, best.priority)
}

func (m *model) assignment(ev *Grab, j *modelJob, w *modelWorker) string {
	handle := m.handle(j)
	if w.numbers {
		handle += "/" + strconv.Itoa(j.attempts+1)
	}
	switch {
	case ev.Detail == Plain:
		return strings.TrimSpace(fmt.Sprintf("%d JOB_ASSIGN %s|%s|%s", ev.Peer, handle, j.function, j.payload))
	case ev.Detail == WithAll && j.reducer != "":
		return fmt.Sprintf("%d JOB_ASSIGN_ALL %s|%s|%s|%s|%s", ev.Peer, handle, j.function, j.unique, j.reducer, j.payload)
	}
	return fmt.Sprintf("%d JOB_ASSIGN_UNIQ %s|%s|%s|%s", ev.Peer, handle, j.function, j.unique, j.payload)
}

func (m *model) assign(p Peer, j *modelJob, w *modelWorker, timeout time.Duration) {
	m.dequeue(j)
	j.attempts++
	j.state, j.worker, j.numbered = Running, p, w.numbers
	w.given = true
	j.numerator, j.divisor, j.deadline = "", "", time.Time{}
	if timeout > 0 {
		j.deadline = m.now.Add(timeout)
	}
	for _, k := range m.jobs {
		j.assigned = max(j.assigned, k.assigned+1)
	}
}

func (m *model) end(j *modelJob) {
	if j.state == Queued {
		m.dequeue(j)
	}
	m.jobs = slices.DeleteFunc(m.jobs, func(k *modelJob) bool { return j == k })
}

func (m *model) tell(j *modelJob, format string, args ...any) (want []string) {
	for _, c := range j.clients {
		want = append(want, strings.TrimSpace(fmt.Sprintf("%d "+format, append([]any{c}, args...)...)))
	}
	return want
}
