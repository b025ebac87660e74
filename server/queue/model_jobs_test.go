package queue

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

// The model's rules for what happens to jobs that workers have, and its comparison with the state.

func (m *model) report(ev *Report) []string {
	w := m.workers[ev.Peer]
	i := slices.IndexFunc(m.jobs, func(j *modelJob) bool {
		return j.state == Running && j.worker == ev.Peer && m.assignedHandle(j) == string(ev.Handle)
	})
	if i < 0 && !w.given {
		return []string{fmt.Sprintf("%d ERROR JOB_NOT_FOUND|Job given in work result not found", ev.Peer)}
	}
	if i < 0 {
		if serial, err := strconv.Atoi(strings.TrimPrefix(string(ev.Handle), "H:")); err == nil && ev.Kind >= Complete {
			delete(w.late, serial)
		}
		return nil
	}
	j := m.jobs[i]
	switch ev.Kind {
	case Data:
		return m.tell(j, "WORK_DATA %s|%s", m.handle(j), ev.Data)
	case Warning:
		return m.tell(j, "WORK_WARNING %s|%s", m.handle(j), ev.Data)
	case Status:
		j.numerator, j.divisor = string(ev.Data), string(ev.Second)
		return m.tell(j, "WORK_STATUS %s|%s|%s", m.handle(j), ev.Data, ev.Second)
	}
	m.end(j)
	var want []string
	for _, c := range j.clients {
		switch {
		case ev.Kind == Complete:
			want = append(want, fmt.Sprintf("%d WORK_COMPLETE %s|%s", c, m.handle(j), ev.Data))
		case ev.Kind == Exception && m.workers[c].exceptions:
			want = append(want, fmt.Sprintf("%d WORK_EXCEPTION %s|%s", c, m.handle(j), ev.Data))
		default:
			want = append(want, fmt.Sprintf("%d WORK_FAIL %s", c, m.handle(j)))
		}
	}
	return want
}

func (m *model) leave(ev *Leave) (want []string) {
	delete(m.workers, ev.Peer)
	for _, j := range slices.Clone(m.jobs) {
		j.clients = slices.DeleteFunc(j.clients, func(c Peer) bool { return c == ev.Peer })
		if !j.background && len(j.clients) == 0 && j.state != Running {
			m.end(j)
		}
	}
	lost := slices.DeleteFunc(slices.Clone(m.jobs), func(j *modelJob) bool { return j.state != Running || j.worker != ev.Peer })
	slices.SortFunc(lost, func(a, b *modelJob) int { return cmp.Compare(b.assigned, a.assigned) })
	for _, j := range lost {
		want = append(want, m.requeue(j)...)
	}
	return want
}

func (m *model) requeue(j *modelJob) []string {
	j.numerator, j.divisor = "", ""
	switch {
	case !j.background && len(j.clients) == 0:
		m.end(j)
	case m.cfg.JobRetries > 0 && j.attempts >= m.cfg.JobRetries:
		if j.background {
			m.dead++
		}
		m.end(j)
		return m.tell(j, "WORK_FAIL %s", m.handle(j))
	default:
		m.enqueue(j, true)
		j.saved = j.attempts
	}
	return nil
}

func (m *model) tick() (want []string) {
	due := slices.DeleteFunc(slices.Clone(m.jobs), func(j *modelJob) bool {
		return j.state != Running || j.deadline.IsZero() || j.deadline.After(m.now)
	})
	slices.SortFunc(due, func(a, b *modelJob) int {
		return cmp.Or(b.deadline.Compare(a.deadline), cmp.Compare(b.serial, a.serial))
	})
	for _, j := range due {
		if m.workers[j.worker].cancels {
			want = append(want, fmt.Sprintf("%d JOB_CANCEL %s|timeout", j.worker, m.assignedHandle(j)))
		}
		if !j.numbered {
			m.workers[j.worker].late[j.serial] = true
		}
		want = append(want, m.requeue(j)...)
	}
	ready := slices.DeleteFunc(slices.Clone(m.jobs), func(j *modelJob) bool {
		return j.state != Scheduled || j.runAt.After(m.now)
	})
	slices.SortFunc(ready, func(a, b *modelJob) int {
		return cmp.Or(a.runAt.Compare(b.runAt), cmp.Compare(a.serial, b.serial))
	})
	for _, j := range ready {
		m.enqueue(j, false)
	}
	for _, w := range m.workers {
		w.owes = w.owes && m.now.Sub(w.woken) < patience
	}
	return want
}

func (m *model) cancel(handle string) (want []string) {
	for _, j := range m.jobs {
		if m.handle(j) != handle {
			continue
		}
		if j.state == Running && m.workers[j.worker].cancels {
			want = append(want, fmt.Sprintf("%d JOB_CANCEL %s|cancelled", j.worker, m.assignedHandle(j)))
		}
		m.end(j)
		return append(want, m.tell(j, "WORK_FAIL %s", handle)...)
	}
	return nil
}

func (m *model) leaveJob(ev *LeaveJob) []string {
	for _, j := range m.jobs {
		i := slices.Index(j.clients, ev.Peer)
		if m.handle(j) != string(ev.Handle) || i < 0 {
			continue
		}
		if j.clients = slices.Delete(j.clients, i, i+1); len(j.clients) == 0 && !j.background {
			return m.cancel(string(ev.Handle))
		}
	}
	return nil
}

func (m *model) status(ev *GetStatus) []string {
	for _, j := range m.jobs {
		if m.handle(j) == string(ev.Handle) {
			running := map[bool]int{true: 1}[j.state == Running]
			n, d := cmp.Or(j.numerator, "0"), cmp.Or(j.divisor, "0")
			return []string{fmt.Sprintf("%d STATUS_RES %s|1|%d|%s|%s", ev.Peer, ev.Handle, running, n, d)}
		}
	}
	return []string{fmt.Sprintf("%d STATUS_RES %s|0|0|0|0", ev.Peer, ev.Handle)}
}

// agrees compares the jobs with the state's.
func (m *model) agrees(s *State) error {
	want, got := map[string]string{}, map[string]string{}
	for _, j := range m.jobs {
		want[m.handle(j)] = fmt.Sprint(j.function, j.unique, j.state, j.priority, j.background, len(j.clients), j.attempts, len(j.payload))
	}
	for j := range s.Jobs() {
		got[j.Handle] = fmt.Sprint(j.Function, j.Unique, j.State, j.Priority, j.Background, j.Clients, j.Attempts, j.Size)
	}
	if !maps.Equal(want, got) {
		return fmt.Errorf("jobs: want %v, got %v", want, got)
	}
	if n := s.Counters().DeadLetters; int(n) != m.dead {
		return fmt.Errorf("%d dead letters, want %d", n, m.dead)
	}
	return nil
}

// restart is what a durable queue is after a crash: background jobs, queued in the order of their numbers
// with the attempts that were stored.
func (m *model) restart(now time.Time) {
	m.now = now
	m.workers, m.queues, m.dead = map[Peer]*modelWorker{}, map[string][]*modelJob{}, 0
	m.jobs = slices.DeleteFunc(m.jobs, func(j *modelJob) bool { return !j.background })
	for _, j := range m.jobs {
		j.clients, j.worker, j.attempts, j.numbered = nil, 0, j.saved, false
		j.numerator, j.divisor, j.deadline = "", "", time.Time{}
		if j.state != Scheduled || !j.runAt.After(now) {
			m.enqueue(j, false)
		}
	}
}
