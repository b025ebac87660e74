package queue

// The moves of a job between its states. A job that enters one has left the one before with detach.

// detach takes a job out of its state, whichever it is.
func (s *State) detach(slot uint32, j *job) {
	f := s.functionSlab.at(j.function)
	switch j.state {
	case Scheduled:
		if j.retrying {
			s.retries.remove(slot)
			j.retrying = false
		} else {
			s.schedule.remove(slot)
		}
		f.scheduled[j.priority]--
	case Queued:
		f.queues[j.priority].remove(&s.jobs, slot)
	case Running:
		s.endAttempt(slot, j)
		f.running[j.priority]--
	case Pending:
		f.pending[j.priority]--
	}
	j.state = 0
}

// enqueue makes a job ready, at the head or the tail of its class.
func (s *State) enqueue(slot uint32, j *job, head bool) {
	f := s.functionSlab.at(j.function)
	q := &f.queues[j.priority]
	if head {
		q.pushFront(&s.jobs, slot)
	} else {
		q.pushBack(&s.jobs, slot)
	}
	j.state, j.since = Queued, s.elapsed()
	for idle := &f.idle[j.priority]; idle.first != nil; {
		idle.first.setReady(j.priority, true)
	}
}

// deferUntil lets a job wait for its time.
func (s *State) deferUntil(slot uint32, j *job, at int64) {
	s.schedule.add(slot, j.serial, at)
	s.functionSlab.at(j.function).scheduled[j.priority]++
	j.state, j.since = Scheduled, s.elapsed()
}

// begin makes a new job ready, now or at its time (unix nanoseconds).
func (s *State) begin(slot uint32, j *job, runAt int64) {
	if runAt > s.now.UnixNano() {
		s.deferUntil(slot, j, runAt)
		return
	}
	s.enqueue(slot, j, false)
	s.wake(s.functionSlab.at(j.function), s.cfg.WakeUp)
}

// beginStored is begin for a job that must be in the store first.
func (s *State) beginStored(slot uint32, j *job, runAt int64) uint64 {
	s.functionSlab.at(j.function).pending[j.priority]++
	j.state, j.since = Pending, s.elapsed()
	return s.keepRecord(slot, j, runAt)
}

// requeue puts a job whose attempt was lost back to the head of its class, or lets it wait for its next
// attempt, or ends it if nobody wants it any more or it has had all its attempts.
func (s *State) requeue(slot uint32, j *job) {
	limit := s.maxAttempts(j)
	s.detach(slot, j)
	switch {
	case !j.wanted():
		s.counters.Abandoned++
		s.remove(slot, j)
	case limit > 0 && int(j.attempts) >= limit:
		s.counters.Exhausted++
		s.failAfter(slot, j, s.bury(j))
	default:
		s.counters.Requeues++
		if rule, ok := s.retryOf(j); ok {
			s.tryAgain(slot, j, rule)
		} else {
			s.enqueue(slot, j, true)
			s.wake(s.functionSlab.at(j.function), s.cfg.WakeUp)
		}
		s.changeRecord(j) // attempts are counted over restarts
	}
}

// remove forgets a job, whatever its state, with its key and its memory.
func (s *State) remove(slot uint32, j *job) {
	s.detach(slot, j)
	for j.first != 0 {
		s.detachClient(j.first)
	}
	s.serials.remove(uint32(j.serial), slot)
	if j.key != noKey {
		s.keys.remove(j.hash, slot)
	}
	if len(s.history) > 0 {
		delete(s.history, j.serial)
	}
	if j.record != 0 {
		s.dropRecord(j)
	}
	if j.task != 0 {
		s.forgetTask(j)
	}
	s.textBytes -= j.textBytes()
	s.arena.drop(j.text)
	s.dropBody(j, false)
	f := s.functionSlab.at(j.function)
	s.jobs.drop(slot)
	s.release(f)
}

// dropBody lets a payload go that has memory of its own. again is as in [Payloads].
func (s *State) dropBody(j *job, again bool) {
	if j.body == 0 {
		return
	}
	if s.cfg.Payloads != nil {
		s.cfg.Payloads.LetGo(s.payload(j), again)
	}
	s.arena.drop(j.body)
	j.body = 0
}

// attach seats a client at a job.
func (s *State) attach(slot uint32, j *job, p *peer) {
	at, c := s.seats.add()
	*c = seat{job: slot, client: p.slot, prevOfJob: j.last, next: p.seat}
	if j.last == 0 {
		j.first = at
	} else {
		s.seats.at(j.last).nextOfJob = at
	}
	j.last = at
	j.clients++
	p.waiting++
	if p.seat != 0 {
		s.seats.at(p.seat).prev = at
	}
	p.seat = at
}

// detachClient takes a seat away from both its job and its client.
func (s *State) detachClient(at uint32) {
	c := s.seats.at(at)
	j, p := s.jobs.at(c.job), s.peerSlab.at(c.client)
	if c.prevOfJob == 0 {
		j.first = c.nextOfJob
	} else {
		s.seats.at(c.prevOfJob).nextOfJob = c.nextOfJob
	}
	if c.nextOfJob == 0 {
		j.last = c.prevOfJob
	} else {
		s.seats.at(c.nextOfJob).prevOfJob = c.prevOfJob
	}
	j.clients--
	p.waiting--
	if c.prev == 0 {
		p.seat = c.next
	} else {
		s.seats.at(c.prev).next = c.next
	}
	if c.next != 0 {
		s.seats.at(c.next).prev = c.prev
	}
	s.seats.drop(at)
}

// The parts of a job's text record.

func (s *State) unique(j *job) []byte {
	return s.textOf(j)[:j.uniqueLen:j.uniqueLen]
}

func (s *State) reducer(j *job) []byte {
	end := int(j.uniqueLen) + int(j.reducerLen)
	return s.textOf(j)[j.uniqueLen:end:end]
}

// payload is nil if it is away.
func (s *State) payload(j *job) []byte {
	if j.body != 0 {
		return s.arena.get(j.body, int(j.payloadLen))
	}
	return s.textOf(j)[int(j.uniqueLen)+int(j.reducerLen):]
}

func (s *State) textOf(j *job) []byte {
	n := int(j.uniqueLen) + int(j.reducerLen)
	if j.body == 0 && !j.away {
		n += int(j.payloadLen)
	}
	return s.arena.get(j.text, n)
}
