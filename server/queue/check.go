package queue

import "fmt"

// Check verifies every invariant and describes the first one that does not hold. It is slow and
// meant for tests.
func (s *State) Check() error {
	for _, check := range []func() error{
		s.checkJobs, s.checkFunctions, s.checkPeers, s.checkIndexes, s.checkTimers, s.checkWaking, s.checkMemory, s.checkResults,
	} {
		if err := check(); err != nil {
			return fmt.Errorf("queue: %w", err)
		}
	}
	return nil
}

// checkJobs: every job is in the place of its state, is wanted unless it runs, and can be found.
func (s *State) checkJobs() error {
	for slot := range s.jobs.all() {
		j := s.jobs.at(slot)
		switch {
		case s.find(j.serial) != slot:
			return fmt.Errorf("job %d is not found by its serial", j.serial)
		case j.serial > s.serial || j.priority > Low:
			return fmt.Errorf("job %d: serial over %d or priority %d", j.serial, s.serial, j.priority)
		case j.state < Scheduled || j.state > Pending:
			return fmt.Errorf("job %d is in no state", j.serial)
		case j.state != Running && !j.wanted():
			return fmt.Errorf("job %d is %s and nobody wants it", j.serial, j.state)
		case (j.state == Running) != (j.attempt != 0):
			return fmt.Errorf("job %d is %s with attempt slot %d", j.serial, j.state, j.attempt)
		case j.state == Scheduled && j.timer == 0 || j.state == Queued && j.timer != 0:
			return fmt.Errorf("job %d is %s with timer %d", j.serial, j.state, j.timer)
		case j.key != noKey && !s.foundByKey(slot, j):
			return fmt.Errorf("job %d is not found by its key", j.serial)
		}
		if err := s.checkSeats(slot, j); err != nil {
			return err
		}
	}
	return nil
}

// foundByKey says that the index of keys leads to j.
func (s *State) foundByKey(slot uint32, j *job) bool {
	key := jobKey{j.key, s.unique(j)}
	if j.key == payloadKey {
		d := s.digest(j)
		key.text = d[:]
	}
	return s.findKey(s.functionSlab.at(j.function), key) == slot
}

func (s *State) checkSeats(slot uint32, j *job) error {
	n, prev := uint32(0), uint32(0)
	for at := j.first; at != 0; at = s.seats.at(at).nextOfJob {
		c := s.seats.at(at)
		if c.job != slot || c.prevOfJob != prev {
			return fmt.Errorf("job %d: seat %d is another's or out of order", j.serial, at)
		}
		n, prev = n+1, at
	}
	if n != j.clients || prev != j.last {
		return fmt.Errorf("job %d: %d seats counted as %d", j.serial, n, j.clients)
	}
	return nil
}

// checkFunctions: the queues are well linked, the counts are true, nothing unused is remembered.
func (s *State) checkFunctions() error {
	running := map[uint32][priorities]int{}
	for slot := range s.jobs.all() {
		if j := s.jobs.at(slot); j.state == Running {
			n := running[j.function]
			n[j.priority]++
			running[j.function] = n
		}
	}
	for name, f := range s.functions {
		if string(f.name) != name || s.functionSlab.at(f.id) != f {
			return fmt.Errorf("function %q is not itself", name)
		}
		if !f.created && !f.paused && f.results == 0 && f.workers == 0 && f.jobs() == 0 && f.maxQueue == [priorities]int{} {
			return fmt.Errorf("function %q should be forgotten", name)
		}
		if running[f.id] != f.running {
			return fmt.Errorf("function %q: %v running jobs counted as %v", name, running[f.id], f.running)
		}
		for p := range Priority(priorities) {
			if err := s.checkQueue(f, p); err != nil {
				return err
			}
		}
	}
	return nil
}

func (s *State) checkQueue(f *function, p Priority) error {
	q := &f.queues[p]
	n, prev := 0, uint32(0)
	for slot := q.first; slot != 0; slot = s.jobs.at(slot).next {
		j := s.jobs.at(slot)
		if j.state != Queued || j.function != f.id || j.priority != p || j.prev != prev {
			return fmt.Errorf("function %q: job %d does not belong into queue %d", f.name, j.serial, p)
		}
		n, prev = n+1, slot
	}
	if n != q.n || prev != q.last {
		return fmt.Errorf("function %q: %d jobs in queue %d counted as %d", f.name, n, p, q.n)
	}
	if q.n > 0 && f.idle[p].n > 0 {
		return fmt.Errorf("function %q has jobs in queue %d, and a worker that does not know", f.name, p)
	}
	return nil
}

// checkPeers: abilities are in the lists they say, and every seat and attempt is its peer's.
func (s *State) checkPeers() error {
	abilities, seats, attempts := 0, 0, 0
	for id, p := range s.peers {
		if p.id != id || s.peerSlab.at(p.slot) != p || p.asleep && (p.owes != nil || p.coming) {
			return fmt.Errorf("peer %d is not itself, or asleep while it owes a grab or is coming", id)
		}
		for a := p.abilities.first; a != nil; a = a.links[ownerLink].next {
			abilities++
			if s.abilities[edge{p.slot, a.function.id}] != a || p.asleep && !a.listed {
				return fmt.Errorf("peer %d sleeps unlisted for %q", id, a.function.name)
			}
		}
		waiting := 0
		for at := p.seat; at != 0; at = s.seats.at(at).next {
			waiting++
			if s.seats.at(at).client != p.slot {
				return fmt.Errorf("peer %d has another's seat", id)
			}
		}
		if seats += waiting; waiting != p.waiting {
			return fmt.Errorf("peer %d: %d seats counted as %d", id, waiting, p.waiting)
		}
		n := 0
		for at := p.first; at != 0; at = s.attempts.at(at).next {
			n++
			if a := s.attempts.at(at); a.worker != p || s.jobs.at(a.job).attempt != at {
				return fmt.Errorf("peer %d has another's attempt", id)
			}
		}
		if attempts += n; n != p.running {
			return fmt.Errorf("peer %d: %d attempts counted as %d", id, n, p.running)
		}
	}
	if abilities != len(s.abilities) || seats != s.seats.n || attempts != s.attempts.n {
		return fmt.Errorf("abilities %d of %d, seats %d of %d, attempts %d of %d",
			abilities, len(s.abilities), seats, s.seats.n, attempts, s.attempts.n)
	}
	return s.checkLists()
}

// checkLists counts the abilities in the lists of functions and workers.
func (s *State) checkLists() error {
	for _, a := range s.abilities {
		want := [linkKinds]*abilities{sleepLink: &a.worker.unlisted, ownerLink: &a.worker.abilities}
		if a.listed {
			want[sleepLink] = &a.function.sleepers
		}
		for p := range Priority(priorities) {
			want[p] = &a.function.idle[p]
			if a.ready[p] {
				want[p] = &a.worker.ready[p]
			}
		}
		for kind, list := range want {
			if !list.has(kind, a) {
				return fmt.Errorf("peer %d: %q is not in its list of kind %d", a.worker.id, a.function.name, kind)
			}
		}
	}
	return nil
}

// has walks the list.
func (l *abilities) has(kind int, a *ability) bool {
	n, found := 0, false
	for at := l.first; at != nil; at = at.links[kind].next {
		n++
		found = found || at == a
	}
	return found && n == l.n
}

// checkIndexes: each index holds as many entries as there are jobs for it, each in the line of its
// hash. That each job is found was checked with the jobs.
func (s *State) checkIndexes() error {
	keyed := 0
	for slot := range s.jobs.all() {
		if s.jobs.at(slot).key != noKey {
			keyed++
		}
	}
	if err := s.serials.check(s.jobs.n); err != nil {
		return fmt.Errorf("serials: %w", err)
	}
	if err := s.keys.check(keyed); err != nil {
		return fmt.Errorf("keys: %w", err)
	}
	return nil
}

func (x *index) check(want int) error {
	n := 0
	for i := range x.size {
		for l := x.line(i); ; l = x.more.at(l.more) {
			for _, e := range l.entries[:l.n] {
				if n++; x.home(uint32(e>>32)) != i {
					return fmt.Errorf("slot %d is in the wrong line", uint32(e))
				}
			}
			if l.more == 0 {
				break
			}
		}
	}
	if n != x.n || n != want {
		return fmt.Errorf("%d entries counted as %d, should be %d", n, x.n, want)
	}
	return nil
}

// checkTimers: both are heaps, of jobs that know their places and are in the right state.
func (s *State) checkTimers() error {
	scheduled := 0
	for _, f := range s.functions {
		scheduled += f.deferred()
	}
	if n := len(s.schedule.heap) + len(s.retries.heap); scheduled != n {
		return fmt.Errorf("%d scheduled jobs, %d timers", scheduled, n)
	}
	for t, state := range map[*timers]JobState{&s.schedule: Scheduled, &s.retries: Scheduled, &s.deadlines: Running} {
		for i, x := range t.heap {
			j := s.jobs.at(x.slot)
			if j.state != state || j.retrying != (t == &s.retries) || j.serial != x.serial || int(j.timer) != i+1 {
				return fmt.Errorf("timer %d of the %s jobs is not job %d's", i, state, j.serial)
			}
			if i > 0 && x.before(t.heap[(i-1)/2]) {
				return fmt.Errorf("timer %d of the %s jobs is out of order", i, state)
			}
		}
	}
	return nil
}

// checkWaking: no job waits beside a worker that sleeps and could do it, unless another worker that
// can do it owes a grab.
func (s *State) checkWaking() error {
	owed := map[*function]int{}
	for i, x := range s.debts.heap {
		p := s.peerSlab.at(x.slot)
		if p.owes == nil || int(p.debt) != i+1 || i > 0 && x.before(s.debts.heap[(i-1)/2]) {
			return fmt.Errorf("timer %d of the woken workers is not peer %d's, or out of order", i, p.id)
		}
	}
	timers := len(s.debts.heap)
	for _, p := range s.peers {
		if p.owes != nil {
			owed[p.owes]++
			timers--
		}
	}
	if timers != 0 {
		return fmt.Errorf("%d timers of workers that owe no grab", timers)
	}
	for name, f := range s.functions {
		if owed[f] != f.owed {
			return fmt.Errorf("function %q: %d grabs owed counted as %d", name, owed[f], f.owed)
		}
	}
	for _, a := range s.abilities {
		if a.worker.asleep && a.function.owed == 0 && s.suits(a.worker, a.function) {
			return fmt.Errorf("peer %d sleeps while %q has a job for it", a.worker.id, a.function.name)
		}
	}
	return nil
}

// checkMemory: as many records are in the arena as jobs and attempts refer to, and when nothing is
// left, hardly a page is.
func (s *State) checkMemory() error {
	want := 0
	count := func(r ref) {
		if r != 0 {
			want++
		}
	}
	for slot := range s.jobs.all() {
		count(s.jobs.at(slot).text)
		count(s.jobs.at(slot).body)
	}
	for at := range s.tasks.all() {
		count(s.tasks.at(at).labels)
	}
	for at := range s.results.all() {
		count(s.results.at(at).unique)
		count(s.results.at(at).body)
	}
	for slot := range s.attempts.all() {
		count(s.attempts.at(slot).status)
	}
	got := s.arena.own.n
	for i := range s.arena.class {
		for range s.arena.class[i].all() {
			got++
		}
	}
	if err := s.checkBytes(); err != nil {
		return err
	}
	if got != want {
		return fmt.Errorf("%d records in the arena, %d in use", got, want)
	}
	for serial := range s.history {
		if s.find(serial) == 0 {
			return fmt.Errorf("job %d has a history but is gone", serial)
		}
	}
	return nil
}

// checkBytes: what is counted for the memory budget is there.
func (s *State) checkBytes() error {
	text, dead := int64(0), int64(0)
	for slot := range s.jobs.all() {
		text += s.jobs.at(slot).textBytes()
	}
	for at := range s.tasks.all() {
		text += s.tasks.at(at).labelBytes()
	}
	for _, d := range s.dead {
		dead += d.bytes()
	}
	if text != s.textBytes || dead != s.deadBytes {
		return fmt.Errorf("%d bytes of jobs counted as %d, %d of dead letters as %d", text, s.textBytes, dead, s.deadBytes)
	}
	return nil
}

// checkResults: every result can be found by its key and is among the expiries, and the limits hold.
func (s *State) checkResults() error {
	text, size, of := int64(0), int64(0), map[uint32]int{}
	for at := range s.results.all() {
		r := s.results.at(at)
		of[r.function]++
		text, size = text+r.textBytes(), size+int64(r.size)
		key := jobKey{r.key, s.arena.get(r.unique, int(r.uniqueLen))}
		if r.key == payloadKey {
			key.text = r.digest[:]
		}
		if s.findResult(s.functionSlab.at(r.function), key) != at {
			return fmt.Errorf("result %d is not found by its key", r.serial)
		}
		if t := s.expiries.heap[r.timer-1]; t.slot != at || t.at != r.expires {
			return fmt.Errorf("result %d has another's time", r.serial)
		}
	}
	for name, f := range s.functions {
		if of[f.id] != f.results {
			return fmt.Errorf("function %q: %d results counted as %d", name, of[f.id], f.results)
		}
	}
	if text != s.resultText || size != s.resultSize || s.tooManyResults() || len(s.expiries.heap) != s.results.n {
		return fmt.Errorf("%d results of %d bytes, %d at hand, do not add up", s.results.n, size, text)
	}
	if err := s.resultKeys.check(s.results.n); err != nil {
		return fmt.Errorf("result keys: %w", err)
	}
	return nil
}
